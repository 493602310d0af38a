"""Tables in text files: CSV by RFC 4180, to the letter, and TSV, whose cells are what stands between two tabs.

A lenient reader takes a quote that opens a text for one that opens a cell, and all rows up to the next such text for
one row. So nothing is guessed here: a row that has not as many cells as the header is refused, with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

from one_embedder.errors import DataError

Line = tuple[int, str]  # its number, and its text with its end
Place = str  # where a row stands in its file: "line 12", "lines 12 to 14"
Row = dict[str, str]

_CELLS = {
    delimiter: re.compile(rf'"([^"]*(?:""[^"]*)*)"(?!")|([^"\r\n{delimiter}]*)')
    for delimiter in (",", "\t")
}  # fmt: skip


def csv_rows(
    path: Path, lines: Iterable[Line], fields: Sequence[str], delimiter: str = ","
) -> Iterator[tuple[Place, Row]]:
    """The rows below the header.

    Cells with a delimiter, a line break or a quote stand in quotes, and a quote within them is doubled. Lines may end
    with or without a carriage return. Empty ones may follow the last row; in a table of one column each is an empty
    cell.

    Raises:
        DataError: naming the line, at the first that is not as said, or if a needed column lacks or is there twice.
    """
    return _rows(path, _csv_records(path, lines, delimiter), fields, "quote cells that hold a comma")


def tsv_rows(path: Path, lines: Iterable[Line], fields: Sequence[str]) -> Iterator[tuple[Place, Row]]:
    """The rows below the header, one a line; a quote is a character like any other. Raises as ``csv_rows``."""
    records = ((f"line {number}", _without_end(line).split("\t")) for number, line in lines)
    return _rows(path, records, fields, "a tab or a line break in a cell needs quotes, which --quoted reads")


def is_quoted(text: str) -> bool:
    """Whether this is how CSV would write a cell in quotes."""
    return len(text) > 1 and _CELLS[","].fullmatch(text) is not None and text[0] == '"'


def require_columns(path: Path, columns: Sequence[str], fields: Sequence[str]) -> None:
    """Raise DataError unless each field is a column, once."""
    for field, option in zip(fields, ("--text-field", "--instruction-field"), strict=False):
        if field not in columns:
            known = ", ".join(map(repr, columns)) or "none"
            raise DataError(f"{path} has no column {field!r}, only {known}; name another with {option}")
        if columns.count(field) > 1:
            raise DataError(f"{path} has {columns.count(field)} columns {field!r}; rename all but one")


def _rows(
    path: Path, records: Iterator[tuple[Place, list[str]]], fields: Sequence[str], remedy: str
) -> Iterator[tuple[Place, Row]]:
    _, header = next(records, ("", []))
    require_columns(path, [] if header == [""] else header, fields)
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
    """Cells row by row; a row goes on over the lines that a cell in quotes has."""
    begun: list[str] = []
    first = number = 0
    quotes = 0
    for number, line in lines:
        if not begun:
            first, quotes = number, 0
        quotes += line.count('"')
        begun.append(line)
        if quotes % 2 and len(begun) > 1:
            continue
        place = f"line {first}" if number == first else f"lines {first} to {number}"
        cells = _cells(path, place, _without_end("".join(begun)), delimiter, may_go_on=bool(quotes % 2))
        if cells is not None:
            yield place, cells
            begun = []
    if begun:
        raise DataError(f"{path}, line {first}: a cell begins with a quote that no line closes; double it, or close it")


def _cells(path: Path, place: Place, record: str, delimiter: str, *, may_go_on: bool) -> list[str] | None:
    """The cells of a row; None if it ends within one that is in quotes."""
    if '"' not in record and "\r" not in record:
        return record.split(delimiter)
    cells, position = [], 0
    while True:
        match = cast(re.Match[str], _CELLS[delimiter].match(record, position))  # it may be empty
        quoted, plain = match.groups()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        start, position = position, match.end()
        if position == len(record):
            return cells
        if may_go_on and record[position] == '"' and position == start:
            return None
        if record[position] != delimiter:
            what = "text after its closing quote" if quoted is not None else f"{record[position]!r} without quotes"
            raise DataError(
                f"{path}, {place}: cell {len(cells)} has {what}; put the whole cell in quotes and double those within "
                "it, or convert the file to .jsonl"
            )
        position += 1


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")
