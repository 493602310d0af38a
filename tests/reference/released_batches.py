"""How the published training script groups its rows, written out literally and slowly.

Source: ``train.py`` of xlang-ai/instructor-embedding. Its list of batches is shuffled afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence


def released_batches(task_ids: Sequence[int], real_batch_size: int) -> list[list[int]]:
    """Row numbers of each batch, in file order, before the shuffle."""
    batches = []
    for start in range(0, len(task_ids), real_batch_size):
        chunk = []
        for row in range(start, start + real_batch_size):
            if row < len(task_ids):
                chunk.append(row)
        if len(chunk) < real_batch_size:
            continue
        include_batch = True
        for row in chunk:
            if task_ids[row] != task_ids[chunk[0]]:
                include_batch = False
        if include_batch:
            batches.append(chunk)
    return batches
