"""When a claim is supported: corrected p-value and interval together, in every table alike."""

from __future__ import annotations

import pytest

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.statistics.decision import decide_together, told, trainings

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
    assert told("undecided", AROUND, trainings(2, [150, 300])) == "undecided (2 seeds, 150 or 300 steps)"
    assert told("supported", ABOVE, trainings(0, [])) == "supported", "nothing was trained"
    assert told("missing", None, trainings(3, [800])) == "missing"
