"""Scores over counts equal the scores of the resampled items themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, v_measure_score

from one_embedder.evaluation.items import STATISTICS, ItemScores
from one_embedder.evaluation.weighted import FUNCTIONS, weighted_score
from tests.reproduction.fakes import make_items


def counts_of(resamples: int, items: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.multinomial(items, [1 / items] * items, size=resamples).astype(np.float64)


def coarse(items: ItemScores) -> ItemScores:
    """The same items with many ties."""
    return ItemScores(items.statistic, {name: column.round(1) for name, column in items.columns.items()})


def test_every_statistic_of_the_evaluation_has_its_weighted_form() -> None:
    assert set(FUNCTIONS) == set(STATISTICS)


@pytest.mark.parametrize("statistic", sorted(STATISTICS))
@pytest.mark.parametrize("ties", [False, True])
def test_a_weighted_score_is_the_score_of_the_drawn_items(statistic: str, ties: bool) -> None:
    items = make_items(statistic, 0.5, task=3)
    items = coarse(items) if ties else items
    counts = counts_of(40, len(items), seed=1)
    expected = [items.score(np.repeat(np.arange(len(items)), drawn.astype(int))) for drawn in counts]
    assert np.ptp(expected) > 0.01, "the resamples do not differ, so the test would be vacuous"
    np.testing.assert_allclose(weighted_score(items, counts), expected, atol=1e-10)


@pytest.mark.parametrize("statistic", sorted(STATISTICS))
def test_drawing_every_item_once_gives_the_main_score(statistic: str) -> None:
    items = make_items(statistic, 0.5, task=4)
    np.testing.assert_allclose(weighted_score(items, np.ones((1, len(items)))), items.score(), atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=3, max_size=12), st.integers(0, 9))
def test_few_items_with_many_ties_agree_with_scikit_learn(rows: list[tuple[int, int]], seed: int) -> None:
    predicted, gold = np.array(rows, dtype=np.float64).T
    counts = counts_of(5, len(rows), seed)
    precision = FUNCTIONS["average_precision"](predicted, gold, counts)
    measure = FUNCTIONS["v_measure"](predicted, gold, counts)
    for index, drawn in enumerate(counts):
        at = np.repeat(np.arange(len(rows)), drawn.astype(int))
        assert measure[index] == pytest.approx(v_measure_score(gold[at], predicted[at]), abs=1e-9)
        if gold[at].any():
            assert precision[index] == pytest.approx(average_precision_score(gold[at], predicted[at]), abs=1e-9)
        else:
            assert np.isnan(precision[index])


@pytest.mark.parametrize("statistic", ["pearson", "spearman"])
def test_a_correlation_with_a_constant_side_is_undefined_and_not_a_number_that_counts(statistic: str) -> None:
    items = ItemScores(statistic, {"predicted": np.array([0.1, 0.1, 0.3]), "gold": np.array([1.0, 2.0, 3.0])})
    scores = weighted_score(items, np.array([[2.0, 1.0, 0.0], [1.0, 1.0, 1.0]]))
    assert np.isnan(scores[0])
    assert np.isfinite(scores[1])
