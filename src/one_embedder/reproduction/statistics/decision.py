"""When a claim is supported: one rule for Table 1, for evaluations side by side and for ablations.

Claims that stand together (those of one table, of one comparison, of one ablation) are corrected together by Holm's
method, so that the chance of a single false one among them stays below 5 %. A claim is *supported* if its p-value,
two-sided, from the paired bootstrap and corrected, is below one minus the confidence, and the whole interval of its
difference lies above zero; *not supported* if that holds below zero; else *undecided*. The interval is the claim's own,
not corrected: where it lies on one side of zero and only the p-value leaves the claim open, readers are told
*undecided by p*, else how many times the seeds and texts would take it off zero.

A single seed says nothing about other trainings: neither p-value nor interval holds their spread. What rests on one is
neither supported nor not, its verdict is *one seed*. Beside every verdict stands how often and how long was trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from one_embedder.evaluation.resampling import Interval

SUPPORTED = "supported"
NOT_SUPPORTED = "not supported"
UNDECIDED = "undecided"
ONE_SEED = "one seed"
_MOST_TIMES = 100  # a difference that would take more is as good as none


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


def decide_together(tested: Sequence[tuple[Interval, float]], confidence: float) -> list[tuple[float, str]]:
    """The corrected p-value and the verdict of each of some claims.

    Args:
        tested: difference with its interval, and p-value, of every claim that stands beside the others.
        confidence: of the intervals, such as 0.95.
    """
    adjusted = holm([p_value for _, p_value in tested])
    level = round(1 - confidence, 12)  # 1 - 0.95 is a little more than 0.05
    return [(p, _verdict(difference, p, level)) for (difference, _), p in zip(tested, adjusted, strict=True)]


def told(verdict: str, difference: Interval | None, trained: str = "") -> str:
    """The verdict as readers see it: with what they would otherwise not notice.

    Args:
        verdict: of a claim.
        difference: what it was decided by; None where a part of it is missing.
        trained: behind it, see ``trainings``.
    """
    if difference is None:
        return verdict
    by_p, more = "", ""
    if verdict == UNDECIDED:
        by_p = " by p" if _beside_zero(difference) else ""
        what = "seeds and texts" if trained else "texts"
        more = "" if by_p else f"needs {_at_least(times_as_many(difference))} times the {what}"
    facts = "; ".join(filter(None, [trained, more]))
    return f"{verdict}{by_p} ({facts})" if facts else f"{verdict}{by_p}"


def times_as_many(difference: Interval) -> float:
    """How many times the seeds and texts the interval would need to leave zero, if the difference stayed as it is.

    Its half-width falls with the root of their number. Infinite for a difference of 0.
    """
    estimate = difference.estimate
    if estimate == 0:
        return math.inf
    towards_zero = estimate - difference.low if estimate > 0 else difference.high - estimate
    return (towards_zero / abs(estimate)) ** 2


def _at_least(times: float) -> str:
    if times > _MOST_TIMES:
        return f"more than {_MOST_TIMES}"
    return f"at least {times:.1f}" if times < 9.95 else f"at least {times:.0f}"


def trainings(seeds: int, steps: Sequence[int]) -> str:
    """How often and how long was trained, as ``3 seeds, 800 steps``; empty where nothing was.

    Args:
        seeds: number of trainings of each model; a single one is not named, because then the verdict says so.
        steps: of a training; several where models differ.
    """
    several = f"{seeds} seeds, " if seeds > 1 else ""
    return f"{several}{' or '.join(map(str, steps))} steps" if seeds else ""


def _verdict(difference: Interval, adjusted: float, level: float) -> str:
    if adjusted >= level or not _beside_zero(difference):
        return UNDECIDED
    return SUPPORTED if difference.low > 0 else NOT_SUPPORTED


def _beside_zero(difference: Interval) -> bool:
    return difference.low > 0 or difference.high < 0
