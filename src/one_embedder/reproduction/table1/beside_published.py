"""Obtained numbers beside published ones: for the profiles that run published models or repeat their training."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS, INSTRUCTOR
from one_embedder.reproduction.statistics.rows import RowRuns, relative_gain
from one_embedder.reproduction.table1.published_models import Beside
from one_embedder.reproduction.table1.results import Results
from one_embedder.reproduction.table1.tables import NOT_RUN, format_number, format_numbers, header, points
from one_embedder.reproduction.table1.verdicts import Comparison, ExpectedCell, Line, Verdict, judge

NOT_PUBLISHED = "not published"


def beside_grid(results: Results, beside: Beside) -> Grid:
    """Four lines a row (published, obtained, difference, verdict; points), then INSTRUCTOR's gains, both ways."""
    published_columns = {row: model.columns(results.tasks) for row, model in beside.models.items()}
    rows = []
    for row in results.rows:
        published, obtained = published_columns[row.spec.id], points(row.columns())
        rows.append([f"{row.spec.label}, published", *format_numbers(published)])
        rows.append(["  obtained", *_obtained(row, obtained)])
        rows.append(["  difference", *format_numbers(_difference(obtained, published), signed=True)])
        rows.append(["  verdict", *_verdicts(results.comparison, row.spec.id)])
    first, last = results.rows[0], results.row(INSTRUCTOR)
    gains = [
        relative_gain(published_columns[last.spec.id], published_columns[first.spec.id]),
        relative_gain(last.columns(), first.columns()),
    ]
    rows.append(["relative gain, %, published", *format_numbers(gains[0], signed=True)])
    rows.append(["relative gain, %, obtained", *format_numbers(gains[1], signed=True)])
    return Grid(header(results.counts), rows)


def tasks_beside_grid(results: Results, beside: Beside) -> Grid:
    """The appendix: a line a row and task, with what was published of it; a task without a score says why."""
    lines = []
    for row in results.rows:
        model = beside.models[row.spec.id]
        means, categories = _task_points(row), row.tasks()
        reasons = {task.task: task.reason for task in row.not_run}
        for task in sorted(categories, key=lambda task: (COLUMNS.index(categories[task]), task)):
            published, obtained = model.scores.get(task), means.get(task)
            lines.append(
                [
                    f"{row.spec.label}: {task}",
                    categories[task],
                    format_number(published),
                    format_number(obtained) if obtained is not None else NOT_RUN,
                    format_number(_minus(obtained, published), signed=True),
                    _verdict_of(
                        obtained, published, beside.tolerance(row.spec.id, categories[task]), reasons.get(task)
                    ),
                ]
            )
    return Grid(["task", "category", "published", "obtained", "difference", "verdict"], lines)


def notes(results: Results, beside: Beside) -> list[str]:
    """What has to be told with the table: how it was made, means over tasks, and one line a task without a score."""
    lines = list(beside.told)
    for row in results.rows:
        published, obtained = beside.models[row.spec.id].scores, _task_points(row)
        both = [task for task in obtained if task in published]
        if both:
            means = [fmean(side[task] for task in both) for side in (published, obtained)]
            lines.append(
                f"mean of the {len(both)} tasks with a score and a published one, {row.spec.label}: published "
                f"{means[0]:.2f}, obtained {means[1]:.2f}"
            )
        lines += [f"not run, {row.spec.label}: {task.category} {task.task}: {task.reason}" for task in row.not_run]
    return lines


def sources_text(beside: Beside) -> list[str]:
    """One line a published model."""
    return [f"{model.name}: {model.source}" for model in beside.models.values()]


def _task_points(row: RowRuns) -> dict[str, float]:
    """Task -> points, mean over seeds."""
    return {
        score.task: 100 * fmean(run[place].main_score for run in row.runs) for place, score in enumerate(row.runs[0])
    }


def _verdict_of(
    obtained: float | None, published: float | None, tolerance: tuple[float, float], reason: str | None
) -> str:
    if obtained is None:
        return f"{NOT_RUN}: {reason}"
    return NOT_PUBLISHED if published is None else str(judge(ExpectedCell(published, *tolerance), obtained))


def _verdicts(comparison: Comparison, row: str) -> list[str]:
    verdicts = (comparison.verdict(Line(row), column) for column in (*COLUMNS, AVERAGE))
    return [NOT_PUBLISHED if verdict is Verdict.NO_EXPECTED else str(verdict) for verdict in verdicts]


def _obtained(row: RowRuns, obtained: Mapping[str, float]) -> list[str]:
    lacking = row.incomplete | ({AVERAGE} if row.incomplete else set())
    return [NOT_RUN if c in lacking else format_number(obtained.get(c)) for c in (*COLUMNS, AVERAGE)]


def _difference(obtained: Mapping[str, float], published: Mapping[str, float]) -> dict[str, float]:
    return {column: obtained[column] - published[column] for column in obtained if column in published}


def _minus(obtained: float | None, published: float | None) -> float | None:
    return None if obtained is None or published is None else obtained - published
