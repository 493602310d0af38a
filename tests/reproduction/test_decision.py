"""When a claim is supported: corrected p-value and interval together, in every table alike."""

from __future__ import annotations

import pytest

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.statistics.decision import decide_together, times_as_many, told, trainings

ABOVE, BELOW, AROUND = Interval(0.02, 0.01, 0.03), Interval(-0.02, -0.03, -0.01), Interval(0.01, -0.01, 0.03)


@pytest.mark.parametrize(
    ("difference", "p_value", "verdict"),
    [
        (ABOVE, 0.01, "supported"),
        (BELOW, 0.01, "not supported"),
        (AROUND, 0.3, "undecided"),
        (ABOVE, 0.05, "undecided"),
        (AROUND, 0.049, "undecided"),
        (Interval(0.02, 0.0, 0.04), 0.049, "undecided"),
    ],
)
def test_a_claim_is_decided_by_its_p_value_and_the_whole_interval(
    difference: Interval, p_value: float, verdict: str
) -> None:
    assert decide_together([(difference, p_value)], 0.95) == [(p_value, verdict)]


def test_claims_that_stand_together_are_corrected_together() -> None:
    alone = decide_together([(ABOVE, 0.03)], 0.95)
    together = decide_together([(ABOVE, 0.03), (BELOW, 0.04), (AROUND, 0.5)], 0.95)
    assert alone == [(0.03, "supported")]
    assert together == [(pytest.approx(0.09), "undecided"), (pytest.approx(0.09), "undecided"), (0.5, "undecided")]
    assert decide_together([], 0.95) == []


def test_the_level_is_one_minus_the_confidence() -> None:
    assert [decide_together([(ABOVE, 0.08)], level)[0][1] for level in (0.9, 0.95)] == ["supported", "undecided"]


def test_readers_are_told_seeds_and_steps_and_what_an_interval_would_hide() -> None:
    assert told("supported", ABOVE, trainings(3, [800])) == "supported (3 seeds, 800 steps)"
    assert told("one seed", ABOVE, trainings(1, [800])) == "one seed (800 steps)"
    assert told("undecided", ABOVE) == told("undecided", BELOW) == "undecided by p"
    four_times = "needs at least 4.0 times the seeds and texts"
    assert told("undecided", AROUND, trainings(2, [150, 300])) == f"undecided (2 seeds, 150 or 300 steps; {four_times})"
    assert told("undecided", AROUND) == "undecided (needs at least 4.0 times the texts)", "nothing was trained"
    assert told("supported", ABOVE, trainings(0, [])) == "supported", "nothing was trained"
    assert told("missing", None, trainings(3, [800])) == "missing"


@pytest.mark.parametrize("difference", [AROUND, Interval(-0.004, -0.01, 0.005), Interval(0.0201, -0.001, 0.03)])
def test_with_so_many_times_the_data_the_narrower_interval_just_leaves_zero(difference: Interval) -> None:
    times = times_as_many(difference)
    ends = [difference.estimate + (end - difference.estimate) / times**0.5 for end in (difference.low, difference.high)]
    assert min(map(abs, ends)) == pytest.approx(0, abs=1e-12) and times > 1


def test_what_no_data_would_tell_is_said_to_be_far_away() -> None:
    assert told("undecided", Interval(0.0, -0.01, 0.01)) == "undecided (needs more than 100 times the texts)"
    assert told("undecided", Interval(0.001, -0.01, 0.012)) == "undecided (needs more than 100 times the texts)"
    assert told("undecided", Interval(0.001, -0.003, 0.005)) == "undecided (needs at least 16 times the texts)"
