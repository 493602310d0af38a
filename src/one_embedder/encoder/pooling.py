"""Mean pooling over the positions that a mask keeps."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean of the hidden states at the positions where the mask is 1.

    Args:
        hidden: (B, L, D), any floating dtype.
        mask: (B, L), 0 or 1; a row of zeros gives the zero vector.

    Returns:
        (B, D) float32, or float64 for float64: half-precision hidden states are summed in float32.
    """
    hidden = at_least_float32(hidden)
    weights = mask.unsqueeze(-1).to(hidden.dtype)  # (B, L, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


def at_least_float32(values: Tensor) -> Tensor:
    """The same values in float32, or in float64 if they have it."""
    return values if values.dtype == torch.float64 else values.float()
