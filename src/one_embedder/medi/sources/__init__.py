"""Where training data comes from: one module or package per source."""
