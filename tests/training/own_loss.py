"""A loss as a user would write it: a weight of its own, one that does not learn, and no use for hard negatives."""

from __future__ import annotations

import torch

from one_embedder.training.loss import Sides
from one_embedder.training.objective import Loss


class Scaled(Loss):
    """Distance of the pair, times a weight that learns."""

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([start]))
        self.power = torch.nn.Parameter(torch.tensor([-2.0]), requires_grad=False)

    def forward(self, batch: Sides) -> torch.Tensor:
        apart = (batch.query - batch.positive).pow(2).sum(dim=1).mean()
        return (self.scale * apart).squeeze() + self.scale.pow(self.power).squeeze()
