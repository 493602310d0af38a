"""The statistics of main scores, under many resamples at once.

A bootstrap resample of N items is a vector of N counts (how often each item was drawn); all items once are N ones.
Every statistic here takes the counts of R resamples, (R, N), and returns R scores without building the R samples:
sorting is done once, and ties, thresholds and contingency cells become sums of counts over fixed groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def mean(values: Array, counts: Array) -> Array:
    """Mean of ``values`` (N,) in each resample; (R,)."""
    scores: Array = counts @ values / counts.sum(axis=1)
    return scores


def pearson(left: Array, right: Array, counts: Array) -> Array:
    """Pearson correlation in each resample; nan where a side is constant.

    Args:
        left: (N,), or (R, N) when it differs between resamples.
        right: like ``left``.
        counts: (R, N).
    """
    total = counts.sum(axis=1, keepdims=True)
    left = left - (counts * left).sum(axis=1, keepdims=True) / total
    right = right - (counts * right).sum(axis=1, keepdims=True) / total
    covariance = (counts * left * right).sum(axis=1)
    scale = np.sqrt((counts * left**2).sum(axis=1) * (counts * right**2).sum(axis=1))
    return _divide(covariance, scale, otherwise=np.nan)


def spearman(left: Array, right: Array, counts: Array) -> Array:
    """Spearman correlation of two (N,) columns in each resample, tied values sharing their mean rank; (R,)."""
    return pearson(_ranks(left, counts), _ranks(right, counts), counts)


def average_precision(similarities: Array, labels: Array, counts: Array) -> Array:
    """Average precision as scikit-learn defines it (equal scores are one threshold); nan where nothing is positive.

    Args:
        similarities: (N,), larger is more likely positive.
        labels: (N,), 0 or 1.
        counts: (R, N).
    """
    order, starts = _groups(-np.asarray(similarities, dtype=np.float64))
    drawn = np.add.reduceat(counts[:, order], starts, axis=1)
    positive = np.add.reduceat((counts * labels)[:, order], starts, axis=1)
    precision = _divide(positive.cumsum(axis=1), drawn.cumsum(axis=1), otherwise=0.0)
    return _divide((positive * precision).sum(axis=1), positive.sum(axis=1), otherwise=np.nan)


def v_measure(clusters: Array, labels: Array, counts: Array) -> Array:
    """V-measure (harmonic mean of homogeneity and completeness) of one clustering in each resample; (R,)."""
    _, cluster_codes = np.unique(clusters, return_inverse=True)
    _, label_codes = np.unique(labels, return_inverse=True)
    cells = label_codes * (int(cluster_codes.max()) + 1) + cluster_codes
    of_clusters, of_labels, joint = (_entropy(codes, counts) for codes in (cluster_codes, label_codes, cells))
    information = np.maximum(of_clusters + of_labels - joint, 0.0)
    # One cluster and one class agree fully.
    return _divide(2 * information, of_clusters + of_labels, otherwise=1.0)


def low_group_mean(values: Array, groups: Array, counts: Array) -> Array:
    """Mean of ``values`` (N,) in the group at the tenth percentile of the groups' means, in each resample; (R,).

    Of twenty groups it is the third lowest. A group of which a resample holds nothing is not among the groups there.
    Source: WILDS' Amazon task, as in xlang-ai/instructor-embedding, evaluation/prompt_retrieval/main_amazon.py.
    """
    member = (groups[:, None] == np.unique(groups)).astype(np.float64)  # (N, G)
    drawn = counts @ member
    means = np.sort(_divide((counts * values) @ member, drawn, otherwise=np.nan), axis=1)  # nan is sorted to the end
    place = (drawn > 0).sum(axis=1) // 10
    scores: Array = means[np.arange(len(means)), place]
    return scores


def mean_of_groups(values: Array, groups: Array, counts: Array) -> Array:
    """Mean over the groups of the mean of ``values`` (N,) in each, so that every group counts alike; (R,).

    A group of which a resample holds nothing does not count there.
    """
    member = (groups[:, None] == np.unique(groups)).astype(np.float64)  # (N, G)
    means: Array = np.nanmean(_divide((counts * values) @ member, counts @ member, otherwise=np.nan), axis=1)
    return means


def _groups(values: Array) -> tuple[Array, Array]:
    """Ascending order of ``values`` (N,), and where in that order each run of equal values starts."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return order, starts


def _ranks(values: Array, counts: Array) -> Array:
    """Rank of every item in each resample, ties sharing their mean rank; (R, N)."""
    order, starts = _groups(values)
    drawn = np.add.reduceat(counts[:, order], starts, axis=1)
    rank_of_group = drawn.cumsum(axis=1) - (drawn - 1) / 2
    group_of_item = np.empty(len(values), dtype=np.intp)
    group_of_item[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))
    ranks: Array = rank_of_group[:, group_of_item]
    return ranks


def _entropy(codes: Array, counts: Array) -> Array:
    """Entropy (nats) of the distribution of ``codes`` (N,) in each resample; (R,)."""
    order, starts = _groups(codes)
    drawn = np.add.reduceat(counts[:, order], starts, axis=1)
    share = drawn / drawn.sum(axis=1, keepdims=True)
    logarithm = np.log(share, out=np.zeros_like(share), where=share > 0)
    entropy: Array = -(share * logarithm).sum(axis=1)
    # Sums of shares that are not exactly 1 leave 1e-16, which would make "one class only" look like two.
    return np.where(entropy < 1e-12, 0.0, entropy)


def _divide(numerator: Array, denominator: Array, *, otherwise: float) -> Array:
    # A sum of squares around a mean is rarely exactly 0 for a constant column.
    result = np.full_like(numerator, otherwise, dtype=np.float64)
    return np.divide(numerator, denominator, out=result, where=denominator > 1e-12)
