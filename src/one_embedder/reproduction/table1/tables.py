"""Table 1 and the tables beside it, as grids of text. The only place where 0-1 becomes points.

What a record holds is rendered from the record, so that a table is the same in the terminal, in files and on pages.
A record is the content of ``table1/<profile>.json``, which ``report`` makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.decision import told, trainings
from one_embedder.reproduction.statistics.layout import (
    AVERAGE,
    BACKBONE,
    COLUMN_HEADERS,
    COLUMNS,
    INSTRUCTOR,
    RELATIVE_GAIN,
)
from one_embedder.reproduction.statistics.rows import RowRuns, relative_gain
from one_embedder.reproduction.table1.published import PublishedTable
from one_embedder.reproduction.table1.verdicts import CellVerdict, Line

ABSENT = "-"
NOT_RUN = "not run"
"""A cell of which a task has no score."""
ALL_COLUMNS = (*COLUMNS, AVERAGE)
_OF_TASK = ["task", "category", "metric", "items"]

Record = Mapping[str, Any]


def points(scores: Mapping[str, float]) -> dict[str, float]:
    """0-1 -> 0-100."""
    return {column: 100 * score for column, score in scores.items()}


def header(counts: Mapping[str, int]) -> list[str]:
    """Column headers with their numbers of tasks."""
    return ["model", *(f"{COLUMN_HEADERS[column]} ({counts.get(column, 0)})" for column in COLUMNS), "average"]


def score_grid(record: Record) -> Grid:
    """Points of every row with one decimal, and the interval of the average."""
    rows = [
        [row["label"], *format_numbers(points(row["scores"])), format_bounds(bounds_of(row, AVERAGE))]
        for row in record["rows"]
    ]
    return Grid([*header(record["tasks"]), f"{100 * record['bootstrap']['confidence']:g} % interval"], rows)


def means_over_seeds(record: Record) -> str:
    """What the numbers of finetuned rows are."""
    seeds = max((row["seeds"] for row in record["rows"]), key=len)
    return f"finetuned rows are means over seeds {', '.join(map(str, seeds))}" if seeds else "no row was finetuned here"


def main_grid(record: Record) -> Grid:
    """Table 1: the scores, and below them the relative gain over the backbone."""
    grid, scores = score_grid(record), {row["id"]: row["scores"] for row in record["rows"]}
    gain = relative_gain(scores[INSTRUCTOR.id], scores[BACKBONE.id])
    return Grid(grid.headers, [*grid.rows, [RELATIVE_GAIN, *format_numbers(gain, signed=True), ""]])


def paper_grid(published: PublishedTable) -> Grid:
    """The paper's rows, with the gains it derives from them."""
    rows = []
    for row in published.rows:
        rows.append([f"{row.model} ({row.parameters})", *format_numbers({**row.scores, AVERAGE: row.average})])
        if row.backbone is not None:
            gains = published.relative_gains(row.model)
            rows.append([f"  relative gain over {row.backbone}, %", *format_numbers(gains, signed=True)])
    return Grid(header(published.task_counts), rows)


def verdict_grid(cells: Sequence[CellVerdict], labels: Mapping[str, str]) -> Grid:
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
        for cell in cells
    ]
    return Grid(["cell", "expected", "obtained", "delta", "ok within", "judged by", "verdict"], rows)


def _line(line: Line, labels: Mapping[str, str]) -> str:
    seed = "" if line.seed is None else f", seed {line.seed}"
    minus = "" if line.minus is None else f" minus {labels[line.minus]}"
    return f"{labels[line.row]}{minus}{seed}"


def difference_grid(record: Record) -> Grid:
    """INSTRUCTOR minus every other row, with intervals, per column; points."""
    labels, others = {row["id"]: row["label"] for row in record["rows"]}, record["differences"]
    rows = []
    for column in _columns(record):
        cells = [Interval(**other[column]) if column in other else None for other in others.values()]
        rows.append([column, *(ABSENT if cell is None else format_difference(cell) for cell in cells)])
    return Grid(["INSTRUCTOR minus", *(labels[other] for other in others)], rows)


def interval_grid(record: Record) -> Grid:
    """Every cell of Table 1 with its interval; points."""
    rows = []
    for column in _columns(record):
        cells = [bounds_of(row, column) for row in record["rows"]]
        rows.append([column, *(ABSENT if cell is None else format_interval(cell) for cell in cells)])
    return Grid(["column", *(row["label"] for row in record["rows"])], rows)


def claim_lines(record: Record) -> list[str]:
    """One sentence a claim, with the difference and the corrected p-value that decide it."""
    return [f"{text}: {verdict}; {difference}, p {p}" for text, verdict, difference, p in claim_grid(record).rows]


def claim_grid(record: Record) -> Grid:
    """One line a claim: the verdict with the trainings behind it, and what decided it."""
    rows = []
    for claim in record["claims"]:
        difference = Interval(**claim["difference"])
        verdict = told(claim["verdict"], difference, trainings(claim["seeds"], record["steps"]))
        origin = " from the interval" if claim.get("p_from") == "interval" else ""
        rows.append([claim["claim"], verdict, format_difference(difference), f"{claim['p_adjusted']:.3f}{origin}"])
    return Grid(["claim", "verdict", "difference", "p (Holm)"], rows)


def to_csv(record: Record) -> str:
    """One row a model, one column a category plus ``average``; points."""
    return points_csv(
        [{"model": row["label"], **points(row["scores"])} for row in record["rows"]], ["model", *ALL_COLUMNS]
    )


def tasks_frame(rows: Sequence[RowRuns]) -> pd.DataFrame:
    """The appendix: one row a model, seed and task; points."""
    lines = [
        [row.spec.label, seed, score.category, score.task, score.metric, len(score.items), 100 * score.main_score]
        for row in rows
        for seed, run in zip(row.seeds or ("",), row.runs, strict=True)
        for score in run
    ]
    return pd.DataFrame(lines, columns=["model", "seed", "category", "task", "metric", "items", "points"])


def task_grid(tasks: pd.DataFrame) -> Grid:
    """One line a task: points of every row, mean over seeds. ``tasks`` is as ``tasks_frame`` gives it."""
    by_model = tasks.groupby([*_OF_TASK, "model"], sort=False)["points"].mean().to_dict()
    models, known = list(dict.fromkeys(tasks["model"])), tasks[_OF_TASK].drop_duplicates()
    rows = [
        [*map(str, task), *(format_number(by_model.get((*task, model))) for model in models)]
        for task in known.itertuples(index=False, name=None)
    ]
    return Grid([*_OF_TASK, *models], rows)


def points_csv(rows: Any, columns: Iterable[str]) -> str:
    """A CSV file's text: points with four decimals, empty where absent.

    Args:
        rows: column -> value, a mapping each or a frame.
        columns: which, in this order.
    """
    frame = pd.DataFrame(rows, columns=list(columns))
    return str(frame.to_csv(index=False, float_format="%.4f", lineterminator="\n"))


def bounds_of(row: Record, column: str) -> Interval | None:
    """A row's score in a column with its interval; None where there is none."""
    return Interval(row["scores"][column], *row["intervals"][column]) if column in row["intervals"] else None


def format_interval(interval: Interval) -> str:
    """``58.4 [57.9, 59.0]`` in points."""
    return f"{100 * interval.estimate:.1f} {format_bounds(interval)}"


def format_bounds(interval: Interval | None) -> str:
    """``[57.9, 59.0]`` in points; ``-`` for None."""
    return ABSENT if interval is None else f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def format_difference(interval: Interval) -> str:
    """``+1.2 [+0.3, +2.0]`` in points."""
    return f"{100 * interval.estimate:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def format_numbers(values: Mapping[str, float], *, signed: bool = False) -> list[str]:
    """Every column of Table 1, the average last."""
    return [format_number(values.get(column), signed=signed) for column in ALL_COLUMNS]


def format_number(value: float | None, *, signed: bool = False) -> str:
    """One decimal; ``-`` for None."""
    if value is None:
        return ABSENT
    return f"{value:+.1f}" if signed else f"{value:.1f}"


def _columns(record: Record) -> list[str]:
    """Those that INSTRUCTOR has."""
    (instructor,) = (row for row in record["rows"] if row["id"] == INSTRUCTOR.id)
    return [column for column in ALL_COLUMNS if column in instructor["intervals"]]
