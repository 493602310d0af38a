"""The rows that were not taken: where each is, why, and how it begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError

QUARANTINE_FILE = "quarantine.jsonl"
ROWS_BEFORE_JUDGING = 1000
_SHOWN = 500


class Quarantine:
    """A JSON-lines file of rejected rows, and the limit above which a source is refused as a whole.

    Attributes:
        rows: how many were rejected.
    """

    def __init__(self, path: Path, limit: float, told: Path) -> None:
        """Begin the file ``path``; ``limit`` is the share of all rows that may be rejected, 0 to 1.

        ``told`` is where the file will lie at the end, for messages.
        """
        self.rows = 0
        self._limit, self._told = limit, told
        self._path = path
        self._last = ""
        self._file = path.open("w", encoding="utf-8")

    def add(self, path: Path, row: int, reason: str, content: Any) -> None:
        """Note a row.

        Args:
            path: the file that it is in.
            row: its number there, from 1.
            reason: why it cannot be used.
            content: as far as it could be read; cut short.
        """
        shown = content if isinstance(content, str) else json.dumps(content, default=str)
        line = {"file": path.name, "row": row, "reason": reason, "content": shown[:_SHOWN]}
        self._file.write(json.dumps(line) + "\n")
        self.rows += 1
        self._last = f"{path} row {row}: {reason}"

    def judge(self, of_rows: int, *, at_end: bool = False) -> None:
        """Refuse the source if too many of the rows seen so far were rejected.

        Raises:
            DataError: naming the limit, the file of rejected rows and the last of them.
        """
        if self.rows > self._limit * of_rows and (at_end or of_rows >= ROWS_BEFORE_JUDGING):
            self._file.flush()
            raise DataError(
                f"{self.rows} of the first {of_rows} rows cannot be used, more than medi.max_rejected={self._limit:g} "
                f"of them; see {self._told}, mend the source or raise the limit\n  the last one: {self._last}"
            )

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
