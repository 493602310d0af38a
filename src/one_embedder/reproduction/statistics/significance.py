"""P-values of the bootstrap, and Holm's correction for how many are looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from one_embedder.evaluation.weighted import Array


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
