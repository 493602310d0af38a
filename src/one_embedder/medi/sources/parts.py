"""Training data built task by task: a finished task is a part on disk, and one that fails does not lose the others."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from one_embedder.errors import DataError
from one_embedder.medi.row import MediRow, from_released, to_released

logger = logging.getLogger(__name__)

PARTS = ".parts"


class TaskBuilder(Protocol):
    """One task of the training data, not built yet."""

    @property
    def name(self) -> str:
        """Unique among the tasks of a build."""

    @property
    def key(self) -> str:
        """A text that differs wherever the rows would."""

    def build(self) -> tuple[Sequence[MediRow], Mapping[str, Any]]:
        """The rows, of any task id, and JSON values about how they came to be.

        Raises:
            DataError: if the task cannot be built.
        """


@dataclass(frozen=True)
class Part:
    """A finished task on disk.

    Attributes:
        name: of the task.
        rows: how many.
        about: what its builder said.
        path: JSON lines in the released form.
    """

    name: str
    rows: int
    about: Mapping[str, Any]
    path: Path

    def read(self, task_id: int) -> Iterator[MediRow]:
        """The rows, with this task id."""
        with self.path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                row = from_released(json.loads(line), f"{self.path} row {number}")
                yield replace(row, task_id=task_id, task_name=self.name)


def finished(builder: TaskBuilder, work: Path) -> Part | None:
    """The task as an earlier try of this build left it, or None."""
    path = _path(builder, work)
    about = path.with_suffix(".json")
    if not about.is_file():
        return None
    said = json.loads(about.read_text(encoding="utf-8"))
    return Part(builder.name, said["rows"], said["about"], path)


def build_parts(builders: Sequence[TaskBuilder], work: Path) -> list[Part]:
    """Every task, in order; those that an earlier try finished are not built again.

    Raises:
        DataError: once all the others are finished, naming every task that failed and why.
    """
    parts: list[Part] = []
    failures: dict[str, list[str]] = {}
    for number, builder in enumerate(builders, start=1):
        part = finished(builder, work)
        logger.info("task %d of %d: %s%s", number, len(builders), builder.name, " is finished" if part else "")
        try:
            parts.append(part or _build(builder, work))
        except DataError as error:
            logger.error("%s cannot be built: %s", builder.name, error)
            failures.setdefault(str(error), []).append(builder.name)
    if failures:
        told = "\n".join(f"  {', '.join(names)}: {why}" for why, names in failures.items())
        raise DataError(
            f"tasks that cannot be built: {sum(map(len, failures.values()))} of {len(builders)}\n{told}\n"
            "the others are finished and kept; run the same again, which tries these alone, or choose without them"
        )
    return parts


def _build(builder: TaskBuilder, work: Path) -> Part:
    rows, about = builder.build()
    path = _path(builder, work)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(to_released(row), ensure_ascii=False) + "\n" for row in rows)
    partial.replace(path)
    done = path.with_suffix(".done")
    done.write_text(json.dumps({"rows": len(rows), "about": dict(about)}), encoding="utf-8")
    done.replace(path.with_suffix(".json"))  # last: with it the part is whole
    return Part(builder.name, len(rows), about, path)


def _path(builder: TaskBuilder, work: Path) -> Path:
    key = hashlib.sha256(builder.key.encode()).hexdigest()[:12]
    return work / PARTS / f"{builder.name}.{key}.jsonl"
