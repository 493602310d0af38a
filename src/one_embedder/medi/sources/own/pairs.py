"""The file of pairs: JSON lines or CSV, a query and what it should find in each row.

``negative`` or ``negatives`` (a text or a list of texts), ``query_instruction`` and ``document_instruction`` may be
left out, be null or be empty. Other fields are not read.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from one_embedder.errors import ConfigError, DataError
from one_embedder.files.delimited import Line, csv_rows
from one_embedder.files.json_lines import SUFFIXES, JsonLines, read_lines, read_objects

logger = logging.getLogger(__name__)

NEGATIVES = ("negative", "negatives")
INSTRUCTIONS = ("query_instruction", "document_instruction")
FIELDS = ("query", "positive", *NEGATIVES, *INSTRUCTIONS)

Instructions = tuple[str, str]
"""Of queries and of documents; an empty one is none."""


@dataclass(frozen=True)
class Pair:
    """A query and a text that it should find.

    Attributes:
        query, positive: not empty, without white space around them.
        negatives: texts that the query should not find; perhaps none.
        instructions: of the query and of the documents.
    """

    query: str
    positive: str
    negatives: tuple[str, ...] = ()
    instructions: Instructions = ("", "")


def read_pairs(path: str | None, instructions: Instructions = ("", "")) -> list[Pair]:
    """The pairs in the order of the file, each once.

    A pair that stands there twice has the negatives of both rows. A negative that is a right answer to the same query
    elsewhere in the file is left out, and so is a row whose two texts are equal.

    Args:
        path: ``medi.path``.
        instructions: of rows that have none.

    Raises:
        ConfigError: no file is given.
        DataError: the file cannot be read; the message names row and field.
    """
    rows = _rows(path)
    if unread := sorted({str(field) for row in rows.rows for field in row} - set(FIELDS)):
        logger.info("%s: fields that are not read: %s", rows.path, ", ".join(unread))
    given = (_spaced(instructions[0]), _spaced(instructions[1]))
    pairs = [_pair(rows, row, given) for row in range(len(rows))]
    distinct = _distinct(pairs)
    if left := len(pairs) - len(distinct):
        logger.info("%s: %d of %d rows repeat a pair or hold the same text twice", rows.path, left, len(pairs))
    if not distinct:
        raise DataError(f"{rows.path}: query and positive are the same text in every row; a pair has two")
    return distinct


def _rows(path: str | None) -> JsonLines:
    if path is None:
        raise ConfigError("medi.path is not given: a .jsonl or .csv file of your pairs, such as medi.path=pairs.jsonl")
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"medi.path={path}: there is no such file")
    if file.name.lower().endswith(SUFFIXES):
        rows = JsonLines(file, list(read_objects(file)))
    elif file.suffix.lower() == ".csv":  # rows are counted as a spreadsheet does, with the header as the first
        cells = [cells for _, cells in csv_rows(file, _decoded(file), (), optional=FIELDS)]
        rows = JsonLines(file, cells, first_line=2)
        _refuse_printed_lists(rows)
    else:
        raise DataError(f"{file}: a file of pairs ends in .jsonl, .jsonl.gz or .csv; rename or convert it")
    if not rows.rows:
        raise DataError(f"{file}: there is no pair in it; each row has a query and a positive")
    return rows


def _refuse_printed_lists(rows: JsonLines) -> None:
    for row, cells in enumerate(rows.rows):
        written = cells.get("negatives", "").strip()
        if written.startswith("[") and written.endswith("]"):
            raise rows.error(
                row,
                "field 'negatives' is a list as programs print it, which would be read as one text; write one text "
                "into the cell and each further one into a further row of the same pair, or convert the file to .jsonl",
            )


def _decoded(path: Path) -> Iterator[Line]:
    for number, line in enumerate(read_lines(path), start=1):
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, line {number} is not UTF-8 ({error}); save the file as UTF-8") from error


def _pair(rows: JsonLines, row: int, given: Instructions) -> Pair:
    query, positive = (rows.text(row, field).strip() for field in ("query", "positive"))
    own = (_instruction(rows, row, field) or default for field, default in zip(INSTRUCTIONS, given, strict=True))
    return Pair(query, positive, tuple(_negatives(rows, row)), (next(own), next(own)))


def _negatives(rows: JsonLines, row: int) -> Iterator[str]:
    for field in NEGATIVES:
        value = rows.rows[row].get(field)
        if value not in (None, "", []):
            texts = rows.text_list(row, field) if isinstance(value, list) else [rows.text(row, field)]
            yield from (text.strip() for text in texts)


def _instruction(rows: JsonLines, row: int, field: str) -> str:
    return "" if rows.rows[row].get(field) is None else _spaced(rows.string(row, field))


def _spaced(instruction: str) -> str:
    """With a space before the text that follows it, as the published instructions have it."""
    return f"{instruction.strip()} " if instruction.strip() else ""


def _distinct(pairs: Sequence[Pair]) -> list[Pair]:
    right: dict[str, set[str]] = defaultdict(set)
    merged: dict[tuple[str, str, Instructions], dict[str, None]] = {}
    for pair in pairs:
        if pair.query != pair.positive:
            right[pair.query] |= {pair.query, pair.positive}
            merged.setdefault((pair.query, pair.positive, pair.instructions), {}).update(dict.fromkeys(pair.negatives))
    return [
        Pair(query, positive, tuple(text for text in negatives if text not in right[query]), instructions)
        for (query, positive, instructions), negatives in merged.items()
    ]
