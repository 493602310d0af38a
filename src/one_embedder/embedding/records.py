"""The texts of a file, one after another, in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from one_embedder.errors import ConfigError, DataError
from one_embedder.extras import needing
from one_embedder.files.delimited import Line, Place, csv_rows, require_columns, tsv_rows
from one_embedder.files.json_lines import decoded
from one_embedder.files.text import fault
from one_embedder.files.unpacked import lines_of, unpacked

_PARQUET_ROWS = 1024  # read together
_IN_QUOTES = re.compile(r'"(?:[^"]|"")*"')  # as CSV would write a cell


class Record(NamedTuple):
    """A text and its instruction, ``""`` for none."""

    instruction: str
    text: str


class RecordFile:
    """A file of texts, read anew by every iteration.

    ``.jsonl`` and ``.ndjson`` hold an object or a string a line, and blank lines are skipped; ``.txt`` holds a text a
    line, blank ones included; ``.csv`` (with quotes where needed) and ``.tsv`` (without quotes) have a header; all of
    these may end with ``.gz``. ``.parquet`` has columns.

    Args:
        path: the file; its name's ending says how it is read.
        text_field: field or column of the text.
        instruction_field: field or column of each text's instruction, or None.
        instruction: of all texts, where no field is named; None says nothing of it, ``""`` is none.
        quoted: the cells of a ``.tsv`` are quoted as those of a ``.csv`` are.

    Attributes:
        reading: how the file is read: "jsonl", "tsv", "tsv, quoted". The same bytes read otherwise are other texts.
        notes: what the last whole reading has to tell: rows over several lines, quotes that were read as text.

    Raises:
        DataError: if there is no such file.
        ConfigError: if the ending is unknown or has no use for ``quoted``, or an instruction is named in both ways or
            in one the file lacks.
    """

    def __init__(
        self,
        path: Path,
        *,
        text_field: str = "text",
        instruction_field: str | None = None,
        instruction: str | None = None,
        quoted: bool = False,
    ) -> None:
        self.path = Path(path)
        self.text_field = text_field
        self.instruction_field = instruction_field
        self.instruction = instruction
        kind = self.path.name.lower().removesuffix(".gz").rpartition(".")[2]
        if kind not in _READERS or (kind == "parquet" and self.path.suffix.lower() == ".gz"):
            known = ", ".join(f".{name}" for name in _READERS)
            raise ConfigError(f"{self.path}: a file of texts ends with one of {known}; rename or convert it")
        if instruction_field is not None and instruction:
            raise ConfigError("one instruction for all texts and a field of instructions exclude each other; drop one")
        if instruction_field is not None and kind == "txt":
            raise ConfigError(
                f"{self.path} has no fields; an instruction of its own for each text needs .jsonl or .csv"
            )
        if quoted and kind != "tsv":
            raise ConfigError(f"{self.path}: only the cells of a .tsv may be quoted or not; drop --quoted")
        if not self.path.is_file():
            raise DataError(f"there is no file {self.path}")
        self.reading = f"{kind}, quoted" if quoted else kind
        self._rows = _QUOTED_TSV if quoted else _READERS[kind]
        self._takes_quotes_as_text = kind == "tsv" and not quoted
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Record]:
        """Every text in the order of the file.

        Raises:
            DataError: naming file, line or row, field and remedy, at the first row that cannot be used.
        """
        fields = [self.text_field] + ([self.instruction_field] if self.instruction_field is not None else [])
        spread = quoted = 0
        for place, row in self._rows(self.path, fields):
            text = self._value(row, self.text_field, place)
            spread += place.startswith("lines")
            quoted += self._takes_quotes_as_text and _IN_QUOTES.fullmatch(text) is not None
            if self.instruction_field is None:
                yield Record(self.instruction or "", text)
            else:
                yield Record(self._value(row, self.instruction_field, place), text)
        self.notes = [f"{spread:,} of its rows go over several lines, within quotes"] if spread else []
        if quoted:
            self.notes.append(f"{quoted:,} of its texts are in quotes, which are read as text; --quoted takes them off")

    def _value(self, row: Any, field: str, place: Place) -> str:
        if isinstance(row, str) and field == self.text_field:
            value, where = row, f"{self.path}, {place}: the text"
        elif isinstance(row, dict) and field in row:
            value, where = row[field], f"{self.path}, {place}: field {field!r}"
        else:
            raise self._without(row, field, place)
        if (wrong := fault(value)) is not None:
            raise DataError(f"{where} {wrong}; correct it or take it out, and run the same command again")
        return str(value)

    def _without(self, row: Any, field: str, place: Place) -> DataError:
        if isinstance(row, dict):
            option = "--text-field" if field == self.text_field else "--instruction-field"
            wrong = f"has no field {field!r}, only {', '.join(map(repr, row)) or 'none'}; name another with {option}"
        else:
            wrong = f"is {row!r:.60}, no object with a field {field!r}; correct it"
        return DataError(f"{self.path}, {place} {wrong} and run the command again")


def _json_lines(path: Path, fields: Sequence[str]) -> Iterator[tuple[Place, Any]]:
    for number, line in _lines(path):
        if line.isspace():
            continue
        try:
            yield f"line {number}", decoded(line)
        except ValueError as error:
            raise DataError(
                f"{path}, line {number} is not JSON ({error}); correct the line or delete it, and run the same "
                "command again"
            ) from error


def _text_lines(path: Path, fields: Sequence[str]) -> Iterator[tuple[Place, str]]:
    for number, line in _decoded(path):
        yield f"line {number}", line.rstrip("\r\n")


def _decoded(path: Path) -> Iterator[Line]:
    for number, line in _lines(path):
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, line {number} is not UTF-8 ({error}); convert the file") from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with unpacked(path) as file:
        yield from enumerate(lines_of(file, path), start=1)


def _parquet_rows(path: Path, fields: Sequence[str]) -> Iterator[tuple[Place, dict[str, Any]]]:
    with needing("pyarrow"):
        import pyarrow
        from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            require_columns(path, file.schema_arrow.names, fields)
            for batch in file.iter_batches(_PARQUET_ROWS, columns=list(fields)):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:  # damaged pages, damaged texts
        raise DataError(f"{path} cannot be read after row {number} ({error}); fetch or write it again") from error


_Reader = Callable[[Path, Sequence[str]], Iterator[tuple[Place, Any]]]
_READERS: dict[str, _Reader] = {
    "jsonl": _json_lines,
    "ndjson": _json_lines,
    "txt": _text_lines,
    "csv": lambda path, fields: csv_rows(path, _decoded(path), fields),
    "tsv": lambda path, fields: tsv_rows(path, _decoded(path), fields),
    "parquet": _parquet_rows,
}
_QUOTED_TSV: _Reader = lambda path, fields: csv_rows(path, _decoded(path), fields, delimiter="\t")  # noqa: E731
