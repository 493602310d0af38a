"""The rows of the steering table: three models, all given the instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from one_embedder.errors import EvaluationError
from one_embedder.evaluation.views.cells import MEASURES
from one_embedder.evaluation.views.results import ViewResult
from one_embedder.evaluation.views.steering import mean_over_labelings
from one_embedder.reproduction.statistics.layout import BACKBONE, INSTRUCTOR, WITHOUT, RowSpec

UNTRAINED = replace(BACKBONE, label="backbone (untrained)", evaluated_with_instructions=True)
PLAIN = replace(WITHOUT, evaluated_with_instructions=True)
ROWS = (UNTRAINED, PLAIN, INSTRUCTOR)
"""A model without instructions is in every row's column ``none``; a row of its own would have nothing to steer by."""

MEAN = "mean"
"""Over the sets, each counting once."""


@dataclass(frozen=True)
class ViewRow:
    """One model on every set.

    Attributes:
        spec: which row.
        seeds: training seeds; empty for the untrained row, which has exactly one run.
        runs: per seed (or the one run) the results of all sets.
        folders: where each run's results lie, for the record.
    """

    spec: RowSpec
    seeds: tuple[int, ...]
    runs: tuple[tuple[ViewResult, ...], ...]
    folders: tuple[str, ...]

    @property
    def sets(self) -> list[str]:
        """Names of the sets."""
        return [result.name for result in self.runs[0]]


def cell(measure: str, of: str, column: str) -> str:
    """The name of a number: a measure, a set or ``MEAN``, and a column of ``steering.COLUMNS``."""
    return f"{measure}/{of}/{column}"


def numbers(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Every number of one run by the name that ``cell`` gives it.

    Args:
        tables: set -> measure -> table S, of scores or of (R,) arrays of them.
    """
    found: dict[str, Any] = {}
    for measure in MEASURES:
        means = {name: mean_over_labelings(of[measure]) for name, of in tables.items()}
        for column in next(iter(means.values())):
            of_sets = [scores[column] for scores in means.values()]
            found[cell(measure, MEAN, column)] = sum(of_sets) / len(of_sets)
            found |= {cell(measure, name, column): scores[column] for name, scores in means.items()}
    return found


def require_paired(rows: Sequence[ViewRow]) -> None:
    """Refuse rows that cannot be compared.

    Raises:
        EvaluationError: if two runs are not of the same sets, texts, instructions and settings.
    """
    first = rows[0].runs[0]
    for row in rows:
        for run in row.runs:
            if [result.name for result in run] != [result.name for result in first]:
                raise EvaluationError(f"row {row.spec.id} was scored on other view sets than {rows[0].spec.id}")
            for one, other in zip(first, run, strict=True):
                if changed := _unlike(one, other):
                    raise EvaluationError(
                        f"view set {one.name} of row {rows[0].spec.id} and of row {row.spec.id}: another {changed}; "
                        "evaluate both again on the same"
                    )


def _unlike(one: ViewResult, other: ViewResult) -> str | None:
    keys = sorted({*one.identity, *other.identity} - {"encoder_revision"})
    changed = [key for key in keys if one.identity.get(key) != other.identity.get(key)]
    return changed[0] if changed else None if one.ids == other.ids else "choice of texts"
