"""Tests against known answers: small exact cases, and simulations whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from one_embedder.config.schema import AblationConfig, AxisConfig, ClaimConfig
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.results import TaskScore
from one_embedder.reproduction.statistics.bootstrap import bootstrap_p_value, paired_bootstrap
from one_embedder.reproduction.statistics.contrasts import Evidence, decide_all
from one_embedder.reproduction.statistics.decision import holm
from one_embedder.reproduction.statistics.layout import BACKBONE, WITHOUT, RowSpec
from one_embedder.reproduction.statistics.rows import RowRuns


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


def test_the_bootstraps_p_value_crosses_the_level_where_the_interval_reaches_zero() -> None:
    samples = np.random.default_rng(0).standard_normal(9999)
    for estimate in (1.8, 2.1):
        low = estimate + np.quantile(samples - samples.mean(), 0.025)
        assert (bootstrap_p_value(estimate, samples) < 0.05) is bool(low > 0)
    assert bootstrap_p_value(50.0, samples) == pytest.approx(2 / 10000)
    assert bootstrap_p_value(0.0, samples) > 0.9


@pytest.mark.parametrize("sign", [1, -1])
def test_resamples_at_zero_speak_for_neither_side(sign: int) -> None:
    """Two rows that are the same, or differ in one item only, differ by chance."""
    assert bootstrap_p_value(0.0, np.zeros(99)) == 1.0
    samples = sign * np.array([0.0] * 10 + [1.0] * 30)
    assert bootstrap_p_value(float(samples.mean()), samples) == pytest.approx(2 * 11 / 41)


def test_only_a_claim_about_a_single_training_is_of_one_seed() -> None:
    base = np.linspace(0, 1, 100)
    levels = {"short": {}, "long": {}}
    claims = {
        "untrained": ClaimConfig(plus=[{"reference": "better"}], minus=[{"reference": "worse"}], column="Retrieval"),
        "trained": ClaimConfig(plus=[{"steps": "long"}], minus=[{"reference": "worse"}], column="Retrieval"),
        "several": ClaimConfig(plus=[{"steps": "short"}], minus=[{"reference": "worse"}], column="Retrieval"),
    }
    ablation = AblationConfig("a", axes={"steps": AxisConfig(levels=levels)}, claims=claims)
    ablation.references = {"better": {}, "worse": {}}
    rows = {
        name: row(RowSpec(name, name, None, False), *[means(base + better)] * max(1, len(seeds)), seeds=seeds)
        for name, better, seeds in (("better", 1, ()), ("worse", 0, ()), ("long", 1, (0,)), ("short", 1, (0, 1)))
    }
    evidence = Evidence(rows, paired_bootstrap(list(rows.values()), resamples=199, confidence=0.9, seed=0))
    decided = {claim.id: claim.verdict for claim in decide_all(ablation, evidence)}
    assert decided == {"untrained": "supported", "trained": "one seed", "several": "supported"}


@pytest.mark.parametrize("items", [1, 2])
def test_rows_that_differ_in_one_item_or_two_are_never_told_apart(items: int) -> None:
    """Whatever the draws: a resample without these items, a third of all with one, is no difference."""
    base = np.arange(100) % 2.0
    better = base.copy()
    better[[0, 2][:items]] = 1.0
    for seed in range(40):
        rows = [row(BACKBONE, means(better)), row(WITHOUT, means(base))]
        sampled = paired_bootstrap(rows, resamples=500, confidence=0.95, seed=seed)
        assert sampled.difference(BACKBONE.id, WITHOUT.id, "Retrieval").low <= 0
        assert sampled.p_value(BACKBONE.id, WITHOUT.id, "Retrieval") > 0.1


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
