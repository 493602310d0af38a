"""Tests beside the bootstrap: permutations of test items and of seeds, effect sizes, correction for many comparisons.

The bootstrap (``statistics``) asks how far a difference would move with other test items and other seeds. A permutation
asks another question: could the difference arise if both sides were the same? It needs no distribution, but speaks of
these items and these trainings only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from one_embedder.errors import EvaluationError
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.resampling import CHUNK
from one_embedder.evaluation.weighted import Array, weighted_score
from one_embedder.reproduction.statistics.layout import AVERAGE
from one_embedder.reproduction.statistics.rows import RowRuns

if TYPE_CHECKING:
    from one_embedder.evaluation.benchmarks import TaskScore

    Runs = tuple[tuple[TaskScore, ...], ...]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: the chance of a single false alarm among all of them stays below the level each is held to.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    scaled = np.array([(count - place) * p_values[index] for place, index in enumerate(order)])
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in adjusted]


def bootstrap_p_value(estimate: float, samples: Array) -> float:
    """Two-sided: how often resamples, centred on the estimate, lie on the other side of zero, twice.

    Args:
        estimate: of the difference.
        samples: (R,) resampled differences; nan where a resample has no score. At best the result is 2 / (R + 1).
    """
    centred = samples[np.isfinite(samples)] + (estimate - np.nanmean(samples))
    beyond = min(int((centred <= 0).sum()), int((centred >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(centred) + 1))


def seeds_p_value(differences: Sequence[float]) -> float | None:
    """Two-sided: flip the sign of each seed's difference in every possible way; None with one seed.

    With S seeds the smallest value is 2 / 2 ** S: three seeds cannot say more than 0.25.
    """
    from scipy.stats import permutation_test

    if len(differences) < 2:
        return None
    values = np.asarray(differences, dtype=np.float64)
    result = permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    return float(result.pvalue)


def standardized_mean(differences: Sequence[float]) -> float | None:
    """Mean over standard deviation (n - 1) of paired differences, Cohen's d for pairs; None where that is undefined."""
    if len(differences) < 2:
        return None
    deviation = float(np.std(differences, ddof=1))
    return float(np.mean(differences)) / deviation if deviation > 1e-12 else None


def items_p_value(one: RowRuns, other: RowRuns, column: str, *, resamples: int, seed: int) -> float:
    """Two-sided: let the sides exchange the outcomes of single test items, as if it did not matter whose they are.

    An item is exchanged in all seeds at once, because its outcomes are not independent between seeds. What the sides
    gave is first put on a common scale that leaves their scores as they are (see ``_pooled``).

    Args:
        one: one side's runs, over the same tasks and items as the other's.
        other: the other side's; a side with a single run is compared with every run of the other.
        column: a category, or ``average``.
        resamples: R permutations; the smallest p-value is 1 / (R + 1).
        seed: of the draws.
    """
    pairs = list(zip(*_broadcast(one, other), strict=True))
    tasks = [task for task, score in enumerate(one.runs[0]) if column in (AVERAGE, score.category)]
    permuted = np.empty((len(tasks), resamples + 1))
    for row, task in enumerate(tasks):
        pools = [_pooled(first[task].items, second[task].items) for first, second in pairs]
        rng = np.random.default_rng([seed, task])
        for start in range(0, resamples + 1, CHUNK):
            chunk = slice(start, min(start + CHUNK, resamples + 1))
            swapped = rng.random((chunk.stop - chunk.start, len(pools[0]) // 2)) < 0.5
            swapped[0] &= start > 0  # the very first: as it was observed
            permuted[row, chunk] = np.mean([_difference(pool, swapped) for pool in pools], axis=0)
    categories = np.array([one.runs[0][task].category for task in tasks])
    means = [permuted[categories == category].mean(axis=0) for category in dict.fromkeys(categories)]
    differences = np.abs(np.mean(means, axis=0))
    as_large = int((differences[1:] >= differences[0] - 1e-12).sum())  # a resample without a score (nan) is not
    return (as_large + 1) / (resamples + 1)


def _broadcast(one: RowRuns, other: RowRuns) -> tuple[Runs, Runs]:
    """Equally many runs on both sides, those of one seed beside each other."""
    if len(one.runs) == 1:
        return one.runs * len(other.runs), other.runs
    if len(other.runs) == 1:
        return one.runs, other.runs * len(one.runs)
    if one.seeds != other.seeds:
        raise EvaluationError(
            f"{one.spec.id} has the seeds {list(one.seeds)}, {other.spec.id} has {list(other.seeds)}: run the same ones"
        )
    return one.runs, other.runs


def _pooled(one: ItemScores, other: ItemScores) -> ItemScores:
    """The items of both sides in one table, N rows of one and then N of the other, on a common scale.

    Ranks for rank statistics, deviations from the mean for Pearson's correlation; and the other side's clusters take
    the numbers of those of this side that they overlap with most.
    """
    columns = {name: np.concatenate([one.columns[name], other.columns[name]]) for name in one.columns}
    if one.statistic == "v_measure":
        columns["predicted"] = np.concatenate([one.columns["predicted"], _renumbered(other, one)])
    elif "predicted" in columns:
        scaled = _ranks if one.statistic in ("spearman", "average_precision") else _standardized
        columns["predicted"] = np.concatenate([scaled(side.columns["predicted"]) for side in (one, other)])
    return ItemScores(one.statistic, columns)


def _difference(pool: ItemScores, swapped: Array) -> Array:
    """(R,) the score of one side minus that of the other, after exchanging the items that are (R, N) swapped."""
    one = np.concatenate([~swapped, swapped], axis=1).astype(np.float64)
    difference: Array = weighted_score(pool, one) - weighted_score(pool, 1 - one)
    return difference


def _ranks(values: Array) -> Array:
    from scipy.stats import rankdata

    ranks: Array = rankdata(values)
    return ranks


def _standardized(values: Array) -> Array:
    standardized: Array = (values - values.mean()) / (values.std() or 1.0)
    return standardized


def _renumbered(clusters: ItemScores, like: ItemScores) -> Array:
    """The cluster of each item, numbered so that as many items as possible have the number they have in ``like``."""
    from scipy.optimize import linear_sum_assignment

    _, own = np.unique(clusters.columns["predicted"], return_inverse=True)
    numbers, theirs = np.unique(like.columns["predicted"], return_inverse=True)
    size = max(own.max(), theirs.max()) + 1
    together = np.zeros((size, size))
    np.add.at(together, (own, theirs), 1)
    further = numbers.max() + 1 + np.arange(size - len(numbers))  # for clusters that have no counterpart
    renumbered: Array = np.concatenate([numbers, further])[linear_sum_assignment(-together)[1][own]]
    return renumbered
