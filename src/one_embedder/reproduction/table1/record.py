"""The record of a reproduction, ``table1/<profile>.json``, read only while it and the files beside it agree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.evaluation.resampling import Interval
from one_embedder.files.documents import read_json
from one_embedder.reproduction.statistics.consistency import (
    AGREE,
    WRITTEN,
    check_tasks,
    equal,
    holds_lines,
    inside,
    number,
    refuse,
    scores,
)
from one_embedder.reproduction.statistics.layout import AVERAGE, INSTRUCTOR
from one_embedder.reproduction.table1.tables import difference_grid, interval_grid, main_grid, to_csv


def read_table1(path: Path) -> dict[str, Any]:
    """The record in a file; scores 0-1.

    Raises:
        DataError: if it is no such record, a number does not lie in its interval, an average is not the mean of its
            categories, or the CSV, Markdown and LaTeX files beside it say something else.
    """
    try:
        record: dict[str, Any] = read_json(path)
        _check_rows(record, path)
        _check_differences(record, path)
        for row in record["rows"]:
            check_tasks(path.with_name(f"{path.stem}_tasks.csv"), row["label"], row["scores"], record["tasks"])
        _check_renderings(record, path)
        return record
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not the record of a reproduction ({error!r}); run it again") from error


def check_against_table1(expected: Mapping[str, Mapping[str, float]], record: Mapping[str, Any], path: Path) -> None:
    """Refuse expected numbers that are not those of the table that was recorded with them.

    Args:
        expected: row id -> column -> points, means over seeds.
        record: as ``read_table1`` gives it.
        path: of the expected file.

    Raises:
        DataError: naming the row and the column.
    """
    for row in record["rows"]:
        for column, score in row["scores"].items():
            where = f"{path}, row {row['id']}, {column}, beside table1/{record['profile']}.json"
            equal(expected[row["id"]][column], 100 * score, where, within=WRITTEN)


def _check_rows(record: Mapping[str, Any], path: Path) -> None:
    for row in record["rows"]:
        where = f"{path}, row {row['id']}"
        scores(row["scores"], where)
        for column, deviation in row["deviations"].items():
            number(deviation, f"{where}, deviation of {column}", 0.0, 1.0)
        for column, (low, high) in row["intervals"].items():
            inside(Interval(row["scores"][column], low, high), f"{where}, {column}")


def _check_differences(record: Mapping[str, Any], path: Path) -> None:
    """INSTRUCTOR minus each other row, and each claim's difference, which is one of two averages."""
    rows = {row["id"]: row["scores"] for row in record["rows"]}
    for other, columns in record["differences"].items():
        for column, difference in columns.items():
            where = f"{path}, {INSTRUCTOR.id} minus {other}, {column}"
            inside(Interval(**difference), where)
            equal(difference["estimate"], rows[INSTRUCTOR.id][column] - rows[other][column], where)
    averages = [columns[AVERAGE] for columns in rows.values() if AVERAGE in columns]
    for claim in record["claims"]:
        where, estimate = f"{path}, claim {claim['claim']!r}", claim["difference"]["estimate"]
        inside(Interval(**claim["difference"]), where)
        if not any(abs(estimate - (one - other)) <= AGREE for one in averages for other in averages):
            raise refuse(where, f"{estimate} is the difference of no two averages of the table")


def _check_renderings(record: Mapping[str, Any], path: Path) -> None:
    """The files beside it hold the numbers; a table beside published numbers has another form."""
    beside = path.with_suffix(".csv")
    if beside.is_file() and beside.read_text(encoding="utf-8") != to_csv(record):
        raise refuse(str(beside), f"is not the table that {path.name} gives")
    if "notes" not in record:
        for grid in (main_grid(record), interval_grid(record), difference_grid(record)):
            holds_lines(path.with_suffix(".md"), grid.markdown().splitlines())
        rows = [line for line in main_grid(record).latex("").splitlines() if " & " in line]
        holds_lines(path.with_suffix(".tex"), rows)
