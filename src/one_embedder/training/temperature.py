"""What similarities are divided by: a number, or something that learns."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from one_embedder.errors import ConfigError

SMALLEST, LARGEST = 0.001, 1.0
"""Bounds of a learned temperature: below, one candidate decides everything; above, none does."""


class LearnedTemperature(nn.Module):
    """A temperature whose logarithm is a parameter, so that it stays above 0 and moves by factors."""

    def __init__(self, initial: float) -> None:
        """Begin at ``initial``.

        Raises:
            ConfigError: it lies outside the bounds.
        """
        super().__init__()
        if not SMALLEST <= initial <= LARGEST:
            raise ConfigError(
                f"loss.temperature={initial} must lie between {SMALLEST} and {LARGEST} with loss.learn_temperature"
            )
        self.logarithm = nn.Parameter(torch.tensor([math.log(initial)]))  # (1,): FSDP takes no scalars

    def forward(self) -> Tensor:
        """The temperature, a scalar."""
        return self.logarithm.exp().squeeze(0)

    @torch.no_grad()
    def clamp(self) -> None:
        """Put it back between the bounds; on the parameter, so that it can come back from them."""
        self.logarithm.clamp_(math.log(SMALLEST), math.log(LARGEST))
