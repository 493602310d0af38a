"""ItemScores: the statistic on any resample of the items."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from one_embedder.errors import DataError
from one_embedder.evaluation import weighted
from one_embedder.evaluation.items import STATISTICS, ItemScores

RNG = np.random.default_rng(3)
CONTINUOUS = {"predicted": RNG.normal(size=60).round(1), "gold": RNG.integers(0, 6, 60).astype(float)}
BINARY = {"predicted": CONTINUOUS["predicted"], "gold": RNG.integers(0, 2, 60).astype(float)}
CLUSTERS = {"predicted": RNG.integers(0, 5, 60).astype(float), "gold": CONTINUOUS["gold"]}
GROUPED = {"value": CONTINUOUS["predicted"], "group": RNG.integers(0, 13, 60).astype(float)}


def drawn_of(items: int, resamples: int, seed: int) -> np.ndarray:
    """How often each item was drawn in each resample."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(items, [1 / items] * items, size=resamples).astype(np.float64)


def second_lowest_mean(value: np.ndarray, group: np.ndarray) -> float:
    """Of 10 to 19 groups, at the tenth percentile."""
    means = {own: np.mean([v for v, g in zip(value, group, strict=True) if g == own]) for own in group}
    assert 10 <= len(means) < 20
    return sorted(means.values())[1]


def mean_of_means(value: np.ndarray, group: np.ndarray) -> float:
    """Each group counts alike, however many values it has."""
    return np.mean([np.mean(value[group == own]) for own in set(group)])


REFERENCE = {
    "mean": ({"value": CONTINUOUS["predicted"]}, np.mean),
    "pearson": (CONTINUOUS, lambda p, g: stats.pearsonr(p, g)[0]),
    "spearman": (CONTINUOUS, lambda p, g: stats.spearmanr(p, g)[0]),
    "average_precision": (BINARY, lambda p, g: metrics.average_precision_score(g, p)),
    "v_measure": (CLUSTERS, lambda p, g: metrics.v_measure_score(g, p)),
    "low_group_mean": (GROUPED, second_lowest_mean),
    "mean_of_groups": (GROUPED, mean_of_means),
}


def test_every_statistic_is_covered_by_a_reference() -> None:
    assert set(REFERENCE) == set(STATISTICS)


@pytest.mark.parametrize("statistic", sorted(REFERENCE))
def test_the_score_of_a_resample_is_the_statistic_of_the_items_that_were_drawn(statistic: str) -> None:
    columns, function = REFERENCE[statistic]
    items = ItemScores(statistic, columns)
    assert items.score() == pytest.approx(function(*columns.values()), abs=1e-12)
    counts = drawn_of(len(items), 40, seed=1)
    drawn = [np.repeat(np.arange(len(items)), times.astype(int)) for times in counts]
    expected = [function(*(column[index] for column in columns.values())) for index in drawn]
    assert np.ptp(expected) > 0.01, "the resamples do not differ, so the test would be vacuous"
    np.testing.assert_allclose(items.resampled(counts), expected, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=3, max_size=12), st.integers(0, 9))
def test_few_items_with_many_ties_agree_with_scikit_learn(rows: list[tuple[int, int]], seed: int) -> None:
    predicted, gold = np.array(rows, dtype=np.float64).T
    counts = drawn_of(len(rows), 5, seed)
    precision = weighted.average_precision(predicted, gold, counts)
    measure = weighted.v_measure(predicted, gold, counts)
    for index, drawn in enumerate(counts):
        at = np.repeat(np.arange(len(rows)), drawn.astype(int))
        assert measure[index] == pytest.approx(metrics.v_measure_score(gold[at], predicted[at]), abs=1e-9)
        if gold[at].any():
            assert precision[index] == pytest.approx(metrics.average_precision_score(gold[at], predicted[at]), abs=1e-9)
        else:
            assert np.isnan(precision[index])


@pytest.mark.parametrize("statistic", ["pearson", "spearman"])
def test_a_correlation_with_a_constant_side_is_undefined_and_not_a_number_that_counts(statistic: str) -> None:
    items = ItemScores(statistic, {"predicted": np.array([0.1, 0.1, 0.3]), "gold": np.array([1.0, 2.0, 3.0])})
    scores = items.resampled(np.array([[2.0, 1.0, 0.0], [1.0, 1.0, 1.0]]))
    assert np.isnan(scores[0])
    assert np.isfinite(scores[1])


@pytest.mark.parametrize("statistic", sorted(REFERENCE))
def test_json_keeps_every_digit(statistic: str) -> None:
    items = ItemScores(statistic, REFERENCE[statistic][0])
    again = ItemScores.from_json(items.to_json(), "items.json")
    assert again.statistic == statistic
    assert again.score() == items.score()
    assert all(np.array_equal(again.columns[name], items.columns[name]) for name in items.columns)


def test_an_undefined_statistic_is_nan_and_never_a_number() -> None:
    constant = ItemScores("spearman", {"predicted": np.ones(4), "gold": np.arange(4.0)})
    no_positive = ItemScores("average_precision", {"predicted": np.arange(4.0), "gold": np.zeros(4)})
    single = ItemScores("pearson", {"predicted": np.ones(1), "gold": np.ones(1)})
    assert all(np.isnan(items.score()) for items in (constant, no_positive, single))


@pytest.mark.parametrize(
    ("statistic", "columns", "message"),
    [
        ("median", {"value": np.ones(2)}, "unknown statistic 'median'"),
        ("pearson", {"predicted": np.ones(2)}, "needs the columns"),
        ("pearson", {"predicted": np.ones(2), "gold": np.ones(3)}, "must be"),
        ("mean", {"value": np.ones((2, 2))}, "must be"),
        ("mean", {"value": np.ones(0)}, "no items"),
    ],
)
def test_columns_that_do_not_fit_the_statistic_are_refused(
    statistic: str, columns: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ItemScores(statistic, columns)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"statistic": "mean"}', json.dumps({"statistic": "x", "columns": {}})]
)
def test_a_broken_items_file_is_named(text: str) -> None:
    with pytest.raises(DataError, match=r"folder/items\.json.*evaluate again"):
        ItemScores.from_json(text, "folder/items.json")
