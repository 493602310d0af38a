"""Percentile intervals and draws, against numbers that can be told by hand."""

from __future__ import annotations

import numpy as np
import pytest

from one_embedder.evaluation import resampling
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.resampling import Interval, centred_interval, draw_counts, item_interval, resamples_of


def test_an_interval_leaves_out_equally_many_resamples_at_both_ends_and_is_centred_on_the_estimate() -> None:
    samples = np.append(np.arange(201) / 200, np.nan)  # their mean is 0.5
    assert centred_interval(0.5, samples, 0.9) == Interval(0.5, pytest.approx(0.05), pytest.approx(0.95))
    assert centred_interval(0.7, samples, 0.8) == Interval(0.7, pytest.approx(0.3), pytest.approx(1.1))


@pytest.mark.parametrize(("items", "sizes"), [(10, [200, 200, 50]), (10**6, [20] * 22 + [10]), (10**8, [1] * 450)])
def test_resamples_come_in_chunks_that_bound_the_memory(
    items: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling, "draw_counts", lambda rng, resamples, items: np.full(resamples, items))
    chunks = list(resamples_of(items, 450, np.random.default_rng(0)))
    assert [len(counts) for _, counts in chunks] == sizes == [chunk.stop - chunk.start for chunk, _ in chunks]
    assert np.concatenate([np.arange(450)[chunk] for chunk, _ in chunks]).tolist() == list(range(450))


def test_each_resample_draws_as_many_items_as_there_are_and_each_as_often_as_any_other() -> None:
    counts = draw_counts(np.random.default_rng(0), 2000, 5)
    assert counts.shape == (2000, 5) and (counts.sum(axis=1) == 5).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.08)
    assert not (counts == counts[0]).all(axis=1).all()


def test_a_tasks_interval_is_that_of_its_items_and_the_same_again() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, size=400)
    items = ItemScores("mean", {"value": values})
    interval = item_interval(items)
    assert interval == item_interval(items, resamples=1000, confidence=0.95, seed=0) != item_interval(items, seed=1)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
