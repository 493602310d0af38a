"""Whether a record agrees with itself: its numbers are numbers, lie in their intervals and make up their means.

What is shown to readers is made from records; a record that was changed by hand in one place contradicts itself in
another, and is refused by the file, the field and the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from one_embedder.errors import DataError
from one_embedder.evaluation.categories import METRICS, bounds
from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS

AGREE = 1e-9
"""How far two spellings of one 0-1 score may be apart."""
ROUNDED = 5e-5 + AGREE
"""The same in points, of a number that was written with four decimals."""
WRITTEN = 1e-3
"""The same of expected numbers, which are written with three decimals."""
LARGEST_TOLERANCE = 20.0
"""Points. With more, everything would come out right."""


def refuse(where: str, problem: str) -> DataError:
    """The error about a record, for raising."""
    return DataError(
        f"{where}: {problem}. A number was changed by hand, or the files are of different runs: restore them (git "
        "checkout) or make them again"
    )


def number(value: Any, where: str, low: float, high: float) -> float:
    """The value, once it is sure that it is a finite number from ``low`` to ``high``.

    Raises:
        DataError: if it is none; a text that spells one is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise refuse(where, f"{value!r:.60} is not a number")
    if not low - AGREE <= value <= high + AGREE:
        raise refuse(where, f"{value} is not between {low:g} and {high:g}")
    return float(value)


def points(value: Any, where: str) -> float:
    """A score in points, 0 to 100; raises as ``number``."""
    return number(value, where, 0.0, 100.0)


def tolerance(value: Any, where: str) -> float:
    """How far a number may be off, in points; raises as ``number``, also for one that would let everything pass."""
    found = number(value, where, 0.0, LARGEST_TOLERANCE)
    if found == 0:
        raise refuse(where, "a tolerance of 0 lets nothing pass")
    return found


def equal(stated: float, made: float, where: str, *, within: float = AGREE) -> None:
    """Refuse a number that is not the one that the others give.

    Raises:
        DataError: if they are further apart than ``within``.
    """
    if not abs(stated - made) <= within:
        raise refuse(where, f"{stated} is stated, and the other numbers give {made}")


def inside(interval: Interval, where: str) -> None:
    """Refuse an estimate that does not lie in its own interval.

    Raises:
        DataError: if it does not, or one of the three is not a number.
    """
    low, estimate, high = (number(v, where, -2.0, 2.0) for v in (interval.low, interval.estimate, interval.high))
    if not low - AGREE <= estimate <= high + AGREE:
        raise refuse(where, f"{estimate} does not lie in its own interval, {low} to {high}")


def scores(columns: Mapping[str, Any], where: str) -> None:
    """Refuse columns that are not scores, or whose average is not the mean of the nine categories.

    Raises:
        DataError: naming the column.
    """
    for column, value in columns.items():
        if column != AVERAGE and column not in COLUMNS:
            raise refuse(f"{where}, {column}", "is no column of Table 1")
        low, high = bounds(METRICS[column]) if column in METRICS else (-1.0, 1.0)
        number(value, f"{where}, {column}", low, high)
    if AVERAGE in columns:
        absent = [column for column in COLUMNS if column not in columns]
        if absent:
            raise refuse(f"{where}, {AVERAGE}", f"there is no {', '.join(absent)}, of which it would be the mean")
        equal(columns[AVERAGE], fmean(columns[column] for column in COLUMNS), f"{where}, {AVERAGE}")


def check_tasks(path: Path, model: str, columns: Mapping[str, float], counts: Mapping[str, int]) -> None:
    """Refuse a CSV file of tasks of which a row's categories are not the means; one that is not kept is no trouble.

    Args:
        path: of the file: ``model``, ``category``, ``task``, ``points``, and more; a line for each seed.
        model: the row.
        columns: column -> score, 0-1, mean over seeds.
        counts: category -> number of tasks.

    Raises:
        DataError: naming the row and the category.
    """
    if not path.is_file():
        return
    tasks = pd.read_csv(path, dtype=str, keep_default_na=False)  # a model may be called 800, or None
    own = tasks[tasks["model"] == model].assign(points=pd.to_numeric(tasks["points"], errors="coerce"))
    for category in [column for column in columns if column != AVERAGE]:
        rows, where = own[own["category"] == category], f"{path}, {model}, {category}"
        equal(rows["task"].nunique(), counts[category], f"{where}, number of tasks")
        equal(rows["points"].mean(skipna=False), 100 * columns[category], where, within=ROUNDED)


def holds_lines(path: Path, lines: Iterable[str]) -> None:
    """Refuse a file without one of the lines of a table that its record gives; one that is not kept is no trouble.

    Raises:
        DataError: naming the first line that is not there.
    """
    there = path.read_text(encoding="utf-8").splitlines() if path.is_file() else None
    for line in lines:
        if there is not None and line not in there:
            raise refuse(str(path), f"has not the line {line!r}, which the record beside it gives")
