"""Tables of a reproduction or an ablation for W&B: numbers as numbers, which its pages can sort and plot. Points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.ablation.record import AblationRecord
from one_embedder.reproduction.statistics.decision import told, trainings
from one_embedder.reproduction.statistics.layout import AVERAGE
from one_embedder.reproduction.table1.tables import ALL_COLUMNS, points
from one_embedder.tracking.wandb_run import Table

_DECIDED = ["verdict", "difference", "low", "high", "p_adjusted"]


def wandb_tables(record: Mapping[str, Any], tasks: pd.DataFrame) -> dict[str, Table]:
    """Name -> table: Table 1, every task of every run, the claims, expected against obtained.

    Args:
        record: of the reproduction.
        tasks: as ``tables.tasks_frame`` gives them.
    """
    known = [column for column in ALL_COLUMNS if any(column in row["scores"] for row in record["rows"])]
    main = [[row["label"], *map(points(row["scores"]).get, known)] for row in record["rows"]]
    cells = record["verdicts"]["cells"]
    return {
        "table1": Table(["model", *known], main),
        "tasks": Table(list(tasks.columns), tasks.astype({"seed": str}).values.tolist()),  # untrained rows have none
        "claims": Table(["claim", *_DECIDED], table1_claims(record)),
        "expected": Table(list(cells[0]), [[*cell.values()] for cell in cells]),
    }


def ablation_tables(record: AblationRecord) -> dict[str, Table]:
    """Name -> table: every run's columns, and the claims with what decided them."""
    runs = [
        [cell.label, run, *map(points(scores).get, ALL_COLUMNS)]
        for cell in record.cells
        for run, scores in zip(cell.runs, cell.columns, strict=True)
    ]
    sources = [claim.source for claim in record.claims]
    claims = [[text, source, *how] for source, (text, *how) in zip(sources, ablation_claims(record), strict=True)]
    return {
        "runs": Table(["cell", "run", *ALL_COLUMNS], runs),
        "claims": Table(["claim", "source", *_DECIDED], claims),
    }


def table1_claims(record: Mapping[str, Any]) -> list[list[Any]]:
    """One line a claim of Table 1: sentence, verdict as readers see it, difference, its interval, corrected p."""
    rows = []
    for claim in record["claims"]:
        difference = Interval(**claim["difference"])
        verdict = told(claim["verdict"], difference, trainings(claim["seeds"], record["steps"]))
        rows.append([claim["claim"], verdict, *_bounds(difference), claim["p_adjusted"]])
    return rows


def ablation_claims(record: AblationRecord) -> list[list[Any]]:
    """The same of an ablation; numbers are None where a part of the claim has not run."""
    return [[claim.text, record.told(claim), *_bounds(claim.difference), claim.p_adjusted] for claim in record.claims]


def averages(record: Mapping[str, Any]) -> dict[str, float]:
    """Row -> average, for comparing reproductions; rows without all nine categories have none."""
    scored = {row["id"]: row["scores"] for row in record["rows"]}
    return {f"average/{row}": 100 * scores[AVERAGE] for row, scores in scored.items() if AVERAGE in scores}


def _bounds(difference: Interval | None) -> list[float | None]:
    if difference is None:
        return [None, None, None]
    return [100 * difference.estimate, 100 * difference.low, 100 * difference.high]
