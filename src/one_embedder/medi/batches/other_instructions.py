"""For each row of the training data, what its query would be asked under another task's instruction."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from one_embedder.errors import ConfigError
from one_embedder.medi.batches.strategies import Rows
from one_embedder.medi.store import Medi


class OtherInstructions:
    """Draws a query instruction that the row's own task does not have, each with the same chance.

    The draw is a function of the seed, the row's task and its query text. It does not depend on the rank, the batch or
    the step: any number of processes draw the same, and so does a run that was resumed. A row keeps its draw in every
    epoch.
    """

    def __init__(
        self, medi: Medi, rows: Rows | None, read: Callable[[str, Mapping[str, Any]], str], *, seed: int
    ) -> None:
        """Collect the instructions.

        Args:
            medi: the training data.
            rows: numbers of the rows that are trained on; None: all.
            read: (instruction, row with its ``task_name``) -> what the encoder reads of it.
            seed: of the draws.

        Raises:
            ConfigError: a task that no other one's instructions differ from.
        """
        self.seed = seed
        of_task: dict[int, set[str]] = defaultdict(set)
        for task, instruction in _instructions(medi, rows):
            of_task[task].add(read(instruction, {"task_name": medi.task_names[task]}))
        every = set().union(*of_task.values())
        self._others = {task: sorted(every - own) for task, own in of_task.items()}
        for task, others in self._others.items():
            if not others:
                raise ConfigError(
                    f"loss.other_instruction_negatives: no training task has an instruction that task {task} "
                    f"({medi.task_names[task]}) has not; train on more tasks (sampler.tasks), or switch it off"
                )

    def __call__(self, row: Mapping[str, Any]) -> str:
        """The instruction drawn for a row, as the encoder reads it."""
        rng = random.Random(f"{self.seed} {row['task_id']} {row['query_text']}")
        return rng.choice(self._others[int(row["task_id"])])


def _instructions(medi: Medi, rows: Rows | None) -> list[tuple[int, str]]:
    """Every pair of a task and one of its query instructions."""
    columns = medi.dataset.data
    table = pa.table({name: columns.column(name) for name in ("task_id", "query_instruction")})
    pairs = (table if rows is None else table.take(rows)).group_by(["task_id", "query_instruction"]).aggregate([])
    return list(zip(*(pairs.column(name).to_pylist() for name in ("task_id", "query_instruction")), strict=True))
