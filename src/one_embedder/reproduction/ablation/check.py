"""Whether an ablation's record agrees with itself: tasks, categories, seeds, claims, and the CSV file beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from one_embedder.reproduction.statistics.consistency import (
    ROUNDED,
    csv_points,
    csv_rows,
    equal,
    inside,
    number,
    refuse,
    scores,
)
from one_embedder.reproduction.statistics.layout import AVERAGE

if TYPE_CHECKING:
    from one_embedder.reproduction.ablation.record import AblationRecord, Cell, Tested


def check_ablation(record: AblationRecord, path: Path) -> None:
    """Refuse a record with a number that the others contradict.

    Args:
        record: as it was read.
        path: where; ``<profile>.csv`` beside it, where there is one, has the columns of every run.

    Raises:
        DataError: naming the file, the cell or claim, and the column.
    """
    for cell in record.cells:
        _check_cell(cell, record.task_categories, f"{path}, cell {cell.id}")
    if record.headroom is not None:
        cells = record.headroom
        for name in (cells.backbone, cells.generalist, cells.instructed, *cells.specialists):
            record.cell(name)
    for claim in record.claims:
        _check_claim(record, claim, f"{path}, claim {claim.id}")
    _check_csv(record, path.with_suffix(".csv"))


def _check_cell(cell: Cell, categories: Mapping[str, str], where: str) -> None:
    for run, columns in enumerate(cell.columns):
        scores(columns, f"{where}, run {run + 1}")
        _check_tasks(cell, run, categories, f"{where}, run {run + 1}")
    if not len(cell.columns) == len(cell.runs) == len(cell.results) == max(1, len(cell.seeds)):
        raise refuse(where, "runs, results, columns and seeds are not equally many")
    scores(cell.scores, where)
    for column, score in cell.scores.items():
        runs = [columns[column] for columns in cell.columns]
        equal(score, fmean(runs), f"{where}, {column}")
        equal(cell.deviations[column], stdev(runs) if len(runs) > 1 else 0.0, f"{where}, deviation of {column}")
        equal(cell.intervals[column].estimate, score, f"{where}, {column} and the estimate of its interval")
        inside(cell.intervals[column], f"{where}, {column}")


def _check_tasks(cell: Cell, run: int, categories: Mapping[str, str], where: str) -> None:
    """Each category of a run is the mean of its tasks."""
    by_column: dict[str, list[float]] = {}
    for task, values in cell.tasks.items():
        by_column.setdefault(categories[task], []).append(number(values[run], f"{where}, task {task}", -1.0, 1.0))
    for column in cell.columns[run]:
        if column != AVERAGE:
            equal(cell.columns[run][column], fmean(by_column[column]), f"{where}, {column}")


def _check_claim(record: AblationRecord, claim: Tested, where: str) -> None:
    """Its difference is that of its cells, and lies in its interval; p-values are probabilities."""
    for name in ("p_value", "p_adjusted", "p_items", "p_seeds"):
        value = getattr(claim, name)
        if value is not None:
            number(value, f"{where}, {name}", 0.0, 1.0)
    if claim.difference is None:
        return
    inside(claim.difference, where)
    plus, minus = (sum(_value(record, claim, cell, where) for cell in side) for side in (claim.plus, claim.minus))
    equal(claim.difference.estimate, plus - minus, where)


def _value(record: AblationRecord, claim: Tested, name: str, where: str) -> float:
    """The score of a cell; of an axis' gap, its best minus its worst level."""
    axes = [axis.name for axis in record.axes if axis.name != claim.gap_over]
    cells = [cell for cell in record.cells if name == (cell.id if claim.gap_over is None else _id(cell, axes))]
    if not cells:
        raise refuse(where, f"has a difference, but the record has no cell {name!r}")
    values = [cell.scores[claim.column] for cell in cells]
    return values[0] if claim.gap_over is None else max(values) - min(values)


def _id(cell: Cell, axes: Sequence[str]) -> str | None:
    """Without the level of the other axes; a reference has none."""
    levels = [cell.levels[axis] for axis in axes if axis in cell.levels]
    return None if cell.reference else "+".join(levels) or "trained"


def _check_csv(record: AblationRecord, path: Path) -> None:
    lines = {(line.get("cell"), line.get("seed")): line for line in csv_rows(path)}
    for cell in record.cells if lines else ():
        for seed, columns in zip(cell.seeds or ("",), cell.columns, strict=True):
            line = lines.get((cell.id, str(seed)))
            if line is None:
                raise refuse(str(path), f"has no row of {cell.id}, seed {seed or '-'}, which the record has")
            for column, score in columns.items():
                where = f"{path}, {cell.id}, seed {seed}, {column}"
                equal(csv_points(line.get(column), where), 100 * score, where, within=ROUNDED)
