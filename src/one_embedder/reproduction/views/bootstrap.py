"""Paired bootstrap of the steering table.

One resample redraws the N texts of each set with replacement. All numbers of a set (every instruction, labeling, model
and seed) are computed anew from the same drawn texts, so that a difference is one on the same texts. What was done
with all texts stays as it was: the neighbours that voted, and the clusters. Seeds are redrawn as in Table 1: each
resample draws as many of a row's seeds as it has, with replacement, and averages them. The sets are not redrawn, so the
intervals speak of other texts of these sets, not of other sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from one_embedder.evaluation.resampling import resamples_of
from one_embedder.evaluation.views.cells import MEASURES
from one_embedder.evaluation.views.results import ViewResult
from one_embedder.evaluation.weighted import Array
from one_embedder.reproduction.statistics.bootstrap import Bootstrap, average_seeds
from one_embedder.reproduction.views.rows import ViewRow, numbers, require_paired


def view_bootstrap(rows: Sequence[ViewRow], *, resamples: int, confidence: float, seed: int) -> Bootstrap:
    """Resample the texts of every set, alike for all rows; columns are called as ``rows.cell`` says.

    Args:
        rows: of runs on the same texts.
        resamples: number R of resamples.
        confidence: coverage of the intervals.
        seed: of the draws.

    Raises:
        EvaluationError: if the rows cannot be compared.
    """
    require_paired(rows)
    estimates = {row.spec.id: _estimates(row) for row in rows}
    samples = {row.spec.id: _samples(row, resamples, seed) for row in rows}
    return Bootstrap(estimates, samples, confidence)


def _estimates(row: ViewRow) -> dict[str, float]:
    """Means over the seeds."""
    runs = [numbers({result.name: {m: result.table(m) for m in MEASURES} for result in run}) for run in row.runs]
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}


def _samples(row: ViewRow, resamples: int, seed: int) -> dict[str, Array]:
    runs = [
        numbers({result.name: _resampled(result, resamples, [seed, number]) for number, result in enumerate(run)})
        for run in row.runs
    ]
    names = list(runs[0])
    scores = np.stack([np.stack([run[name] for name in names]) for run in runs])  # (S, columns, R)
    return dict(zip(names, average_seeds(scores, seed), strict=True))


def _resampled(result: ViewResult, resamples: int, seed: list[int]) -> dict[str, dict[str, dict[str, Array]]]:
    """Measure -> instruction -> labeling -> (R,) scores."""
    tables: dict[str, dict[str, dict[str, Any]]] = {
        measure: {given: {name: np.empty(resamples) for name in row} for given, row in result.cells.items()}
        for measure in MEASURES
    }
    items = {
        (given, name): found.items(result.labelings[name])
        for given, row in result.cells.items()
        for name, found in row.items()
    }
    for chunk, counts in resamples_of(len(result.ids), resamples, np.random.default_rng(seed)):
        for (given, name), of in items.items():
            drawn = counts[:, result.labelings[name].places]
            for measure, runs in of.items():
                tables[measure][given][name][chunk] = np.mean([run.resampled(drawn) for run in runs], axis=0)
    return tables
