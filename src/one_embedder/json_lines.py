"""JSON-lines files of a folder: one object a line, ``.jsonl`` or ``.jsonl.gz``, UTF-8."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError

SUFFIXES = (".jsonl.gz", ".jsonl")


@dataclass(frozen=True)
class JsonLines:
    """The rows of one file, and checked access to their fields.

    Attributes:
        path: the file, named in every error.
        rows: one JSON object a line, in file order.
    """

    path: Path
    rows: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path, name: str) -> JsonLines:
        """Read ``<folder>/<name>.jsonl.gz`` or ``<folder>/<name>.jsonl``.

        Raises:
            DataError: if neither file exists, the file holds no row, or a line is not a JSON object.
        """
        path = find_file(folder, name)
        rows = [_parse(path, number, line) for number, line in enumerate(_lines(path), start=1)]
        if not rows:
            raise DataError(f"{path}: the file has no rows; write at least one JSON object, or remove the task folder")
        return cls(path, rows)

    def __len__(self) -> int:
        return len(self.rows)

    def error(self, row: int, problem: str) -> DataError:
        """The error for the row with 0-based index ``row``; the message counts lines from 1."""
        return DataError(f"{self.path}, row {row + 1}: {problem}")

    def values(self, field: str) -> list[Any]:
        """One value a row.

        Raises:
            DataError: if a row lacks the field or holds null.
        """
        return [self.value(row, field) for row in range(len(self))]

    def value(self, row: int, field: str) -> Any:
        """The value of one row; errors as in ``values``."""
        values = self.rows[row]
        if values.get(field) is None:
            raise self.error(row, f"field '{field}' is missing; the row has {sorted(values)}")
        return values[field]

    def texts(self, field: str) -> list[str]:
        """One non-empty text a row.

        Raises:
            DataError: if a text is missing, not a string, or blank.
        """
        return [self.text(row, field) for row in range(len(self))]

    def text(self, row: int, field: str) -> str:
        """The non-empty text of one row; errors as in ``texts``."""
        text = self.value(row, field)
        self._check_text(row, field, text)
        return str(text)

    def text_lists(self, field: str) -> list[list[str]]:
        """One non-empty list of non-empty texts a row."""
        return [self.text_list(row, field) for row in range(len(self))]

    def text_list(self, row: int, field: str) -> list[str]:
        """The non-empty list of non-empty texts of one row."""
        texts = self.value(row, field)
        if not isinstance(texts, list) or not texts:
            raise self.error(row, f"field '{field}' must be a list of at least one text")
        for text in texts:
            self._check_text(row, field, text)
        return list(texts)

    def numbers(self, field: str) -> list[float]:
        """One finite number a row."""
        return [self._number(row, field, value) for row, value in enumerate(self.values(field))]

    def number_lists(self, field: str) -> list[list[float]]:
        """One list of finite numbers a row."""
        lists = self.values(field)
        for row, values in enumerate(lists):
            if not isinstance(values, list):
                raise self.error(row, f"field '{field}' must be a list of numbers")
        return [[self._number(row, field, value) for value in values] for row, values in enumerate(lists)]

    def ids(self, field: str) -> list[str]:
        """One identifier a row, as text.

        Raises:
            DataError: if two rows have the same identifier.
        """
        ids = [str(value) for value in self.values(field)]
        seen: set[str] = set()
        for row, identifier in enumerate(ids):
            if identifier in seen:
                raise self.error(row, f"'{field}' {identifier!r} occurs twice; identifiers must be unique")
            seen.add(identifier)
        return ids

    def labels(self, field: str = "label") -> list[str | int]:
        """One label a row.

        Raises:
            DataError: if a label is neither text nor integer, or if all rows have the same label.
        """
        labels = self.values(field)
        for row, label in enumerate(labels):
            if not isinstance(label, str | int):
                raise self.error(row, f"field '{field}' must be text or an integer, got {label!r}")
        if len(set(labels)) < 2:
            raise DataError(f"{self.path}: every row has the {field} {labels[0]!r}; a task needs at least two classes")
        return labels

    def _check_text(self, row: int, field: str, text: Any) -> None:
        if not isinstance(text, str):
            raise self.error(row, f"field '{field}' must be text, got {text!r}")
        if not text.strip():
            raise self.error(row, f"field '{field}' is empty; an embedding needs a text, remove the row")

    def _number(self, row: int, field: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(row, f"field '{field}' must be a finite number, got {value!r}")
        return float(value)


def find_file(folder: Path, name: str) -> Path:
    """The path of ``name`` with one of the known suffixes.

    Raises:
        DataError: if the folder has no such file.
    """
    for suffix in SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    raise DataError(f"{folder}: no {name}.jsonl or {name}.jsonl.gz; the folder holds {there or 'nothing'}")


def content_sha256(folder: Path) -> str:
    """Hash of the names and the uncompressed bytes of the folder's JSON-lines files.

    Compression is left out, so that the same rows packed at another level are the same data.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name.endswith(SUFFIXES):
            content = b"".join(_lines(path))
            digest.update(f"{path.name.removesuffix('.gz')}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[bytes]:
    """Lines split at newlines only: some texts hold other characters that ``str.splitlines`` breaks at."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield from stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: not a complete gzip file ({error}); write or copy it again") from error


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:  # covers broken JSON and broken UTF-8
        raise DataError(f"{path}, row {number}: not a JSON object ({error}); repair or remove the line") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}, row {number}: not a JSON object but {type(row).__name__}; repair or remove the line")
    return row
