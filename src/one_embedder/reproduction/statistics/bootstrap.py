"""Paired bootstrap over test items: intervals for every row, column and difference of Table 1.

One resample redraws the items of each task with replacement. The same items are drawn for every row and every seed,
so that a difference between rows is a difference on the same items. A category is the mean of its tasks and the
average the mean of the nine categories, as in the table. Seeds are redrawn too: each resample draws as many of a
row's seeds as it has, with replacement, and averages them; rows with equally many seeds get the same draw, because a
seed also fixes the order of the training data. Intervals are percentiles, shifted so that the resamples centre on the
estimate: an item that is drawn twice is its own neighbour, which lifts v-measure and average precision in every
resample. With two or three seeds the redraw understates the spread between trainings, so read them as "over these
test items and about these trainings".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from one_embedder.errors import EvaluationError
from one_embedder.evaluation.resampling import Interval, centred, centred_interval, draw_counts, resamples_of
from one_embedder.evaluation.results import TaskScore, unlike
from one_embedder.evaluation.weighted import Array
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS
from one_embedder.reproduction.statistics.rows import RowRuns


def bootstrap_p_value(estimate: float, samples: Array) -> float:
    """Two-sided: how often resamples, centred on the estimate, lie on the other side of zero, twice.

    Args:
        estimate: of the difference.
        samples: (R,) resampled differences; nan where a resample has no score. At best the result is 2 / (R + 1).
    """
    around = centred(estimate, samples[np.isfinite(samples)])
    beyond = min(int((around <= 0).sum()), int((around >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(around) + 1))


@dataclass(frozen=True)
class Bootstrap:
    """Resampled table columns.

    Attributes:
        estimates: row id -> column -> score on the items as they are.
        samples: row id -> column -> (R,) scores, resample r of one row belonging to resample r of every other.
        confidence: coverage of the intervals, for example 0.95.
    """

    estimates: Mapping[str, Mapping[str, float]]
    samples: Mapping[str, Mapping[str, Array]]
    confidence: float

    def interval(self, row: str, column: str = AVERAGE) -> Interval:
        """Interval of one cell."""
        return centred_interval(self.estimates[row][column], self.samples[row][column], self.confidence)

    def difference(self, row: str, other: str, column: str = AVERAGE, other_column: str | None = None) -> Interval:
        """Interval of ``row`` minus ``other`` in one column, or minus another column of ``other``."""
        return centred_interval(*self._minus(row, other, column, other_column), self.confidence)

    def p_value(self, row: str, other: str, column: str = AVERAGE, other_column: str | None = None) -> float:
        """Two-sided, of the same difference; not corrected for how many are asked for."""
        return bootstrap_p_value(*self._minus(row, other, column, other_column))

    def _minus(self, row: str, other: str, column: str, other_column: str | None) -> tuple[float, Array]:
        theirs = column if other_column is None else other_column
        estimate = self.estimates[row][column] - self.estimates[other][theirs]
        return estimate, self.samples[row][column] - self.samples[other][theirs]


def paired_bootstrap(rows: Sequence[RowRuns], *, resamples: int, confidence: float, seed: int) -> Bootstrap:
    """Resample the items of every task, alike for all rows.

    Args:
        rows: rows whose runs all hold the same tasks over the same items, in the same order.
        resamples: number R of resamples.
        confidence: coverage of the intervals.
        seed: of the draws.

    Raises:
        EvaluationError: if two runs do not hold the same tasks, or a task of theirs is not of the same items.
    """
    tasks = _paired_tasks(rows)
    samples = {row.spec.id: np.empty((len(row.runs), len(row.runs[0]), resamples)) for row in rows}
    for number, (name, items) in enumerate(tasks.items()):
        places = [(row, place) for row in rows if (place := _place(row, name)) is not None]
        for chunk, counts in resamples_of(items, resamples, np.random.default_rng([seed, number])):
            for row, place in places:
                for index, run in enumerate(row.runs):
                    samples[row.spec.id][index, place, chunk] = run[place].items.resampled(counts)
    columns = {row.spec.id: _to_columns(row, average_seeds(samples[row.spec.id], seed)) for row in rows}
    return Bootstrap({row.spec.id: row.columns() for row in rows}, columns, confidence)


def average_seeds(scores: Array, seed: int) -> Array:
    """(S, T, R) scores of S seeds -> (T, R), averaging S seeds drawn anew for each resample.

    Args:
        scores: of T columns in R resamples.
        seed: of the draws.
    """
    seeds, _, resamples = scores.shape
    # The generator depends on S alone: rows with equally many seeds share the draw.
    weights = draw_counts(np.random.default_rng([seed, seeds, 1]), resamples, seeds) / seeds
    averaged: Array = np.einsum("str,rs->tr", scores, weights)
    return averaged


def _to_columns(row: RowRuns, samples: Array) -> dict[str, Array]:
    """(T, R) task scores -> category means and, when all nine are there, their mean."""
    categories = [score.category for score in row.runs[0]]
    columns = {}
    for column in COLUMNS:
        tasks = [index for index, category in enumerate(categories) if category == column]
        if tasks and column not in row.incomplete:
            columns[column] = samples[tasks].mean(axis=0)
    if len(columns) == len(COLUMNS):
        columns[AVERAGE] = np.mean([columns[column] for column in COLUMNS], axis=0)
    return columns


def _place(row: RowRuns, task: str) -> int | None:
    return next((place for place, score in enumerate(row.runs[0]) if score.task == task), None)


def _paired_tasks(rows: Sequence[RowRuns]) -> dict[str, int]:
    """Task -> number of items, over all rows; a row may lack those that it tells as not run, and no others."""
    first: dict[str, tuple[RowRuns, TaskScore]] = {}
    for row in rows:
        for run in row.runs:
            for score in run:
                own, other = first.setdefault(score.task, (row, score))
                reason = unlike(other, score)
                if reason:
                    raise EvaluationError(
                        f"task {score.task} of row {own.spec.id} and of row {row.spec.id} were scored on different "
                        f"data: {reason}; evaluate both again on the same"
                    )
    tasks = {name: len(score.items) for name, (_, score) in first.items()}
    for row in rows:
        told = {task.task for task in row.not_run}
        for run in row.runs:
            if {score.task for score in run} | told != set(tasks) | told:
                raise EvaluationError(
                    f"row {row.spec.id} was scored on other tasks than {rows[0].spec.id}; evaluate both again"
                )
    return tasks
