"""Table 1 and the tables beside it, as grids of text. The only place where 0-1 becomes points."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.bootstrap import Bootstrap
from one_embedder.reproduction.statistics.claims import Claim
from one_embedder.reproduction.statistics.layout import (
    AVERAGE,
    BACKBONE,
    COLUMN_HEADERS,
    COLUMNS,
    INSTRUCTOR,
    RELATIVE_GAIN,
    RowSpec,
)
from one_embedder.reproduction.statistics.rows import RowRuns, relative_gain, task_counts
from one_embedder.reproduction.table1.published import PublishedTable
from one_embedder.reproduction.table1.verdicts import Comparison, Line

ABSENT = "-"
NOT_RUN = "not run"
"""A cell of which a task has no score."""


@dataclass(frozen=True)
class Results:
    """Everything a rendering needs; scores are 0-1 inside."""

    profile: str
    rows: Sequence[RowRuns]
    bootstrap: Bootstrap
    comparison: Comparison
    claims: Sequence[Claim]

    def row(self, spec: RowSpec) -> RowRuns:
        """The runs of one row."""
        return next(row for row in self.rows if row.spec.id == spec.id)

    @property
    def tasks(self) -> dict[str, str]:
        """Task -> category, those without a score included."""
        return self.rows[0].tasks()

    @property
    def counts(self) -> dict[str, int]:
        """Category -> number of tasks, those without a score included."""
        return task_counts([*self.rows[0].runs[0], *self.rows[0].not_run])


def points(scores: Mapping[str, float]) -> dict[str, float]:
    """0-1 -> 0-100."""
    return {column: 100 * score for column, score in scores.items()}


def header(counts: Mapping[str, int]) -> list[str]:
    """Column headers with their numbers of tasks."""
    return ["model", *(f"{COLUMN_HEADERS[column]} ({counts.get(column, 0)})" for column in COLUMNS), "average"]


def main_grid(results: Results) -> Grid:
    """Table 1: points with one decimal, the interval of the average, and the relative gain over the backbone."""
    percent = f"{100 * results.bootstrap.confidence:g} % interval"
    rows = [
        [row.spec.label, *_numbers(points(row.columns())), _interval(results.bootstrap, row.spec)]
        for row in results.rows
    ]
    gain = relative_gain(results.row(INSTRUCTOR).columns(), results.row(BACKBONE).columns())
    rows.append([RELATIVE_GAIN, *_numbers(gain, signed=True), ""])
    return Grid([*header(results.counts), percent], rows)


def paper_grid(published: PublishedTable) -> Grid:
    """The paper's rows, with the gains it derives from them."""
    rows = []
    for row in published.rows:
        rows.append([f"{row.model} ({row.parameters})", *_numbers({**row.scores, AVERAGE: row.average})])
        if row.backbone is not None:
            gains = published.relative_gains(row.model)
            rows.append([f"  relative gain over {row.backbone}, %", *_numbers(gains, signed=True)])
    return Grid(header(published.task_counts), rows)


def verdict_grid(comparison: Comparison, labels: Mapping[str, str]) -> Grid:
    """One line a cell: expected, obtained, delta, how far would be ok and what says so, verdict; points."""
    rows = [
        [
            f"{_line(cell.line, labels)}: {cell.column}",
            *(ABSENT if number is None else f"{number:.2f}" for number in (cell.expected, cell.obtained)),
            ABSENT if cell.delta is None else f"{cell.delta:+.2f}",
            ABSENT if cell.within is None else f"{cell.within:.2f}",
            str(cell.basis) or ABSENT,
            str(cell.verdict),
        ]
        for cell in comparison.cells
    ]
    return Grid(["cell", "expected", "obtained", "delta", "ok within", "judged by", "verdict"], rows)


def _line(line: Line, labels: Mapping[str, str]) -> str:
    seed = "" if line.seed is None else f", seed {line.seed}"
    minus = "" if line.minus is None else f" minus {labels[line.minus]}"
    return f"{labels[line.row]}{minus}{seed}"


def difference_grid(results: Results) -> Grid:
    """INSTRUCTOR minus every other row, with intervals, per column; points."""
    present = [column for column in (*COLUMNS, AVERAGE) if column in results.bootstrap.samples[INSTRUCTOR.id]]
    others = [row.spec for row in results.rows if row.spec.id != INSTRUCTOR.id]
    rows = [[column, *(_difference(results.bootstrap, other, column) for other in others)] for column in present]
    return Grid(["INSTRUCTOR minus", *(other.label for other in others)], rows)


def interval_grid(results: Results) -> Grid:
    """Every cell of Table 1 with its interval; points."""
    present = [column for column in (*COLUMNS, AVERAGE) if column in results.bootstrap.samples[INSTRUCTOR.id]]
    rows = [[column, *(_cell(results.bootstrap, row.spec, column) for row in results.rows)] for column in present]
    return Grid(["column", *(row.spec.label for row in results.rows)], rows)


def task_grid(results: Results) -> Grid:
    """One line a task: points of every row, mean over seeds."""
    rows = []
    for index, first in enumerate(results.rows[0].runs[0]):
        means = [sum(run[index].main_score for run in row.runs) / len(row.runs) for row in results.rows]
        rows.append(
            [first.task, first.category, first.metric, str(len(first.items)), *(f"{100 * mean:.1f}" for mean in means)]
        )
    return Grid(["task", "category", "metric", "items", *(row.spec.label for row in results.rows)], rows)


def to_csv(results: Results) -> str:
    """One row a model, one column a category plus ``average``; points with four decimals, empty where absent."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["model", *COLUMNS, AVERAGE])
    for row in results.rows:
        scores = points(row.columns())
        writer.writerow([row.spec.label, *(f"{scores[c]:.4f}" if c in scores else "" for c in (*COLUMNS, AVERAGE))])
    return stream.getvalue()


def tasks_csv(results: Results) -> str:
    """The appendix: one row a model, seed and task; points with four decimals."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["model", "seed", "category", "task", "metric", "items", "points"])
    for row in results.rows:
        for seed, run in zip(row.seeds or ("",), row.runs, strict=True):
            for score in run:
                value = f"{100 * score.main_score:.4f}"
                writer.writerow(
                    [row.spec.label, seed, score.category, score.task, score.metric, len(score.items), value]
                )
    return stream.getvalue()


def format_interval(interval: Interval) -> str:
    """``58.4 [57.9, 59.0]`` in points."""
    return f"{100 * interval.estimate:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def format_difference(interval: Interval) -> str:
    """``+1.2 [+0.3, +2.0]`` in points."""
    return f"{100 * interval.estimate:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def _difference(bootstrap: Bootstrap, other: RowSpec, column: str) -> str:
    if column not in bootstrap.samples[other.id]:
        return ABSENT
    return format_difference(bootstrap.difference(INSTRUCTOR.id, other.id, column))


def _cell(bootstrap: Bootstrap, spec: RowSpec, column: str) -> str:
    return format_interval(bootstrap.interval(spec.id, column)) if column in bootstrap.samples[spec.id] else ABSENT


def _interval(bootstrap: Bootstrap, spec: RowSpec) -> str:
    if AVERAGE not in bootstrap.samples[spec.id]:
        return ABSENT
    interval = bootstrap.interval(spec.id)
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _numbers(values: Mapping[str, float], *, signed: bool = False) -> list[str]:
    return [format_number(values.get(column), signed=signed) for column in (*COLUMNS, AVERAGE)]


def format_number(value: float | None, *, signed: bool = False) -> str:
    """One decimal; ``-`` for None."""
    if value is None:
        return ABSENT
    return f"{value:+.1f}" if signed else f"{value:.1f}"
