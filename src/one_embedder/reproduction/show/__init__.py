"""Records shown: README, page, figures, notebooks, W&B tables."""
