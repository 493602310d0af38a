"""Evaluations side by side as a record, read only while it and the files beside it agree, and its tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.evaluation.resampling import Interval
from one_embedder.files.documents import read_json
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.consistency import check_tasks, equal, holds_lines, inside, scores
from one_embedder.reproduction.statistics.decision import told
from one_embedder.reproduction.statistics.layout import AVERAGE
from one_embedder.reproduction.table1.tables import (
    ABSENT,
    format_bounds,
    format_difference,
    format_interval,
    format_numbers,
    header,
    points,
)

SCHEMA = 2
ABOVE_FIRST = (
    "p: of the difference from the first row, corrected for the number of rows (Holm); a row of one evaluation says "
    "nothing about other seeds."
)
"""What has to be read with the verdicts."""


def read_side_by_side(path: Path) -> Mapping[str, Any]:
    """The record in a file.

    Raises:
        DataError: if it is no such record, a number does not lie in its interval, an average is not the mean of its
            categories, or the CSV and Markdown files beside it say something else.
    """
    try:
        record: Mapping[str, Any] = read_json(path)
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']} is not {SCHEMA}")
        _check_rows(record, path)
        for row in record["rows"]:
            means = {column: content["estimate"] for column, content in row["scores"].items()}
            check_tasks(path.with_suffix(".csv"), row["label"], means, record["tasks"])
        for grid in (main_grid(record), interval_grid(record), difference_grid(record)):
            holds_lines(path.with_suffix(".md"), grid.markdown().splitlines() if grid.headers[1:] else [])
        return record
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a record of evaluations side by side ({error!r}); make it again or delete it"
        ) from error


def _check_rows(record: Mapping[str, Any], path: Path) -> None:
    first = {column: content["estimate"] for column, content in record["rows"][0]["scores"].items()}
    for row in record["rows"]:
        where = f"{path}, row {row['label']}"
        estimates = {column: content["estimate"] for column, content in row["scores"].items()}
        scores(estimates, where)
        for column, content in row["scores"].items():
            inside(Interval(**content), f"{where}, {column}")
        for column, content in row["minus_first"].items():
            inside(Interval(**content), f"{where}, {column} minus the first row's")
            equal(content["estimate"], estimates[column] - first[column], f"{where}, {column} minus the first row's")


def main_grid(table: Mapping[str, Any]) -> Grid:
    """Category means and their mean, points; beside the mean its interval, and whether it is above the first row's."""
    first, *others = table["rows"]
    headers = [*header(table["tasks"]), f"{100 * table['bootstrap']['confidence']:g} % interval"]
    rows = []
    for row in table["rows"]:
        shown = points({column: content["estimate"] for column, content in row["scores"].items()})
        bounds = Interval(**row["scores"][AVERAGE]) if AVERAGE in row["scores"] else None
        above = _above_first(row) if others else []
        rows.append([row["label"], *format_numbers(shown), format_bounds(bounds), *above])
    return Grid([*headers, f"minus {first['label']}", "p (Holm)", "above it"] if others else headers, rows)


def interval_grid(table: Mapping[str, Any]) -> Grid:
    """One line a column, one interval a row of the table."""
    rows = table["rows"]
    cells = [
        [column, *(format_interval(Interval(**row["scores"][column])) for row in rows)] for column in rows[0]["scores"]
    ]
    return Grid(["column", *(row["label"] for row in rows)], cells)


def difference_grid(table: Mapping[str, Any]) -> Grid:
    """One line a column: every other row minus the first, with its interval."""
    first, *others = table["rows"]
    cells = [
        [column, *(format_difference(Interval(**row["minus_first"][column])) for row in others)]
        for column in first["scores"]
    ]
    return Grid(["column", *(row["label"] for row in others)], cells)


def _above_first(row: Mapping[str, Any]) -> list[str]:
    """A row's mean minus the first row's, its corrected p-value, and the verdict on its being above."""
    decided = row["above_first"]
    if decided is None:
        return [ABSENT] * 3
    difference = Interval(**row["minus_first"][AVERAGE])
    trainings = row.get("trainings", 0)  # older records do not tell, and have no row of several
    several = f"{trainings} trainings" if trainings else ""
    return [
        format_difference(difference),
        f"{decided['p_adjusted']:.3f}",
        told(decided["verdict"], difference, several),
    ]
