"""Tables in text files: CSV as Python reads it strictly, and TSV, whose cells are what stands between two tabs.

A reader of CSV takes a quote that opens a text for one that opens a cell, and all lines up to the next quote for one
row. A row that has not as many cells as the header is therefore refused, with its lines.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from one_embedder.errors import DataError

Line = tuple[int, str]  # its number, and its text with its end
Place = str  # where a row stands in its file: "line 12", "lines 12 to 14"
Row = dict[str, str]


def csv_rows(
    path: Path, lines: Iterable[Line], fields: Sequence[str], delimiter: str = ",", optional: Sequence[str] = ()
) -> Iterator[tuple[Place, Row]]:
    """The rows below the header.

    Cells with a delimiter, a line break or a quote stand in quotes, and a quote within them is doubled. Empty lines may
    follow the last row; in a table of one column each is an empty cell. An optional column may lack.

    Raises:
        DataError: naming the line, at the first that is not as said, or if a needed column lacks or one that is read is
            there twice.
    """
    return _rows(path, _csv_records(path, lines, delimiter), fields, "quote cells that hold a comma", optional)


def tsv_rows(path: Path, lines: Iterable[Line], fields: Sequence[str]) -> Iterator[tuple[Place, Row]]:
    """The rows below the header, one a line; a quote is a character like any other. Raises as ``csv_rows``."""
    records = ((f"line {number}", line.removesuffix("\n").removesuffix("\r").split("\t")) for number, line in lines)
    return _rows(path, records, fields, "a tab or a line break in a cell needs quotes, which --quoted reads")


def require_columns(path: Path, columns: Sequence[str], fields: Sequence[str]) -> None:
    """Raise DataError unless each field is a column, once."""
    for field, option in zip(fields, ("--text-field", "--instruction-field"), strict=False):
        if field not in columns:
            known = f"{', '.join(map(repr, columns)) or 'none':.500}"
            raise DataError(f"{path} has no column {field!r}, only {known}; name another with {option}")
    _refuse_repeated(path, columns, fields)


def _refuse_repeated(path: Path, columns: Sequence[str], fields: Sequence[str]) -> None:
    for field in fields:
        if columns.count(field) > 1:
            raise DataError(f"{path} has {columns.count(field)} columns {field!r}; rename all but one")


def _rows(
    path: Path,
    records: Iterator[tuple[Place, list[str]]],
    fields: Sequence[str],
    remedy: str,
    optional: Sequence[str] = (),
) -> Iterator[tuple[Place, Row]]:
    _, header = next(records, ("", []))
    require_columns(path, [] if header == [""] else header, fields)
    _refuse_repeated(path, header, optional)
    blank: Place | None = None
    for place, cells in records:
        if cells == [""] and len(header) > 1:
            blank = blank or place
            continue
        if blank is not None:
            raise DataError(f"{path}, {blank} is empty, and rows follow it; delete it")
        if len(cells) != len(header):
            raise DataError(f"{path}, {place}: {len(cells)} cells, where the header has {len(header)}; {remedy}")
        yield place, dict(zip(header, cells, strict=True))


def _csv_records(path: Path, lines: Iterable[Line], delimiter: str) -> Iterator[tuple[Place, list[str]]]:
    csv.field_size_limit(sys.maxsize)  # a text may be longer than the 128 KiB that Python allows a cell
    reader = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{path}, {_place(first, reader.line_num)}: {error}; put a cell with quotes or line breaks in quotes, "
                "double the quotes within it and close it, or convert the file to .jsonl"
            ) from error
        yield _place(first, reader.line_num), cells or [""]


def _place(first: int, last: int) -> Place:
    return f"line {first}" if last <= first else f"lines {first} to {last}"
