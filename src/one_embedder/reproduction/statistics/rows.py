"""The obtained side of Table 1: a row's runs, their category means and average. Everything here is 0-1."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from one_embedder.errors import EvaluationError
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS, RowSpec

if TYPE_CHECKING:
    from one_embedder.evaluation.results import NotRun, TaskScore


@dataclass(frozen=True)
class RowRuns:
    """Every task score of one row of the table.

    Attributes:
        spec: which row.
        seeds: training seeds; empty for the untrained rows, which have exactly one run.
        runs: per seed (or the one run) the scores of all tasks.
        folders: where each run's results lie, for the record.
        not_run: tasks without a score in some run; a column with one of them has no number.
    """

    spec: RowSpec
    seeds: tuple[int, ...]
    runs: tuple[tuple[TaskScore, ...], ...]
    folders: tuple[str, ...] = ()
    not_run: tuple[NotRun, ...] = ()

    def __post_init__(self) -> None:
        if len(self.runs) != max(1, len(self.seeds)):
            raise EvaluationError(
                f"row {self.spec.id}: {len(self.runs)} runs for seeds {list(self.seeds)}; evaluate all of them"
            )
        for run in self.runs:
            for score in run:
                if not math.isfinite(score.main_score):
                    raise EvaluationError(
                        f"row {self.spec.id}: task {score.task} has no finite score ({score.main_score})"
                    )

    @property
    def incomplete(self) -> frozenset[str]:
        """Categories of which a task has no score."""
        return frozenset(task.category for task in self.not_run)

    def tasks(self) -> dict[str, str]:
        """Task -> category, those without a score included."""
        scored = {score.task: score.category for score in self.runs[0]}
        return scored | {task.task: task.category for task in self.not_run}

    def columns(self) -> dict[str, float]:
        """Column -> score, mean over seeds. Columns without all their tasks are absent, and so is then the average."""
        per_run = [run_columns(run, self.incomplete) for run in self.runs]
        return {column: fmean(scores[column] for scores in per_run) for column in per_run[0]}

    def deviations(self) -> dict[str, float]:
        """Column -> standard deviation over seeds (n - 1); 0 with a single run."""
        per_run = [run_columns(run, self.incomplete) for run in self.runs]
        if len(per_run) < 2:
            return dict.fromkeys(per_run[0], 0.0)
        return {column: stdev(scores[column] for scores in per_run) for column in per_run[0]}


def run_columns(run: Sequence[TaskScore], incomplete: Collection[str] = ()) -> dict[str, float]:
    """Category means of one run (each task counts once) and, when all nine are there, their mean.

    Args:
        run: the scores of its tasks.
        incomplete: categories to leave out.
    """
    scores = {
        column: fmean(score.main_score for score in run if score.category == column)
        for column in COLUMNS
        if column not in incomplete and any(score.category == column for score in run)
    }
    if len(scores) == len(COLUMNS):
        scores[AVERAGE] = fmean(scores[column] for column in COLUMNS)
    return scores


def task_counts(run: Sequence[TaskScore | NotRun]) -> dict[str, int]:
    """Number of tasks behind each category column."""
    return {column: sum(task.category == column for task in run) for column in COLUMNS}


def relative_gain(scores: Mapping[str, float], base: Mapping[str, float]) -> dict[str, float]:
    """Percent by which ``scores`` exceed ``base``, column by column; the average's gain is the gain of the averages."""
    return {column: 100 * (scores[column] / base[column] - 1) for column in scores if base.get(column, 0.0) > 0}
