"""What a reproduction has obtained, and the record that is made of it: ``table1/<profile>.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from one_embedder.reproduction.statistics.bootstrap import Bootstrap
from one_embedder.reproduction.statistics.claims import Claim
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS, INSTRUCTOR, RowSpec
from one_embedder.reproduction.statistics.rows import RowRuns, task_counts
from one_embedder.reproduction.table1.verdicts import CellVerdict, Comparison

SCHEMA = 2


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


def record_of(results: Results, statement: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The record; scores 0-1, expected numbers and verdict cells in points.

    Args:
        results: what was obtained.
        statement: what the profile's numbers are and are not.
        provenance: data, settings, environment, runs, hardware and cost; put beside the rest.
    """
    return {
        "schema": SCHEMA,
        "table": "table1",
        "profile": results.profile,
        "statement": statement,
        "tasks": results.counts,
        "rows": [_row(row, results.bootstrap) for row in results.rows],
        "differences": _differences(results),
        "claims": [_claim(claim) for claim in results.claims],
        "verdicts": {
            "exit_code": results.comparison.exit_code,
            "note": results.comparison.note,
            "warning": results.comparison.warning,
            "cells": [_cell(cell) for cell in results.comparison.cells],
        },
        **provenance,
    }


def _row(row: RowRuns, bootstrap: Bootstrap) -> dict[str, Any]:
    columns = [column for column in (*COLUMNS, AVERAGE) if column in bootstrap.samples[row.spec.id]]
    intervals = {column: bootstrap.interval(row.spec.id, column) for column in columns}
    return {
        "id": row.spec.id,
        "label": row.spec.label,
        "seeds": list(row.seeds),
        "results": list(row.folders),
        "scores": row.columns(),
        "deviations": row.deviations(),
        "intervals": {column: [interval.low, interval.high] for column, interval in intervals.items()},
        **({"not_run": [asdict(task) for task in row.not_run]} if row.not_run else {}),
    }


def _differences(results: Results) -> dict[str, dict[str, Any]]:
    """INSTRUCTOR minus every other row: row id -> column -> estimate, low, high."""
    samples = results.bootstrap.samples
    return {
        other: {
            column: asdict(results.bootstrap.difference(INSTRUCTOR.id, other, column))
            for column in samples[INSTRUCTOR.id]
            if column in samples[other]
        }
        for other in (row.spec.id for row in results.rows if row.spec.id != INSTRUCTOR.id)
    }


def _claim(claim: Claim) -> dict[str, Any]:
    fields = asdict(claim)
    return {"claim": fields.pop("text"), **fields}


def _cell(cell: CellVerdict) -> dict[str, Any]:
    fields = asdict(cell)
    return {**fields.pop("line"), **fields, "basis": str(cell.basis), "verdict": str(cell.verdict)}
