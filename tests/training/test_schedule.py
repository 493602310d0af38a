from __future__ import annotations

import pytest
import torch

from one_embedder.training.optimizer import linear_factor, linear_schedule


def rates(warmup_ratio: float, max_steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = linear_schedule(optimizer, warmup_ratio=warmup_ratio, max_steps=max_steps)
    seen = []
    for _ in range(max_steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_rises_linearly_to_the_peak_then_falls_linearly() -> None:
    assert rates(0.2, 10) == pytest.approx([1.0, 2.0, 2.0, 1.75, 1.5, 1.25, 1.0, 0.75, 0.5, 0.25])


def test_every_step_learns_and_the_end_is_zero() -> None:
    seen = rates(0.1, 40)
    assert min(seen) > 0 and max(seen) == 2.0
    assert linear_factor(40, warmup_steps=4, max_steps=40) == 0.0


def test_no_warmup_starts_at_the_peak_and_only_warmup_ends_there() -> None:
    assert rates(0.0, 4) == pytest.approx([2.0, 1.5, 1.0, 0.5])
    assert rates(1.0, 4) == pytest.approx([0.5, 1.0, 1.5, 2.0])
