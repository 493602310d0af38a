"""Which documents answer a query, and how well: read from a file, and checked before a library in C takes them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from one_embedder.errors import DataError
from one_embedder.files.json_lines import SUFFIXES, JsonLines, find_file, read_lines, without_blank_end
from one_embedder.files.text import fault

log = logging.getLogger(__name__)

FIELDS = ("query-id", "corpus-id", "score")
LARGEST = 1_000_000
"""Gains reach pytrec_eval as whole numbers; it keeps and walks through a counter for each up to the largest."""

Relevant = Mapping[str, Mapping[str, int]]
"""Query id -> document id -> gain; 0 is judged and not relevant."""


def read_judgements(folder: Path, split: str) -> JsonLines:
    """The rows of ``qrels_<split>.jsonl`` or, as BEIR lays them out, of ``qrels/<split>.tsv`` with its header.

    Raises:
        DataError: if neither file is there or both are, or a row is unusable.
    """
    table = folder / "qrels" / f"{split}.tsv"
    if not table.is_file():
        return JsonLines.read(folder, f"qrels_{split}")
    if any((folder / f"qrels_{split}{suffix}").is_file() for suffix in SUFFIXES):
        name = find_file(folder, f"qrels_{split}").name
        raise DataError(f"{folder}: holds both {name} and qrels/{table.name}; keep the one that is meant")
    return _read_table(table)


def relevance(qrels: JsonLines, queries: Mapping[str, str], documents: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """The gains as whole numbers, all multiplied by what makes them whole: nDCG compares gains, whatever their unit.

    A judgement of a document that is not in the corpus stays, as in mteb: what answers the query cannot be found.

    Raises:
        DataError: if a row names a query that is not there, contradicts another one, or has a gain too fine or too
            large; if nothing is relevant, or nothing that is relevant is in the corpus.
    """
    gains = _gains(qrels)
    rows = zip(qrels.keys("query-id"), qrels.keys("corpus-id"), gains, strict=True)
    relevant: dict[str, dict[str, int]] = {}
    absent = 0
    for row, (query, document, gain) in enumerate(rows):
        if query not in queries:
            raise qrels.error(row, f"query-id {query!r} is not in the queries file")
        judged = relevant.setdefault(query, {})
        if judged.setdefault(document, gain) != gain:
            raise qrels.error(row, f"query-id {query!r}, corpus-id {document!r} was judged otherwise in an earlier row")
        absent += document not in documents
    if max(gains) <= 0:
        raise DataError(
            f"{qrels.path}: no score is above 0, so nothing is relevant; give what answers a query 1 or more"
        )
    if absent:
        _tell_absent(qrels.path, absent, len(gains), relevant, documents)
    _tell_unanswered(qrels.path, relevant, queries)
    return relevant


def checked(relevant: Relevant, task: str) -> dict[str, dict[str, int]]:
    """The judgements with 0 for what is below it: TREC marks spam so, and only gains above 0 count.

    pytrec_eval takes a negative gain, a very large one or half a character without a word, and ends the process.

    Raises:
        DataError: if a gain is no whole number or too large, or an identifier is no text.
    """
    negative = 0
    for query, judged in relevant.items():
        for document, gain in judged.items():
            if not isinstance(gain, int) or gain > LARGEST:
                raise DataError(f"{task}: query {query!r} has a gain of {gain}; gains are integers up to {LARGEST:,}")
            if (wrong := fault(query) or fault(document)) is not None:
                raise DataError(f"{task}: an identifier in the judgements {wrong}")
            negative += gain < 0
    if negative:
        log.warning("%s: %d judgements are below 0 and count as 0, not relevant", task, negative)
    return {query: {name: max(0, gain) for name, gain in judged.items()} for query, judged in relevant.items()}


def _gains(qrels: JsonLines) -> list[int]:
    """One whole number a row."""
    exact = [Fraction(repr(value)) for value in qrels.numbers("score")]
    factor = 1
    for row, gain in enumerate(exact):
        factor = math.lcm(factor, gain.denominator)
        if factor > LARGEST:
            raise qrels.error(row, f"field 'score' is {float(gain)!r}: too fine a gain, round it to a few decimals")
    for row, gain in enumerate(exact):
        if gain * factor > LARGEST:
            raise qrels.error(
                row,
                f"field 'score' is {float(gain)!r}: more than {LARGEST:,} times the step between gains, "
                f"{float(Fraction(1, factor))!r}; write smaller or coarser ones",
            )
    return [int(gain * factor) for gain in exact]


def _tell_absent(path: Path, absent: int, rows: int, relevant: Relevant, documents: Mapping[str, str]) -> None:
    found = (name in documents for judged in relevant.values() for name, gain in judged.items() if gain > 0)
    if not any(found):
        raise DataError(f"{path}: no relevant corpus-id is in the corpus file; do both files spell them alike?")
    log.warning(
        "%s: %d of %d judgements are of documents that are not in the corpus; those that are relevant count as never "
        "found, as in mteb",
        path,
        absent,
        rows,
    )


def _tell_unanswered(path: Path, relevant: Relevant, queries: Mapping[str, str]) -> None:
    bare = sum(max(judged.values()) <= 0 for judged in relevant.values())
    if bare:
        log.warning("%s: %d queries have no judgement above 0; they count and score 0, as in mteb", path, bare)
    if left := len(queries) - len(relevant):
        log.info("%s: %d of %d queries have no judgement and are left out, as in mteb", path, left, len(queries))


def _read_table(path: Path) -> JsonLines:
    lines = without_blank_end(read_lines(path))
    cells = [_cells(path, number, line) for number, line in enumerate(lines, start=1)]
    if not cells or cells[0] != list(FIELDS):
        raise DataError(f"{path}: its first line must name the columns {', '.join(FIELDS)}, with a tab between two")
    if len(cells) == 1:
        raise DataError(f"{path}: the file has no judgements; complete it or remove the task folder")
    for number, row in enumerate(cells, start=1):
        if len(row) != len(FIELDS):
            raise DataError(f"{path}, row {number}: {len(row)} cells instead of {len(FIELDS)}; correct the line")
    rows = [{FIELDS[0]: query, FIELDS[1]: document, FIELDS[2]: _number(score)} for query, document, score in cells[1:]]
    return JsonLines(path, rows, first_line=2)


def _cells(path: Path, number: int, line: bytes) -> list[str]:
    try:
        return line.decode().rstrip("\r\n").split("\t")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, row {number}: not UTF-8 ({error}); convert the file") from error


def _number(cell: str) -> float | str:
    """The cell as a number; as it is where it is none, to be refused with its row."""
    try:
        return float(cell)
    except ValueError:
        return cell
