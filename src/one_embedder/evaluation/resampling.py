"""Bootstrap over the test items of one task: the draws, and the interval of its main score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.weighted import Array

CHUNK = 200
"""Resamples handled at once, for tasks of up to 100,000 items; fewer for larger ones, so that memory is bounded."""

RESAMPLES = 1000
CONFIDENCE = 0.95
"""Of the intervals in result files; those of a table are its configuration's."""
_ZERO = 1e-12  # a difference of sums that are equal but for the order of additions


@dataclass(frozen=True)
class Interval:
    """An interval around an estimate, both 0-1 (differences and correlations: -1 to 1)."""

    estimate: float
    low: float
    high: float


def resamples_of(items: int, resamples: int, rng: np.random.Generator) -> Iterator[tuple[slice, Array]]:
    """All resamples of one task in chunks: which resamples, and their counts."""
    at_once = max(1, min(CHUNK, CHUNK * 100_000 // items))
    for start in range(0, resamples, at_once):
        chunk = slice(start, min(start + at_once, resamples))
        yield chunk, draw_counts(rng, chunk.stop - chunk.start, items)


def draw_counts(rng: np.random.Generator, resamples: int, items: int) -> Array:
    """How often each item occurs in each resample; (R, N), every row summing to N."""
    drawn = rng.integers(0, items, size=(resamples, items))
    drawn += items * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * items)
    return counts.reshape(resamples, items).astype(np.float64)


def centred(estimate: float, samples: Array) -> Array:
    """``samples`` (R,), shifted so that they centre on the estimate; those of zero stay there.

    Rows that differ in one item are equal on every resample without it. The shift is never quite zero, and would move
    all of these to one side. A resample without any positive, say, has no score (nan) and keeps none.
    """
    return np.where(np.abs(samples) < _ZERO, 0.0, samples + (estimate - np.nanmean(samples)))


def centred_interval(estimate: float, samples: Array, confidence: float) -> Interval:
    """Percentiles of the ``centred`` samples (R,)."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(centred(estimate, samples), [tail, 1 - tail])
    return Interval(float(estimate), float(low), float(high))


def item_interval(
    items: ItemScores, *, resamples: int = RESAMPLES, confidence: float = CONFIDENCE, seed: int = 0
) -> Interval:
    """Interval of one task's main score over its test items.

    Args:
        items: N test items, each drawn for itself. Texts that belong together (the outputs of several systems for one
            source) are drawn apart, so the interval speaks of other texts like these, not of other sources.
        resamples: number of resamples.
        confidence: coverage.
        seed: of the draws.
    """
    samples = np.empty(resamples)
    for chunk, counts in resamples_of(len(items), resamples, np.random.default_rng(seed)):
        samples[chunk] = items.resampled(counts)
    return centred_interval(items.score(), samples, confidence)
