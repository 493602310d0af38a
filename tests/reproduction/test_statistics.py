"""The paired bootstrap: the same draws for all rows, intervals that mean something, and errors for unlike rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from one_embedder.errors import EvaluationError
from one_embedder.reproduction.statistics.bootstrap import Bootstrap, paired_bootstrap
from one_embedder.reproduction.statistics.claims import decide_claims
from one_embedder.reproduction.statistics.decision import holm, told
from one_embedder.reproduction.statistics.layout import (
    AVERAGE,
    BACKBONE,
    COLUMNS,
    INSTRUCTED_BACKBONE,
    INSTRUCTOR,
    WITHOUT,
)
from one_embedder.reproduction.statistics.rows import RowRuns, relative_gain
from tests.reproduction.fakes import make_row, make_scores


def bootstrap(rows: list[RowRuns], *, resamples: int = 200, seed: int = 0) -> Bootstrap:
    return paired_bootstrap(rows, resamples=resamples, confidence=0.95, seed=seed)


def test_the_average_is_the_mean_of_nine_categories_in_the_table_and_in_every_resample(rows: list[RowRuns]) -> None:
    made = bootstrap(rows)
    for row in rows:
        columns, samples = row.columns(), made.samples[row.spec.id]
        assert columns[AVERAGE] == pytest.approx(np.mean([columns[column] for column in COLUMNS]))
        np.testing.assert_allclose(samples[AVERAGE], np.mean([samples[column] for column in COLUMNS], axis=0))


def test_the_same_row_twice_differs_by_exactly_nothing_in_every_resample() -> None:
    twin = replace(make_row(BACKBONE, 0.5), spec=replace(BACKBONE, id="twin"))
    difference = bootstrap([make_row(BACKBONE, 0.5), twin]).difference("twin", BACKBONE.id)
    assert (difference.estimate, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_pairing_makes_the_interval_of_a_difference_narrower_than_of_either_row(rows: list[RowRuns]) -> None:
    made = bootstrap(rows)
    single, difference = made.interval(INSTRUCTOR.id), made.difference(INSTRUCTOR.id, BACKBONE.id)
    assert 0 < difference.high - difference.low < single.high - single.low


def test_intervals_hold_their_estimate_and_are_the_same_for_the_same_seed(rows: list[RowRuns]) -> None:
    made, again, other = bootstrap(rows), bootstrap(rows), bootstrap(rows, seed=1)
    for row in rows:
        for column in (*COLUMNS, AVERAGE):
            interval = made.interval(row.spec.id, column)
            assert interval.low < interval.estimate < interval.high
            assert interval == again.interval(row.spec.id, column)
    assert made.interval(BACKBONE.id) != other.interval(BACKBONE.id)


def test_an_interval_over_means_agrees_with_the_normal_approximation() -> None:
    row = make_row(BACKBONE, 0.5)
    tasks = [score.items.columns["value"] for score in row.runs[0] if score.category == "Retrieval"]
    deviation = np.sqrt(sum(values.var() / len(values) for values in tasks)) / len(tasks)
    interval = bootstrap([row], resamples=2000).interval(BACKBONE.id, "Retrieval")
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * deviation, rel=0.1)


def test_seeds_that_disagree_widen_the_interval() -> None:
    alike, apart = make_row(WITHOUT, 0.55, 0.55), make_row(WITHOUT, 0.50, 0.60)
    narrow, wide = (bootstrap([row]).interval(WITHOUT.id) for row in (alike, apart))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_rows_with_equally_many_seeds_draw_the_same_seeds() -> None:
    first, second = make_row(WITHOUT, 0.50, 0.60), make_row(INSTRUCTOR, 0.50, 0.60)
    difference = bootstrap([first, second]).difference(INSTRUCTOR.id, WITHOUT.id)
    assert (difference.low, difference.high) == (0.0, 0.0)


def test_a_chunk_boundary_changes_nothing_about_the_number_of_resamples(rows: list[RowRuns]) -> None:
    assert len(bootstrap(rows, resamples=201).samples[BACKBONE.id][AVERAGE]) == 201


def test_rows_on_different_items_are_refused() -> None:
    shorter = RowRuns(INSTRUCTOR, (0,), (tuple(make_scores(0.6, items=50)),))
    with pytest.raises(EvaluationError, match=r"Retrieval0 of row backbone and of row instructor .*60 items and 50"):
        bootstrap([make_row(BACKBONE, 0.5), shorter])


def test_rows_on_different_tasks_are_refused() -> None:
    fewer = RowRuns(INSTRUCTOR, (0,), (tuple(make_scores(0.6)[1:]),))
    with pytest.raises(EvaluationError, match="row instructor was scored on other tasks than backbone"):
        bootstrap([make_row(BACKBONE, 0.5), fewer])


def test_a_score_that_is_not_a_number_is_an_error_and_never_a_score() -> None:
    scores = make_scores(0.5)
    scores[3] = replace(scores[3], main_score=float("nan"))
    with pytest.raises(EvaluationError, match=f"task {scores[3].task} has no finite score"):
        RowRuns(BACKBONE, (), (tuple(scores),))


def test_a_row_without_one_of_its_seeds_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"row instructor: 1 runs for seeds \[0, 1\]"):
        RowRuns(INSTRUCTOR, (0, 1), (tuple(make_scores(0.5)),))


def test_without_one_category_there_is_no_average(rows: list[RowRuns]) -> None:
    row = make_row(BACKBONE, 0.5)
    part = replace(row, runs=(tuple(score for score in row.runs[0] if score.category != "STS"),))
    assert AVERAGE not in part.columns()
    assert AVERAGE not in bootstrap([part]).samples[BACKBONE.id]


def test_the_three_claims_of_the_table_are_decided(rows: list[RowRuns]) -> None:
    claims = decide_claims(bootstrap(rows), 2)
    assert [claim.verdict for claim in claims] == ["supported"] * 3
    reversed_rows = [make_row(row.spec, *(1 - run for run in (0.4, 0.4)[: len(row.runs)])) for row in rows[:3]]
    reversed_rows.append(make_row(INSTRUCTOR, 0.3, 0.3))
    assert {claim.verdict for claim in decide_claims(bootstrap(reversed_rows), 2)} == {"not supported"}


def test_the_tables_claims_are_corrected_together(rows: list[RowRuns]) -> None:
    made = bootstrap(rows)
    claims = decide_claims(made, 2)
    assert [claim.p_value for claim in claims] == [
        made.p_value(INSTRUCTOR.id, spec.id) for spec in (BACKBONE, INSTRUCTED_BACKBONE, WITHOUT)
    ]
    assert [claim.p_adjusted for claim in claims] == holm([claim.p_value for claim in claims])


def test_three_claims_that_would_each_stand_alone_may_not_stand_together() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(9999)
    samples = {spec.id: {AVERAGE: np.zeros(9999)} for spec in (BACKBONE, INSTRUCTED_BACKBONE, WITHOUT)}
    for level, shown in ((2.2, "undecided by p"), (2.6, "supported")):  # p of 0.028 and 0.009
        estimates = {name: {AVERAGE: 0.0} for name in samples} | {INSTRUCTOR.id: {AVERAGE: level}}
        made = Bootstrap(estimates, samples | {INSTRUCTOR.id: {AVERAGE: level + noise}}, 0.95)
        claims = decide_claims(made, 3)
        assert all(claim.p_value < 0.05 and claim.difference.low > 0 for claim in claims)
        assert {told(claim.verdict, claim.difference) for claim in claims} == {shown}


def test_a_claim_from_one_seed_says_so(rows: list[RowRuns]) -> None:
    assert {claim.verdict for claim in decide_claims(bootstrap(rows), 1)} == {"one seed"}


def test_claims_about_a_row_that_is_not_there_or_has_no_average_are_left_out(rows: list[RowRuns]) -> None:
    def decided(*chosen: RowRuns) -> list[str]:
        return [claim.text.partition(" above ")[2] for claim in decide_claims(bootstrap(list(chosen)), 2)]

    backbone, instructed, plain, ours = rows
    assert decided(*rows) == ["the backbone", "the backbone with instructions", "finetuning without instructions"]
    assert decided(backbone, ours) == ["the backbone"]
    assert decided(backbone, instructed, plain) == []
    whole = bootstrap(rows)
    for gone, left in ((WITHOUT, 2), (INSTRUCTOR, 0)):
        samples = {**whole.samples, gone.id: {"STS": whole.samples[gone.id]["STS"]}}
        assert len(decide_claims(replace(whole, samples=samples), 2)) == left


def test_relative_gain_is_computed_per_column_in_percent() -> None:
    assert relative_gain({"STS": 0.66, "average": 0.5}, {"STS": 0.6, "average": 0.4}) == {
        "STS": pytest.approx(10),
        "average": pytest.approx(25),
    }
