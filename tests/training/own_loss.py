"""A loss as a user would write it: with a weight of its own, and no use for hard negatives that it is given."""

from __future__ import annotations

import torch

from one_embedder.training.loss import Sides
from one_embedder.training.objective import Loss


class Scaled(Loss):
    """Distance of the pair, times a weight that learns."""

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([start]))

    def forward(self, batch: Sides) -> torch.Tensor:
        apart = (batch.query - batch.positive).pow(2).sum(dim=1).mean()
        return (self.scale * apart).squeeze() + self.scale.pow(-2).squeeze()
