"""Rows of the other processes: the one place that calls ``torch.distributed``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from one_embedder.medi.batches.collate import LabelNumbers, TextNumbers
from one_embedder.training.loss import Sides


def gather_sides(own: Sides) -> tuple[Sides, int]:
    """The whole batch over all processes, in order of rank, and which of its rows is the first of this process."""
    query, first = gather(own.query)
    positive, negative = gather(own.positive)[0], gather(own.negative)[0]
    texts = None if own.texts is None else TextNumbers(*(gather(numbers)[0] for numbers in own.texts))
    labels = None if own.labels is None else LabelNumbers(*(gather(numbers)[0] for numbers in own.labels))
    return Sides(query, positive, negative, texts, labels), first


def gather(rows: Tensor) -> tuple[Tensor, int]:
    """The rows of all processes, and where those of this one begin.

    The gradient goes back to the process that a row came from, summed over the processes that used it. With each
    process's loss the mean over its own rows, and the processes' gradients averaged as DDP does, the result is the
    gradient of the mean over all rows: **the factor is 1**, the loss is not multiplied by anything. (A gather that
    keeps the gradient of the own rows only needs the loss of all rows on each process, and their number as factor.)

    Args:
        rows: (n, ...), n may differ between processes. One process gets its own rows back.

    Returns:
        (sum of all n, ...) and the sum of n over lower ranks.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return rows, 0
    counts = _counts(rows)
    if not any(counts):
        return rows, 0
    gathered: Tensor = _Gather.apply(rows, counts)  # type: ignore[no-untyped-call]
    return gathered, sum(counts[: distributed.get_rank()])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        first = sum(counts[: distributed.get_rank()])
        ctx.own = slice(first, first + len(rows))
        padded = rows.new_zeros(max(counts), *rows.shape[1:])  # a collective wants equal shapes
        padded[: len(rows)] = rows
        everyone = [torch.empty_like(padded) for _ in counts]
        distributed.all_gather(everyone, padded)
        return torch.cat([part[:count] for part, count in zip(everyone, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total[ctx.own], None


def _counts(rows: Tensor) -> list[int]:
    """How many rows each process has."""
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(distributed.get_world_size())]
    distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    return [int(count) for count in counts]
