"""What training data consist of: sizes, lengths and instructions, counted from the rows on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from one_embedder.instructions.template import Instruction
from one_embedder.medi.row import RELEASED_KEYS
from one_embedder.medi.store import DATA_FILE

SIDES = tuple(RELEASED_KEYS.values())
BATCHES_AT_ONCE = 50


@dataclass
class TaskSurvey:
    """One task.

    Attributes:
        name: of the task.
        example: the texts of its first row: query, positive, negative.
        rows: how many it has.
        characters: side -> characters of all its texts.
        instructions: side -> instruction -> rows.
    """

    name: str
    example: tuple[str, str, str]
    rows: int = 0
    characters: Counter[str] = field(default_factory=Counter)
    instructions: Mapping[str, Counter[str]] = field(default_factory=lambda: {side: Counter() for side in SIDES})

    def mean_characters(self, side: str) -> float:
        """Of its texts on that side."""
        return self.characters[side] / self.rows


@dataclass(frozen=True)
class Survey:
    """All tasks.

    Attributes:
        tasks: in the order in which they appear.
        lengths: side -> (rows,) int32, characters of each text.
    """

    tasks: list[TaskSurvey]
    lengths: Mapping[str, NDArray[np.int32]]

    @property
    def rows(self) -> int:
        """Of all tasks."""
        return sum(task.rows for task in self.tasks)

    def instructions(self) -> Counter[str]:
        """Instruction -> texts that it stands before, on any side."""
        return sum((counts for task in self.tasks for counts in task.instructions.values()), Counter())


def survey(folder: Path) -> Survey:
    """Count what is in a folder written by ``write_medi``, in bounded memory: 12 bytes a row and a few batches."""
    tasks: dict[int, TaskSurvey] = {}
    lengths: dict[str, list[NDArray[np.int32]]] = {side: [] for side in SIDES}
    for table in _tables(folder / DATA_FILE):
        _count_rows(table, tasks)
        for side in SIDES:
            _count_instructions(table, side, tasks)
            lengths[side].append(_count_characters(table, side, tasks))
    return Survey(list(tasks.values()), {side: np.concatenate(parts) for side, parts in lengths.items()})


def is_of_the_template(instruction: str) -> bool:
    """Whether an instruction has the form of the paper's template, in any of its published spellings."""
    try:
        Instruction.parse(instruction)
    except ValueError:
        return False
    return True


def _tables(path: Path) -> Iterator[pa.Table]:
    """The file in pieces; read, not mapped, so that what was seen does not stay in memory."""
    with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as batches:
        iterator = iter(batches)
        while some := list(islice(iterator, BATCHES_AT_ONCE)):
            yield pa.Table.from_batches(some)


def _count_rows(table: pa.Table, tasks: dict[int, TaskSurvey]) -> None:
    ids = table["task_id"].to_numpy()
    present, first, counts = np.unique(ids, return_index=True, return_counts=True)
    for place in np.argsort(first):
        task_id = int(present[place])
        if task_id not in tasks:
            row = table.slice(int(first[place]), 1).to_pylist()[0]
            query, positive, negative = (row[f"{side}_text"] for side in SIDES)
            tasks[task_id] = TaskSurvey(row["task_name"], (query, positive, negative))
        tasks[task_id].rows += int(counts[place])


def _count_instructions(table: pa.Table, side: str, tasks: Mapping[int, TaskSurvey]) -> None:
    column = f"{side}_instruction"
    for group in table.group_by(["task_id", column]).aggregate([([], "count_all")]).to_pylist():
        tasks[group["task_id"]].instructions[side][group[column]] += group["count_all"]


def _count_characters(table: pa.Table, side: str, tasks: Mapping[int, TaskSurvey]) -> NDArray[np.int32]:
    lengths: NDArray[np.int32] = pc.utf8_length(table[f"{side}_text"]).to_numpy()
    present, which = np.unique(table["task_id"].to_numpy(), return_inverse=True)
    for task_id, characters in zip(present, np.bincount(which, weights=lengths), strict=True):
        tasks[int(task_id)].characters[side] += int(characters)
    return lengths
