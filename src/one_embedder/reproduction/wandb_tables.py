"""A reproduction's tables for Weights & Biases: numbers as numbers, which its pages can sort and plot. Points."""

from __future__ import annotations

import csv

from one_embedder.reproduction.layout import AVERAGE, COLUMNS
from one_embedder.reproduction.table import Results, points, tasks_csv
from one_embedder.tracking.wandb_run import Table


def wandb_tables(results: Results) -> dict[str, Table]:
    """Name -> table: Table 1, every task of every run, the claims, expected against obtained."""
    return {
        "table1": _main(results),
        "tasks": _tasks(results),
        "claims": Table(
            ["claim", "verdict", "difference", "low", "high"],
            [
                [claim.text, claim.verdict, *(100 * x for x in (difference.estimate, difference.low, difference.high))]
                for claim in results.claims
                for difference in [claim.difference]
            ],
        ),
        "expected": Table(
            ["row", "column", "expected", "obtained", "delta", "verdict"],
            [[c.row, c.column, c.expected, c.obtained, c.delta, str(c.verdict)] for c in results.comparison.cells],
        ),
    }


def averages(results: Results) -> dict[str, float]:
    """Row -> average, for comparing reproductions; rows without all nine categories have none."""
    scores = {row.spec.id: points(row.columns()).get(AVERAGE) for row in results.rows}
    return {f"average/{row}": score for row, score in scores.items() if score is not None}


def _main(results: Results) -> Table:
    known = results.bootstrap.estimates.values()
    columns = [column for column in (*COLUMNS, AVERAGE) if any(column in scores for scores in known)]
    rows = []
    for row in results.rows:
        scores = points(row.columns())
        rows.append([row.spec.label, *(scores.get(column) for column in columns)])
    return Table(["model", *columns], rows)


def _tasks(results: Results) -> Table:
    header, *rows = csv.reader(tasks_csv(results).splitlines())
    return Table(header, [[*row[:-2], int(row[-2]), float(row[-1])] for row in rows])
