"""The learning rate over the steps of a run."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def linear_factor(step: int, *, warmup_steps: int, max_steps: int) -> float:
    """Part of the peak learning rate used in step ``step`` (0 is the first).

    Rises from 1/warmup_steps, so that the first step already learns, to 1; then falls by equal amounts, the last step
    still being above 0.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return max(0.0, (max_steps - step) / max(1, max_steps - warmup_steps))


def linear_schedule(optimizer: Optimizer, *, warmup_ratio: float, max_steps: int) -> LambdaLR:
    """Linear warm-up, then linear decay to zero, as the paper's command has it (warm-up ratio 0.1).

    Args:
        optimizer: its learning rates are the peak.
        warmup_ratio: part of the steps that warm up, 0 to 1.
        max_steps: steps of the run.
    """
    warmup_steps = math.ceil(warmup_ratio * max_steps)
    return LambdaLR(optimizer, lambda step: linear_factor(step, warmup_steps=warmup_steps, max_steps=max_steps))
