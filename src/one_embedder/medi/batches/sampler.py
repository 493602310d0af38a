"""Batches of one task: the heart of INSTRUCTOR's batching."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from one_embedder.config.own_class import imported, made
from one_embedder.errors import ConfigError, DataError
from one_embedder.medi.batches.strategies import (
    Mixed,
    Proportional,
    Released,
    Rows,
    Strategy,
    TaskShare,
    capped,
    tempered,
    uniform,
)

STRATEGIES = ("proportional", "uniform", "temperature", "capped", "released", "mixed")


class SameTaskBatchSampler:
    """Yields, for one rank, its part of each global batch; all rows of a global batch are of one task.

    A strategy (see ``strategies``) makes the global batches of an epoch from the seed and the epoch alone, and each
    rank takes its slice of each: ranks agree, and all have the same number of steps. The strategy ``mixed`` is an
    ablation whose batches hold rows of all tasks.

    Attributes:
        epoch: which of the orders ``iter`` gives; set by ``set_epoch``.
        sampler: this object. Lightning tells ``batch_sampler.sampler`` the epoch, nothing else.
    """

    def __init__(
        self,
        task_ids: Sequence[int] | Rows,
        global_batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        strategy: str | Mapping[str, Any] = "proportional",
        temperature: float | None = None,
        cap: int | None = None,
        rows: Rows | None = None,
    ) -> None:
        """Group the rows.

        Args:
            task_ids: the task of each row of the data, in their order.
            global_batch_size: rows of a batch over all ranks.
            rank: this process, below ``world_size``.
            world_size: number of processes; divides ``global_batch_size``.
            seed: 0 is a seed.
            strategy: one of ``STRATEGIES``, or ``_target_`` and the arguments of another ``Strategy``.
            temperature: of the strategy ``temperature``.
            cap: rows, of the strategy ``capped``.
            rows: numbers of the rows that may be used, ascending, as if there were no others; None: all.

        Raises:
            ConfigError: sizes or settings that do not go together, or a negative seed.
            DataError: no batch can be filled.
        """
        if global_batch_size < 1 or global_batch_size % world_size:
            raise ConfigError(f"sampler.global_batch_size={global_batch_size} cannot be shared by {world_size} devices")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank {rank} is not one of {world_size} devices")
        if seed < 0:
            raise ConfigError(f"seed must be at least 0, got {seed}")
        self.epoch = 0
        self.sampler = self
        size = global_batch_size // world_size
        self.rank_slice = slice(rank * size, (rank + 1) * size)
        tasks = np.asarray(task_ids, dtype=np.int64)
        self._rows: Rows = np.arange(len(tasks)) if rows is None else rows
        tasks = tasks[self._rows]
        self._strategy = _strategy(tasks, global_batch_size, seed, strategy, temperature, cap)
        self._length = len(self._strategy)
        if not self._length:
            raise DataError(_no_batch(self._strategy))
        self._first = 0  # where the next pass begins, once
        self._given = 0  # batches of this epoch that were handed out

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        first, self._first = self._first, 0
        self._given = first
        batches = self._strategy.batches(self.epoch)
        if batches.shape != (self._length, self._strategy.size):
            raise DataError(
                f"{type(self._strategy).__name__}.batches gave an array of shape {batches.shape}, not "
                f"{(self._length, self._strategy.size)}: its len(), and the global batch size"
            )
        for number in range(first, len(batches)):
            self._given = number + 1
            yield self._rows[batches[number][self.rank_slice]].tolist()

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
        return self._strategy.shares()


def mixes_tasks(strategy: str | Mapping[str, Any]) -> bool:
    """Whether batches of the configured strategy may hold rows of several tasks."""
    if isinstance(strategy, str):
        return strategy == "mixed"
    return bool(getattr(imported("sampler.strategy", strategy), "mixes_tasks", False))


def _strategy(
    tasks: Rows, size: int, seed: int, name: str | Mapping[str, Any], temperature: float | None, cap: int | None
) -> Strategy:
    """The strategy of that name or class.

    Raises:
        ConfigError: it is unknown, or lacks its setting.
    """
    if not isinstance(name, str):
        strategy: Strategy = made("sampler.strategy", name, Strategy, tasks, size, seed)
        return strategy
    if name == "temperature":
        if temperature is None or not temperature > 0:
            raise ConfigError(f"sampler.strategy=temperature needs sampler.temperature > 0, got {temperature}")
        return tempered(tasks, size, seed, temperature=temperature)
    if name == "capped":
        if cap is None or cap < size:
            raise ConfigError(f"sampler.strategy=capped needs sampler.cap of a batch ({size} rows) or more, got {cap}")
        return capped(tasks, size, seed, cap=cap)
    plain: dict[str, Callable[[Rows, int, int], Strategy]] = {
        "proportional": Proportional,
        "uniform": uniform,
        "released": Released,
        "mixed": Mixed,
    }
    if name not in plain:
        raise ConfigError(f"sampler.strategy={name!r} is unknown; use one of {', '.join(STRATEGIES)}")
    return plain[name](tasks, size, seed)


def _no_batch(strategy: Strategy) -> str:
    rows = max(map(len, strategy.tasks.values()), default=0)
    trouble = f"none of the {len(strategy.tasks)} tasks has {strategy.size} rows"
    if strategy.mixes_tasks:
        trouble = f"all tasks together have fewer than {strategy.size} rows"
    elif rows >= strategy.size:
        trouble = f"no chunk of {strategy.size} rows of the file is of one task"
    return f"{trouble}; lower sampler.global_batch_size or build more rows for each task"
