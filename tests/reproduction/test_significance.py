"""Tests against known answers: small exact cases, and simulations whose truth is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import permutation_test

from one_embedder.errors import EvaluationError
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.results import TaskScore
from one_embedder.reproduction.statistics.bootstrap import paired_bootstrap
from one_embedder.reproduction.statistics.layout import AVERAGE, BACKBONE, INSTRUCTOR, WITHOUT, RowSpec
from one_embedder.reproduction.statistics.rows import RowRuns
from one_embedder.reproduction.statistics.significance import (
    bootstrap_p_value,
    holm,
    items_p_value,
    seeds_p_value,
    standardized_mean,
)
from tests.reproduction.fakes import make_row

RESAMPLES = 499


def row(spec: RowSpec, *runs: ItemScores, seeds: tuple[int, ...] = ()) -> RowRuns:
    """A row of one retrieval task."""
    scores = tuple((TaskScore("Task", "Retrieval", "metric", items.score(), items),) for items in runs)
    return RowRuns(spec, seeds, scores)


def means(values: np.ndarray) -> ItemScores:
    return ItemScores("mean", {"value": values})


def test_holm_equals_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03] and holm([]) == []


def test_holm_keeps_false_alarms_among_many_true_hypotheses_below_the_level() -> None:
    rng = np.random.default_rng(0)
    alarms = [min(holm(rng.random(8).tolist())) < 0.05 for _ in range(2000)]
    uncorrected = 1 - 0.95**8
    assert np.mean(alarms) < 0.065 < uncorrected


@pytest.mark.parametrize(
    ("differences", "expected"),
    [([1.0, 2.0, 3.0], 2 / 8), ([1.0, 2.0, 3.0, 4.0, 5.0], 2 / 32), ([-1.0, -2.0], 2 / 4), ([1.0, -1.0], 1.0)],
)
def test_seeds_are_permuted_exactly(differences: list[float], expected: float) -> None:
    assert seeds_p_value(differences) == pytest.approx(expected)


def test_one_seed_has_no_test_and_no_effect_size() -> None:
    assert seeds_p_value([0.3]) is None and standardized_mean([0.3]) is None
    assert standardized_mean([0.2, 0.2]) is None, "no spread to compare with"
    assert standardized_mean([1.0, 2.0, 3.0]) == pytest.approx(2.0)


def test_permuting_items_agrees_with_every_permutation_and_with_scipy() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.random(8), rng.random(8) - 0.2
    difference = one - other
    flips = np.array(list(product([1, -1], repeat=8)))
    exact = float((np.abs((flips * difference).mean(axis=1)) >= abs(difference.mean()) - 1e-12).mean())
    theirs = permutation_test(
        (one, other), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    ours = items_p_value(row(BACKBONE, means(one)), row(WITHOUT, means(other)), AVERAGE, resamples=20000, seed=0)
    assert exact == pytest.approx(theirs)
    assert ours == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize("statistic", ["mean", "pearson", "spearman", "average_precision", "v_measure"])
def test_items_of_two_alike_models_are_rarely_told_apart_and_those_of_two_unlike_ones_are(statistic: str) -> None:
    rng = np.random.default_rng(2)

    def model(quality: float, gold: np.ndarray, scale: float = 1.0) -> ItemScores:
        if statistic == "mean":
            return means(scale * 0 + quality + 0.3 * rng.standard_normal(len(gold)))
        if statistic == "v_measure":
            guess = rng.permutation(4)[rng.integers(0, 4, len(gold))]
            kept = rng.random(len(gold)) < quality
            return ItemScores(statistic, {"predicted": np.where(kept, (gold + 1) % 4, guess), "gold": gold})
        predicted = scale * (quality * gold + rng.standard_normal(len(gold)))
        return ItemScores(statistic, {"predicted": predicted, "gold": gold})

    def p_value(better: float) -> float:
        gold = rng.integers(0, 2 if statistic == "average_precision" else 4, 60)
        gold[:2] = 0, 1
        sides = row(BACKBONE, model(0.5, gold)), row(WITHOUT, model(better, gold, scale=0.01))
        return items_p_value(*sides, AVERAGE, resamples=99, seed=0)

    alike = [p_value(0.5) < 0.1 for _ in range(60)]
    unlike = [p_value(0.98 if statistic == "v_measure" else 2.5) < 0.1 for _ in range(10)]
    assert np.mean(alike) <= 0.25  # 0.1 is meant; 60 draws of it exceed 0.25 once in a thousand times
    assert np.mean(unlike) >= 0.8


def test_a_reference_of_one_run_is_compared_with_every_seed() -> None:
    reference, trained = make_row(BACKBONE, 0.3), make_row(INSTRUCTOR, 0.7, 0.72)
    assert items_p_value(reference, trained, AVERAGE, resamples=RESAMPLES, seed=0) == 1 / (RESAMPLES + 1)
    same = items_p_value(trained, trained, AVERAGE, resamples=50, seed=0)
    assert same == 1.0


def test_one_category_can_be_tested_alone() -> None:
    first, second = make_row(WITHOUT, 0.3), make_row(INSTRUCTOR, 0.7)
    assert items_p_value(first, second, "STS", resamples=99, seed=0) == 0.01


def test_runs_of_other_seeds_cannot_be_paired() -> None:
    values = np.arange(4.0)
    one = row(WITHOUT, means(values), means(values), seeds=(0, 1))
    other = row(INSTRUCTOR, means(values), means(values), seeds=(0, 2))
    with pytest.raises(EvaluationError, match=r"has the seeds \[0, 1\], instructor has \[0, 2\]"):
        items_p_value(one, other, AVERAGE, resamples=9, seed=0)


def test_the_bootstraps_p_value_crosses_the_level_where_the_interval_reaches_zero() -> None:
    samples = np.random.default_rng(0).standard_normal(9999)
    for estimate in (1.8, 2.1):
        low = estimate + np.quantile(samples - samples.mean(), 0.025)
        assert (bootstrap_p_value(estimate, samples) < 0.05) is bool(low > 0)
    assert bootstrap_p_value(50.0, samples) == pytest.approx(2 / 10000)
    assert bootstrap_p_value(0.0, samples) > 0.9


def test_intervals_of_simulated_differences_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    covered, truth = [], 0.1
    for trial in range(120):
        hard = rng.standard_normal(50)  # what both models find hard is shared
        one = means(0.5 + truth + 0.3 * hard + 0.1 * rng.standard_normal(50))
        other = means(0.5 + 0.3 * hard + 0.1 * rng.standard_normal(50))
        rows = [row(BACKBONE, one), row(WITHOUT, other)]
        sampled = paired_bootstrap(rows, resamples=200, confidence=0.9, seed=trial)
        interval = sampled.difference(BACKBONE.id, WITHOUT.id, "Retrieval")
        covered.append(interval.low <= truth <= interval.high)
    assert 0.8 <= np.mean(covered) <= 0.97
