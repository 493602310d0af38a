"""Run records (always written) and metric loggers (CSV always, Weights & Biases when wanted)."""
