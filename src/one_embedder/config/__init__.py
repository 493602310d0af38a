"""Configuration: the typed schema that every Hydra config is checked against."""
