"""Training: the contrastive loss, the Lightning module around it, and a run that can be interrupted and resumed."""
