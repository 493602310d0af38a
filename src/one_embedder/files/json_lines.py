"""JSON-lines files of a folder: one object a line, ``.jsonl`` or ``.jsonl.gz``, UTF-8."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.files.documents import without_repeated_keys
from one_embedder.files.text import LongNumber, fault, shown
from one_embedder.files.unpacked import lines_of, unpacked

SUFFIXES = (".jsonl.gz", ".jsonl")


@dataclass(frozen=True)
class JsonLines:
    """The rows of one file, and checked access to their fields.

    Attributes:
        path: the file, named in every error.
        rows: one JSON object a line, in file order.
        first_line: the line of the first row; 2 where a header stands above it.
    """

    path: Path
    rows: list[dict[str, Any]]
    first_line: int = 1

    @classmethod
    def read(cls, folder: Path, name: str) -> JsonLines:
        """Read ``<folder>/<name>.jsonl.gz`` or ``<folder>/<name>.jsonl``; blank lines at the end are no rows.

        Raises:
            DataError: if neither file exists or both do, the file holds no row, or a line is not a JSON object.
        """
        path = find_file(folder, name)
        rows = list(read_objects(path))
        if not rows:
            raise DataError(f"{path}: the file has no rows; write at least one JSON object, or remove the task folder")
        return cls(path, rows)

    def __len__(self) -> int:
        return len(self.rows)

    def error(self, row: int, problem: str) -> DataError:
        """The error for the row with 0-based index ``row``; the message counts lines from 1."""
        return DataError(f"{self.path}, row {row + self.first_line}: {problem}")

    def values(self, field: str) -> list[Any]:
        """One value a row.

        Raises:
            DataError: if a row lacks the field or holds null.
        """
        return [self.value(row, field) for row in range(len(self))]

    def value(self, row: int, field: str) -> Any:
        """The value of one row; errors as in ``values``."""
        values = self.rows[row]
        if values.get(field) is not None:
            return values[field]
        if field in values:
            raise self.error(row, f"field '{field}' is null; give it a value or remove the row")
        raise self.error(row, f"field '{field}' is missing; the row has {sorted(values)}")

    def texts(self, field: str) -> list[str]:
        """One non-empty text a row.

        Raises:
            DataError: if a text is missing, not a string, or blank.
        """
        return [self.text(row, field) for row in range(len(self))]

    def text(self, row: int, field: str) -> str:
        """The non-empty text of one row; errors as in ``texts``."""
        return self._text(row, field, self.value(row, field))

    def string(self, row: int, field: str) -> str:
        """The text of one row, which may be empty; errors as in ``texts`` otherwise."""
        return self._string(row, field, self.value(row, field))

    def text_lists(self, field: str) -> list[list[str]]:
        """One non-empty list of non-empty texts a row."""
        return [self.text_list(row, field) for row in range(len(self))]

    def text_list(self, row: int, field: str) -> list[str]:
        """The non-empty list of non-empty texts of one row."""
        texts = self.value(row, field)
        if not isinstance(texts, list) or not texts:
            raise self.error(row, f"field '{field}' must be a list of at least one text")
        return [self._text(row, field, text) for text in texts]

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
        """One identifier a row, as ``keys``, none twice.

        Raises:
            DataError: as ``keys``, or if two rows have the same identifier.
        """
        ids = self.keys(field)
        seen: set[str] = set()
        for row, identifier in enumerate(ids):
            if identifier in seen:
                raise self.error(row, f"'{field}' {identifier!r} occurs twice; identifiers must be unique")
            seen.add(identifier)
        return ids

    def keys(self, field: str) -> list[str]:
        """What names something in one or more rows: a text, or an integer written as one.

        Raises:
            DataError: if a row has none, or one that holds nothing or a character that libraries in C cannot take.
        """
        return [self.key(row, field) for row in range(len(self))]

    def key(self, row: int, field: str) -> str:
        """The key of one row; errors as in ``keys``."""
        value = self.value(row, field)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self.error(row, f"field '{field}' must be text or an integer, got {shown(value)}")
        if (wrong := fault(value)) is not None:
            raise self.error(row, f"field '{field}' {wrong}")
        if not value or "\0" in value:  # which in C ends a text, so that two may become one
            raise self.error(row, f"field '{field}' is {value!r}; an identifier needs a character and none that is \\0")
        return value

    def labels(self, field: str = "label", *, classes: int = 2, truth: bool = False) -> list[str | int]:
        """One label a row.

        Args:
            field: that holds it.
            classes: different ones that there have to be.
            truth: whether true and false are labels too.

        Raises:
            DataError: if a label is neither text nor integer, or is blank; if one is written in two ways, as 1 and "1";
                if fewer than ``classes`` differ.
        """
        labels = self.values(field)
        for row, label in enumerate(labels):
            if (isinstance(label, bool) and not truth) or not isinstance(label, str | int):
                raise self.error(row, f"field '{field}' must be text or an integer, got {shown(label)}")
            if isinstance(label, str) and not self._string(row, field, label).strip():
                raise self.error(row, f"field '{field}' is empty; name the class or remove the row")
        self.refuse_second_spellings(field, labels)
        if len(set(labels)) < classes:
            raise DataError(f"{self.path}: every row has the {field} {labels[0]!r}; a task needs at least two classes")
        return labels

    def refuse_second_spellings(self, field: str, labels: Sequence[str | int | None]) -> None:
        """One class that is written as a number and as a text, or with spaces around it, would silently be two.

        Args:
            field: that holds the label.
            labels: one a row; None where it has none.

        Raises:
            DataError: naming both rows.
        """
        first: dict[str, int] = {}
        for row, label in enumerate(labels):
            if label is None:
                continue
            earlier = first.setdefault(same_label(label), row)
            if labels[earlier] != label:
                raise self.error(
                    row,
                    f"field '{field}' is {shown(label)}, and row {earlier + self.first_line} has "
                    f"{shown(labels[earlier])}; write the class in one way",
                )

    def refuse_contradictions(self, judged: Iterable[Hashable], verdicts: Sequence[Any], field: str) -> None:
        """Refuse a row that says of the same thing something else than an earlier one.

        Args:
            judged: what each row is about.
            verdicts: what it says of that.
            field: where it says so.

        Raises:
            DataError: naming both rows.
        """
        first: dict[Hashable, int] = {}
        for row, thing in enumerate(judged):
            earlier = first.setdefault(thing, row)
            if verdicts[earlier] != verdicts[row]:
                raise self.error(
                    row,
                    f"field '{field}' is {shown(verdicts[row])}, and row {earlier + self.first_line} has "
                    f"{shown(verdicts[earlier])} for the same texts; keep the one that is right",
                )

    def _text(self, row: int, field: str, value: Any) -> str:
        text = self._string(row, field, value)
        if not text.strip():
            raise self.error(row, f"field '{field}' is empty; an embedding needs a text, remove the row")
        return text

    def _string(self, row: int, field: str, value: Any) -> str:
        if (wrong := fault(value)) is not None:
            raise self.error(row, f"field '{field}' {wrong}; correct it or remove the row")
        return str(value)

    def _number(self, row: int, field: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(_rounded(value)):
            raise self.error(row, f"field '{field}' must be a finite number, got {shown(value)}")
        return float(value)


def same_label(label: str | int) -> str:
    """The form in which two labels are one class."""
    return str(label).strip()


def find_file(folder: Path, name: str) -> Path:
    """The path of ``name`` with one of the known suffixes.

    Raises:
        DataError: if the folder has no such file, or has it with both.
    """
    if Path(name).name != name:
        raise DataError(f"{folder}: {name!r} is a path; name a file of the folder, without its ending")
    found = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()]
    if len(found) > 1:
        raise DataError(f"{folder}: holds both {found[0].name} and {found[1].name}; keep the one that is meant")
    if found:
        return found[0]
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    raise DataError(f"{folder}: no {name}.jsonl or {name}.jsonl.gz; the folder holds {there or 'nothing'}")


def content_sha256(folder: Path) -> str:
    """Hash of the names and the uncompressed bytes of the folder's JSON-lines files, and of BEIR's ``qrels/*.tsv``.

    Compression is left out, so that the same rows packed at another level are the same data.
    """
    digest = hashlib.sha256()
    rows = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
    for path in [*rows, *sorted(folder.glob("qrels/*.tsv"))]:
        content = b"".join(read_lines(path))
        digest.update(f"{path.relative_to(folder).as_posix().removesuffix('.gz')}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def decoded(line: bytes) -> Any:
    """The JSON value of a line; an integer that Python does not read is a ``LongNumber`` there.

    Raises:
        ValueError: if it is no JSON, nested too deeply, or has a key twice in one object.
    """
    try:
        return _DECODER.decode(line.decode(json.detect_encoding(line), "surrogatepass"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def without_blank_end(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines without blank ones that nothing follows."""
    blank: list[bytes] = []
    for line in lines:
        if line.isspace():
            blank.append(line)
            continue
        yield from blank
        blank = []
        yield line


def _integer(digits: str) -> int | LongNumber:
    try:
        return int(digits)
    except ValueError:
        return LongNumber(len(digits.lstrip("-")))


_DECODER = json.JSONDecoder(parse_int=_integer, object_pairs_hook=without_repeated_keys)


def _rounded(value: float) -> float:
    """A number as a float; infinite where it is an integer beyond all floats."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file; blank lines at its end are none.

    Raises:
        DataError: if a line is not a JSON object; it names file and row.
    """
    return (_parse(path, number, line) for number, line in enumerate(without_blank_end(read_lines(path)), start=1))


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file; raises as ``unpacked`` and ``lines_of``."""
    with unpacked(path) as file:
        yield from lines_of(file, path)


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = decoded(line)
    except ValueError as error:  # covers broken JSON and broken UTF-8
        raise DataError(f"{path}, row {number}: not a JSON object ({error}); repair or remove the line") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}, row {number}: not a JSON object but {type(row).__name__}; repair or remove the line")
    return row
