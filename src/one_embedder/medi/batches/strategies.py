"""Which rows share a batch, and how often each task is met.

A strategy turns task ids into an epoch's global batches. It is a function of the seed and the epoch alone, so all ranks
agree without talking to each other and any epoch can be entered anywhere. B is the global batch size, n the rows of a
task; a task of fewer than B rows is never seen, except in mixed batches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

_SHIFT_BITS = 32
_ONE = 1 << _SHIFT_BITS
_GOLDEN = int(_ONE * 0.6180339887498949)  # the fractional part of the golden ratio


@dataclass(frozen=True)
class TaskShare:
    """What one task contributes.

    Attributes:
        task_id: the task.
        rows: rows it has.
        batches: global batches of it in an epoch; the mean over epochs where it is not the same in each.
        left_out: rows of it that a pass over the task does not show; the mean where it is not the same in each. A pass
            is an epoch for ``proportional``, ``released`` and ``mixed``.
    """

    task_id: int
    rows: int
    batches: float
    left_out: float


class Strategy(ABC):
    """Cuts the rows of all tasks into global batches.

    Attributes:
        tasks: task id -> its row numbers, both ascending.
        size: B.
        seed: of all orders.
        mixes_tasks: whether a batch may hold rows of several tasks.
    """

    mixes_tasks: bool = False

    def __init__(self, task_ids: Rows, size: int, seed: int) -> None:
        self.tasks = rows_by_task(task_ids)
        self.size = size
        self.seed = seed

    @abstractmethod
    def __len__(self) -> int:
        """Global batches of an epoch, the same in each."""

    @abstractmethod
    def batches(self, epoch: int) -> Rows:
        """(len, B) row numbers of an epoch, in order."""

    def shares(self) -> list[TaskShare]:
        """One for each task, in order of task id; here by what the first epoch shows."""
        times = np.bincount(self.batches(0).ravel(), minlength=sum(map(len, self.tasks.values())))
        return [
            TaskShare(task, len(rows), float(times[rows].sum() / self.size), int((times[rows] == 0).sum()))
            for task, rows in self.tasks.items()
        ]


class Proportional(Strategy):
    """Each task in proportion to its rows.

    1. In each epoch the rows of each task are shuffled and cut into batches; the remainder waits for another epoch.
    2. The batches of all tasks are shuffled together.

    An epoch leaves out n mod B rows of each task, at most B - 1, and shows no row twice.
    """

    def __len__(self) -> int:
        return sum(len(rows) // self.size for rows in self.tasks.values())

    def batches(self, epoch: int) -> Rows:
        """See the class."""
        rng = np.random.default_rng([self.seed, epoch])
        return _shuffled([_cut(rng.permutation(rows), self.size) for rows in self.tasks.values()], rng)


class Weighted(Strategy):
    """Each task in proportion to a weight.

    1. An epoch's batches are shared out by weight. The share of a task is rounded up in some epochs and down in the
       others, so that its mean is exact and each epoch has exactly as many batches as the others.
    2. A task gives its batches in passes: its rows are shuffled and cut into batches, the n mod B rows that remain are
       left out, and once all batches were given the next pass begins with another shuffle. A pass goes on where the
       epoch before stopped.
    3. The epoch's batches of all tasks are shuffled together.

    Within a pass no row comes twice and at most B - 1 rows are left out. An epoch can hold several passes over a small
    task, and then its rows several times, or less than one over a large task.
    """

    def __init__(self, task_ids: Rows, size: int, seed: int, weights: NDArray[np.float64], length: int) -> None:
        """Share out.

        Args:
            task_ids: the task of each row.
            size: B.
            seed: of all orders.
            weights: one for each task, in order of task id; only their ratios count.
            length: batches of an epoch.
        """
        super().__init__(task_ids, size, seed)
        self._length = length
        self._rows = list(self.tasks.values())
        self._per_pass = np.array([len(rows) // size for rows in self._rows], dtype=np.int64)
        self._bounds = _bounds(np.where(self._per_pass > 0, weights, 0.0), length)

    def __len__(self) -> int:
        return self._length

    def batches(self, epoch: int) -> Rows:
        """See the class."""
        upto = self._given(np.arange(epoch + 1)).cumsum(axis=0)
        first = upto[-2] if epoch else np.zeros_like(upto[-1])
        parts = [self._of_task(number, first[number], upto[-1][number]) for number in range(len(self._rows))]
        return _shuffled(parts, np.random.default_rng([self.seed, epoch]))

    def shares(self) -> list[TaskShare]:
        """See the class."""
        means = np.diff(self._bounds, prepend=0) / _ONE
        return [
            TaskShare(task_id=task, rows=len(rows), batches=float(mean), left_out=len(rows) % self.size)
            for (task, rows), mean in zip(self.tasks.items(), means, strict=True)
        ]

    def _given(self, epochs: Rows) -> Rows:
        """(E, tasks) batches of each task in each of E epochs; each row sums to ``len(self)``.

        Systematic sampling: the tasks' shares lie end to end on a line, and a comb of unit spacing picks as many
        batches of a task as teeth fall on it. The comb moves on by the golden ratio each epoch, which evens out faster
        than chance. Integers, so that no machine rounds differently.
        """
        start = int(np.random.default_rng(self.seed).integers(_ONE))
        comb = (start + epochs.astype(np.int64) * _GOLDEN) % _ONE
        return np.diff((self._bounds + comb[:, None]) >> _SHIFT_BITS, axis=1, prepend=0)

    def _of_task(self, number: int, first: int, end: int) -> Rows:
        """(end - first, B): those batches of a task, counted from the start of the run."""
        if first == end:
            return np.empty((0, self.size), dtype=np.int64)
        per_pass = int(self._per_pass[number])
        passes = range(int(first) // per_pass, (int(end) - 1) // per_pass + 1)
        orders = (self._shuffle(number, turn).permutation(self._rows[number]) for turn in passes)
        cut = np.concatenate([_cut(order, self.size) for order in orders])
        skipped = passes.start * per_pass
        return cut[first - skipped : end - skipped]

    def _shuffle(self, number: int, turn: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number, turn)))


class Released(Strategy):
    """What the published training script does: neighbours in the file share a batch in every epoch.

    The file is cut into chunks of B rows from its first row on, wherever tasks begin. A chunk with rows of two tasks is
    dropped, as is the last one if it is not full; the others are shuffled. Up to 2 (B - 1) rows of a task are left out,
    the same in every epoch. The script shuffled once for all epochs; here each epoch has an order of its own.
    """

    def __init__(self, task_ids: Rows, size: int, seed: int) -> None:
        super().__init__(task_ids, size, seed)
        of_rows = np.asarray(task_ids)
        grid = _cut(np.arange(len(of_rows)), size)
        tasks = of_rows[grid]
        self._chunks: Rows = grid[(tasks == tasks[:, :1]).all(axis=1)]

    def __len__(self) -> int:
        return len(self._chunks)

    def batches(self, epoch: int) -> Rows:
        """See the class."""
        return _shuffled([self._chunks], np.random.default_rng([self.seed, epoch]))


class Mixed(Strategy):
    """Rows of all tasks in one batch: the ablation of same-task batches.

    In each epoch all rows are shuffled together and cut into batches. Fewer than B rows are left out, and no row comes
    twice. Only here do tasks smaller than a batch take part.
    """

    mixes_tasks = True

    def __len__(self) -> int:
        return sum(map(len, self.tasks.values())) // self.size

    def batches(self, epoch: int) -> Rows:
        """See the class."""
        rng = np.random.default_rng([self.seed, epoch])
        return _cut(rng.permutation(sum(map(len, self.tasks.values()))), self.size)

    def shares(self) -> list[TaskShare]:
        """See the class; ``batches`` adds up a task's parts of batches."""
        total = sum(map(len, self.tasks.values()))
        return [
            TaskShare(task, len(rows), len(self) * len(rows) / total, total % self.size * len(rows) / total)
            for task, rows in self.tasks.items()
        ]


def uniform(task_ids: Rows, size: int, seed: int) -> Weighted:
    """Every task that fills a batch equally often; an epoch has as many batches as a proportional one."""
    counts = _counts(task_ids)
    return Weighted(task_ids, size, seed, np.ones(len(counts)), int((counts // size).sum()))


def tempered(task_ids: Rows, size: int, seed: int, *, temperature: float) -> Weighted:
    """Weights n ** (1 / temperature): 1 is close to proportional, more is more uniform. As long as a proportional one.

    The division by the largest task changes no ratio and keeps low temperatures from overflowing.
    """
    counts = _counts(task_ids)
    weights = (counts / max(counts.max(initial=1), 1)) ** (1 / temperature)
    return Weighted(task_ids, size, seed, weights, int((counts // size).sum()))


def capped(task_ids: Rows, size: int, seed: int, *, cap: int) -> Weighted:
    """A task counts as ``cap`` rows at most: it gives min(n, cap) // B batches in each epoch, which is so much shorter.

    Other rows of a large task come in other epochs, until all were seen.
    """
    batches = np.minimum(_counts(task_ids), cap) // size
    return Weighted(task_ids, size, seed, batches.astype(np.float64), int(batches.sum()))


def rows_by_task(task_ids: Rows) -> dict[int, Rows]:
    """Task id -> its row numbers, both ascending."""
    tasks = np.asarray(task_ids, dtype=np.int64)
    order = np.argsort(tasks, kind="stable")
    names, starts = np.unique(tasks[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True)) if len(names) else {}


def _counts(task_ids: Rows) -> Rows:
    """Rows of each task, in order of task id."""
    return np.unique(np.asarray(task_ids, dtype=np.int64), return_counts=True)[1]


def _cut(rows: Rows, size: int) -> Rows:
    """(rows // size, size): full batches, in order."""
    return rows[: len(rows) - len(rows) % size].reshape(-1, size)


def _shuffled(parts: list[Rows], rng: np.random.Generator) -> Rows:
    """All batches of all parts, in another order."""
    if not parts:
        return np.empty((0, 0), dtype=np.int64)
    batches = np.concatenate(parts)
    shuffled: Rows = batches[rng.permutation(len(batches))]
    return shuffled


def _bounds(weights: NDArray[np.float64], length: int) -> Rows:
    """Where each task's share of ``length`` ends on the line of all shares, in units of 2 ** -32; exact at its end."""
    if not len(weights) or not weights.sum():
        return np.zeros(len(weights), dtype=np.int64)
    ends: Rows = np.rint(weights.cumsum() / weights.sum() * length * _ONE).astype(np.int64)
    last = int(np.flatnonzero(weights)[-1])
    ends[last:] = length * _ONE
    return ends
