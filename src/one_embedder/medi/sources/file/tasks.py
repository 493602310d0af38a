"""Which task a row belongs to, where the row does not say so by ``task_id``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError

_NUMBERED = re.compile(r"(?:.*[-_.])?(\d+)")


class TaskNumbers:
    """Gives ids to rows of older files, whose key is ``task_name``, and to files of one task each.

    Names get ids in the order in which their first accepted rows appear. A file of JSON lines whose rows name no task
    is a task, as in GritLM's copy: one whose name ends in a number (``medi-data-hardnegatives-instruct-17.jsonl``) has
    that id, as if its rows had said so, and no other file may. Other files may be parts of a whole, so their rows have
    to name it.
    """

    def __init__(self, known: Mapping[int, str]) -> None:
        """Begin with the tasks (id -> name) that earlier rows have."""
        self._known = known
        self._ids: dict[str, int] = {}
        self._numbered: dict[int, Path] = {}

    def with_id(self, record: Any, path: Path) -> Any:
        """The record with its ``task_id``; what is no record, or has one, is returned as it is.

        Raises:
            DataError: another file, whose rows name no task either, has a name with the same number.
        """
        if not isinstance(record, Mapping) or record.get("task_id") is not None:
            return record
        if "task_name" in record:
            name = record["task_name"]
            return {**record, "task_id": self._id_of(name)} if isinstance(name, str) else record
        if ".jsonl" not in path.suffixes:
            return record
        stem = path.name.split(".")[0]
        if numbered := _NUMBERED.fullmatch(stem):
            return {**record, "task_id": self._of_file(int(numbered[1]), path)}
        return {**record, "task_id": self._id_of(stem), "task_name": stem}

    def _id_of(self, name: str) -> int:
        if name not in self._ids:  # other tasks may have become known since
            self._ids = {known: number for number, known in self._known.items()}
        return self._ids.get(name, max(self._known, default=-1) + 1)

    def _of_file(self, number: int, path: Path) -> int:
        first = self._numbered.setdefault(number, path)
        if first != path:
            raise DataError(
                f"{path}: its rows name no task, and its name ends in {number} as that of {first} does, so that both "
                f"would be task {number}; rename one of the files, or write task_name into the rows"
            )
        return number
