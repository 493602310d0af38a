"""Batches of one task: the heart of INSTRUCTOR's batching."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from one_embedder.errors import ConfigError, DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskShare:
    """What one task contributes to one epoch.

    Attributes:
        task_id: the task.
        rows: rows it has.
        batches: global batches it fills in an epoch.
        left_out: rows of it that an epoch does not show; which ones changes from epoch to epoch,
            unless the task is smaller than a batch: then it is all of them, always.
    """

    task_id: int
    rows: int
    batches: int
    left_out: int


class SameTaskBatchSampler:
    """Yields, for one rank, its part of each global batch; all rows of a global batch are of one task.

    1. The rows of each task are shuffled and cut into global batches; the remainder waits for another epoch.
    2. The batches of all tasks are shuffled together, so a task appears in proportion to its rows.
    3. Each rank takes its slice of each batch. Order depends on seed and epoch alone, so ranks agree.

    The released training script cut the file on a fixed grid instead: the same neighbours shared a batch in every
    epoch.

    Attributes:
        epoch: which of the orders ``iter`` gives; set by ``set_epoch``.
        sampler: this object. Lightning tells ``batch_sampler.sampler`` the epoch, nothing else.
    """

    def __init__(
        self, task_ids: Sequence[int], global_batch_size: int, *, rank: int = 0, world_size: int = 1, seed: int = 0
    ) -> None:
        """Group the rows.

        Args:
            task_ids: the task of each row, in row order.
            global_batch_size: rows of a batch over all ranks.
            rank: this process, below ``world_size``.
            world_size: number of processes; divides ``global_batch_size``.
            seed: 0 is a seed.

        Raises:
            ConfigError: sizes that do not go together, or a negative seed.
            DataError: no task fills a batch.
        """
        if global_batch_size < 1 or global_batch_size % world_size:
            raise ConfigError(f"sampler.global_batch_size={global_batch_size} cannot be shared by {world_size} devices")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank {rank} is not one of {world_size} devices")
        if seed < 0:
            raise ConfigError(f"seed must be at least 0, got {seed}")
        self.global_batch_size = global_batch_size
        self.seed = seed
        self.epoch = 0
        self.sampler = self
        size = global_batch_size // world_size
        self.rank_slice = slice(rank * size, (rank + 1) * size)
        self.rows_by_task = _rows_by_task(task_ids)
        self._length = sum(len(rows) // global_batch_size for rows in self.rows_by_task.values())
        if not self._length:
            raise DataError(
                f"none of the {len(self.rows_by_task)} tasks has {global_batch_size} rows; "
                "lower sampler.global_batch_size or build more rows for each task"
            )
        self._first = 0  # where the next pass begins, once
        self._given = 0  # batches of this epoch that were handed out

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        first, self._first = self._first, 0
        self._given = first
        batches = self._batches()
        for number in range(first, len(batches)):
            self._given = number + 1
            yield batches[number][self.rank_slice].tolist()

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; a position to resume from belongs to its epoch only."""
        if epoch != self.epoch:
            self._first = self._given = 0
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Epoch and batches already handed out; a finished epoch is the start of the next one."""
        epochs, given = divmod(self._given, len(self))
        return {"epoch": self.epoch + epochs, "batches": given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next pass begin after the batches that were handed out when the state was saved."""
        self.epoch = int(state["epoch"])
        self._first = self._given = int(state["batches"])

    def summary(self) -> list[TaskShare]:
        """One line for each task, in order of task id."""
        size = self.global_batch_size
        return [
            TaskShare(task_id=task, rows=len(rows), batches=len(rows) // size, left_out=len(rows) % size)
            for task, rows in self.rows_by_task.items()
        ]

    def _batches(self) -> list[np.ndarray]:
        """The global batches of this epoch, each (global_batch_size,) row numbers."""
        rng = np.random.default_rng([self.seed, self.epoch])
        batches: list[np.ndarray] = []
        for rows in self.rows_by_task.values():
            order = rng.permutation(rows)
            usable = len(order) - len(order) % self.global_batch_size
            batches.extend(order[:usable].reshape(-1, self.global_batch_size))
        return [batches[index] for index in rng.permutation(len(batches))]


def _rows_by_task(task_ids: Sequence[int]) -> dict[int, np.ndarray]:
    """Task id -> its row numbers, both ascending."""
    tasks = np.asarray(task_ids, dtype=np.int64)
    order = np.argsort(tasks, kind="stable")
    names, starts = np.unique(tasks[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True)) if len(names) else {}
