"""Tables of a reproduction or an ablation for W&B: numbers as numbers, which its pages can sort and plot. Points."""

from __future__ import annotations

from collections.abc import Sequence

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.ablation.record import AblationRecord
from one_embedder.reproduction.statistics.decision import told, trainings
from one_embedder.reproduction.statistics.layout import AVERAGE
from one_embedder.reproduction.table1.results import Results
from one_embedder.reproduction.table1.tables import ALL_COLUMNS, points, tasks_frame
from one_embedder.reproduction.table1.verdicts import CellVerdict
from one_embedder.tracking.wandb_run import Table


def wandb_tables(results: Results, steps: Sequence[int]) -> dict[str, Table]:
    """Name -> table: Table 1, every task of every run, the claims, expected against obtained.

    Args:
        results: what was obtained.
        steps: of a training; none where nothing was trained.
    """
    claims = [
        [
            claim.text,
            told(claim.verdict, claim.difference, trainings(claim.seeds, steps)),
            *_bounds(claim.difference),
            claim.p_adjusted,
        ]
        for claim in results.claims
    ]
    tasks = tasks_frame(results.rows).astype({"seed": str})  # untrained rows have none
    return {
        "table1": _main(results),
        "tasks": Table(list(tasks.columns), tasks.values.tolist()),
        "claims": Table(["claim", "verdict", "difference", "low", "high", "p_adjusted"], claims),
        "expected": Table(
            ["row", "seed", "minus", "column", "expected", "obtained", "delta", "within", "basis", "verdict"],
            [_cell(cell) for cell in results.comparison.cells],
        ),
    }


def ablation_tables(record: AblationRecord) -> dict[str, Table]:
    """Name -> table: every run's columns, and the claims with what decided them."""
    runs = [
        [cell.label, run, *(100 * scores[column] if column in scores else None for column in ALL_COLUMNS)]
        for cell in record.cells
        for run, scores in zip(cell.runs, cell.columns, strict=True)
    ]
    claims = [
        [claim.text, claim.source, record.told(claim), *_bounds(claim.difference), claim.p_adjusted]
        for claim in record.claims
    ]
    return {
        "runs": Table(["cell", "run", *ALL_COLUMNS], runs),
        "claims": Table(["claim", "source", "verdict", "difference", "low", "high", "p_adjusted"], claims),
    }


def _cell(cell: CellVerdict) -> list[str | float | None]:
    line, numbers = cell.line, (cell.expected, cell.obtained, cell.delta, cell.within)
    return [line.row, line.seed, line.minus, cell.column, *numbers, str(cell.basis), str(cell.verdict)]


def _bounds(difference: Interval | None) -> list[float | None]:
    if difference is None:
        return [None, None, None]
    return [100 * difference.estimate, 100 * difference.low, 100 * difference.high]


def averages(results: Results) -> dict[str, float]:
    """Row -> average, for comparing reproductions; rows without all nine categories have none."""
    scores = {row.spec.id: points(row.columns()).get(AVERAGE) for row in results.rows}
    return {f"average/{row}": score for row, score in scores.items() if score is not None}


def _main(results: Results) -> Table:
    known = results.bootstrap.estimates.values()
    columns = [column for column in ALL_COLUMNS if any(column in scores for scores in known)]
    scored = [(row.spec.label, points(row.columns())) for row in results.rows]
    return Table(
        ["model", *columns], [[label, *(scores.get(column) for column in columns)] for label, scores in scored]
    )
