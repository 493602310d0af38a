"""Evaluations side by side as a record: scores, intervals, and where each evaluation came from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from one_embedder.errors import DataError
from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.consistency import (
    ROUNDED,
    csv_rows,
    equal,
    holds_lines,
    inside,
    markdown_lines,
    means_of_tasks,
    scores,
)
from one_embedder.reproduction.statistics.decision import decide_together, told
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS
from one_embedder.reproduction.table1.tables import (
    ABSENT,
    format_difference,
    format_interval,
    format_number,
    header,
    points,
)
from one_embedder.tracking.manifest import RESOLVED_CONFIG, read_manifest

if TYPE_CHECKING:
    from one_embedder.reproduction.compare.side_by_side import Evaluations
    from one_embedder.reproduction.statistics.bootstrap import Bootstrap

SCHEMA = 2
ABOVE_FIRST = (
    "p: of the difference from the first row, corrected for the number of rows (Holm); a row of one evaluation says "
    "nothing about other seeds."
)
"""What has to be read with the verdicts."""
_OF_MANIFEST = ("run_id", "started_at", "code", "data", "model", "environment", "hardware", "cost")
_OF_CONFIG = ("seed", "encoder", "evaluation")


def table_of(evaluations: Evaluations) -> dict[str, Any]:
    """Scores, intervals and differences from the first row, 0-1; and whether each row's mean is above the first's."""
    bootstrap, decided = evaluations.bootstrap, _decided(evaluations)
    return {
        "schema": SCHEMA,
        "tasks": Counter(evaluations.rows[0].tasks().values()),
        "learners": list(evaluations.learners),
        "bootstrap": {"resamples": evaluations.resamples, "confidence": bootstrap.confidence},
        "rows": [
            {**_row(bootstrap, row.spec.id, evaluations.rows[0].spec.id), "above_first": decided.get(row.spec.id)}
            for row in evaluations.rows
        ],
    }


def record_of(evaluations: Evaluations) -> dict[str, Any]:
    """What ``NAME.json`` holds: the table, and the run record of every evaluation.

    Raises:
        DataError: if the run record of an evaluation is missing or damaged.
    """
    table = table_of(evaluations)
    for content, row in zip(table["rows"], evaluations.rows, strict=True):
        content["evaluations"] = [_provenance(Path(folder).expanduser()) for folder in row.folders]
    return table


def read_side_by_side(path: Path) -> Mapping[str, Any]:
    """The record in a file.

    Raises:
        DataError: if it is no such record, a number does not lie in its interval, an average is not the mean of its
            categories, or the CSV and Markdown files beside it say something else.
    """
    try:
        record: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']} is not {SCHEMA}")
        _check_rows(record, path)
        _check_tasks(record, path)
        _check_rendering(record, path)
        return record
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
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


def _check_tasks(record: Mapping[str, Any], path: Path) -> None:
    """Each category is the mean of its tasks in the CSV file."""
    beside = path.with_suffix(".csv")
    lines = csv_rows(beside)
    for row in record["rows"] if lines else ():
        own = [line for line in lines if line["model"] == row["label"]]
        means, counts = means_of_tasks(own, str(beside)), Counter(line["category"] for line in own)
        for column in [column for column in row["scores"] if column != AVERAGE]:
            where = f"{beside}, {row['label']}, {column}"
            equal(counts[column], record["tasks"][column], f"{where}, number of tasks")
            equal(means[column], 100 * row["scores"][column]["estimate"], where, within=ROUNDED)


def _check_rendering(record: Mapping[str, Any], path: Path) -> None:
    """The Markdown file holds the table, every interval and every difference."""
    rows, beside = record["rows"], path.with_suffix(".md")
    columns = list(rows[0]["scores"])
    intervals = [[c, *(format_interval(Interval(**row["scores"][c])) for row in rows)] for c in columns]
    differences = [[c, *(format_difference(Interval(**row["minus_first"][c])) for row in rows[1:])] for c in columns]
    for lines in (main_grid(record).rows, intervals, differences if rows[1:] else []):
        holds_lines(beside, markdown_lines(lines))


def main_grid(table: Mapping[str, Any]) -> Grid:
    """Category means and their mean, points; beside the mean its interval, and whether it is above the first row's."""
    first, *others = table["rows"]
    headers = [*header(table["tasks"]), f"{100 * table['bootstrap']['confidence']:g} % interval"]
    rows = []
    for row in table["rows"]:
        shown = points({column: content["estimate"] for column, content in row["scores"].items()})
        cells = [row["label"], *(format_number(shown.get(column)) for column in (*COLUMNS, AVERAGE))]
        rows.append([*cells, _mean_interval(row), *(above_first(row) if others else [])])
    return Grid([*headers, f"minus {first['label']}", "p (Holm)", "above it"] if others else headers, rows)


def above_first(row: Mapping[str, Any]) -> list[str]:
    """A row's mean minus the first row's, its corrected p-value, and the verdict on its being above."""
    decided = row["above_first"]
    if decided is None:
        return [ABSENT] * 3
    difference = Interval(**row["minus_first"][AVERAGE])
    verdict = told(decided["verdict"], difference, one_seed=False)
    return [format_difference(difference), f"{decided['p_adjusted']:.3f}", verdict]


def _mean_interval(row: Mapping[str, Any]) -> str:
    mean = row["scores"].get(AVERAGE)
    return ABSENT if mean is None else f"[{100 * mean['low']:.1f}, {100 * mean['high']:.1f}]"


def _decided(evaluations: Evaluations) -> dict[str, dict[str, Any]]:
    """Row -> what decides whether its mean is above the first row's; all of them are claims that stand together."""
    bootstrap = evaluations.bootstrap
    first, *others = [row.spec.id for row in evaluations.rows]
    if AVERAGE not in bootstrap.estimates[first]:
        return {}
    tested = [(bootstrap.difference(other, first), bootstrap.p_value(other, first)) for other in others]
    decided = decide_together(tested, bootstrap.confidence)
    return {
        other: {"p_value": p_value, "p_adjusted": p_adjusted, "verdict": verdict}
        for other, (_, p_value), (p_adjusted, verdict) in zip(others, tested, decided, strict=True)
    }


def _row(bootstrap: Bootstrap, own: str, first: str) -> dict[str, Any]:
    columns = list(bootstrap.estimates[own])
    return {
        "label": own,
        "scores": {column: asdict(bootstrap.interval(own, column)) for column in columns},
        "minus_first": {column: asdict(bootstrap.difference(own, first, column)) for column in columns},
    }


def _provenance(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    settings = yaml.safe_load((folder / RESOLVED_CONFIG).read_text(encoding="utf-8"))
    return {
        **{key: manifest[key] for key in _OF_MANIFEST},
        "instructions": settings["instructions"]["name"],
        **{key: settings[key] for key in _OF_CONFIG},
    }
