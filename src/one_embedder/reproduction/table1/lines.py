"""The lines of Table 1 that are judged: every run of every row, and INSTRUCTOR minus the rows it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from one_embedder.reproduction.statistics.claims import CLAIMS
from one_embedder.reproduction.statistics.layout import INSTRUCTOR
from one_embedder.reproduction.statistics.rows import RowRuns, run_columns
from one_embedder.reproduction.table1.tables import points
from one_embedder.reproduction.table1.verdicts import Line

Lines = dict[Line, dict[str, float]]
"""Line -> column (average included) -> points."""


def runs_of(rows: Sequence[RowRuns]) -> Lines:
    """Every run of every row by itself; columns without all their tasks are absent."""
    return {
        Line(row.spec.id, seed): points(run_columns(run, row.incomplete))
        for row in rows
        for seed, run in zip(row.seeds or (None,), row.runs, strict=True)
    }


def with_differences(runs: Mapping[Line, Mapping[str, float]]) -> Lines:
    """The runs, and after them every run of INSTRUCTOR minus the run beside it of each row that a claim is about.

    Beside a run stands the one of the same seed, or the single run of an untrained row.
    """
    lines = {line: dict(columns) for line, columns in runs.items()}
    for other in (spec.id for _, spec in CLAIMS):
        for line, columns in runs.items():
            base = runs.get(Line(other, line.seed), runs.get(Line(other)))
            if line.row == INSTRUCTOR.id and base is not None:
                shared = [column for column in columns if column in base]
                lines[Line(line.row, line.seed, other)] = {column: columns[column] - base[column] for column in shared}
    return lines
