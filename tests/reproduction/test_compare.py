"""Verdicts and exit codes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_embedder.reproduction.statistics.layout import AVERAGE
from one_embedder.reproduction.table1.verdicts import (
    Circumstances,
    Comparison,
    ExpectedCell,
    Line,
    Verdict,
    compare,
    judge,
)

CELL = ExpectedCell(expected=50.0, ok=1.0, near=2.0)
HERE = Circumstances({"medi": "a"}, "settings", {"python": "3.11.7"})
LINE, OTHER = Line("instructor", 0), Line("instructor", 0, "backbone")
REQUIRED = [(LINE, "STS"), (LINE, AVERAGE)]
EXPECTED = {LINE: {"STS": CELL, AVERAGE: CELL}}


def compared(obtained: dict[str, float] | None, now: Circumstances = HERE) -> Comparison:
    return compare(EXPECTED, HERE, {} if obtained is None else {LINE: obtained}, now, required=REQUIRED)


@pytest.mark.parametrize(
    ("obtained", "verdict"),
    [(50.0, "ok"), (51.0, "ok"), (49.0, "ok"), (51.1, "near"), (48.0, "near"), (52.1, "off"), (47.9, "off")],
)
def test_tolerances_are_two_sided_and_their_bounds_belong_to_the_better_verdict(obtained: float, verdict: str) -> None:
    assert judge(CELL, obtained) == verdict


@given(st.floats(0, 100), st.floats(0, 10))
def test_a_number_and_its_mirror_image_get_the_same_verdict(expected: float, distance: float) -> None:
    cell = ExpectedCell(expected, 1.0, 2.0)
    above, below = judge(cell, expected + distance), judge(cell, expected - distance)
    assert above == below or min(abs(distance - 1), abs(distance - 2)) < 1e-6


@pytest.mark.parametrize(
    ("obtained", "verdicts", "code"),
    [
        ({"STS": 50.0, AVERAGE: 51.0}, ["ok", "ok"], 0),
        ({"STS": 50.0, AVERAGE: 51.5}, ["ok", "near"], 3),
        ({"STS": 60.0, AVERAGE: 51.5}, ["off", "near"], 1),
        ({"STS": 51.5}, ["near", "missing"], 2),
        ({"STS": 60.0}, ["off", "missing"], 1),
        ({"STS": float("nan"), AVERAGE: 50.0}, ["missing", "ok"], 2),
        (None, ["not run", "not run"], 2),
    ],
)
def test_each_cell_has_its_verdict_and_the_table_its_exit_code(
    obtained: dict[str, float] | None, verdicts: list[str], code: int
) -> None:
    comparison = compared(obtained)
    assert [cell.verdict for cell in comparison.cells] == verdicts
    assert comparison.exit_code == code


def test_cells_are_told_apart_by_line_and_column() -> None:
    comparison = compared({"STS": 50.0, AVERAGE: 60.0})
    assert (comparison.verdict(LINE, "STS"), comparison.verdict(LINE, AVERAGE)) == (Verdict.OK, Verdict.OFF)
    assert [(cell.line, cell.column) for cell in compared(None).cells] == REQUIRED


def test_a_number_that_lacks_the_score_of_a_task_is_not_run_though_the_row_ran() -> None:
    obtained = {LINE: {"STS": 50.0}}
    comparison = compare(EXPECTED, HERE, obtained, HERE, required=REQUIRED, not_run=[(LINE, AVERAGE)])
    assert [cell.verdict for cell in comparison.cells] == [Verdict.OK, Verdict.NOT_RUN]
    assert comparison.exit_code == 2


@pytest.mark.parametrize(
    ("recorded", "verdict"), [(None, Verdict.NO_EXPECTED), (replace(HERE, settings="others"), Verdict.STALE)]
)
def test_where_nothing_is_judged_a_row_that_did_not_run_is_told_from_a_missing_number(
    recorded: Circumstances | None, verdict: Verdict
) -> None:
    required = [*REQUIRED, (OTHER, "STS")]
    comparison = compare(recorded and EXPECTED, recorded, {LINE: {"STS": 1.0}}, HERE, required=required)
    assert [cell.verdict for cell in comparison.cells] == [verdict, Verdict.MISSING, Verdict.NOT_RUN]


def test_near_is_accepted_only_when_asked_and_nothing_else_is() -> None:
    near, off = ({LINE: {"STS": points, AVERAGE: 50.0}} for points in (51.5, 60.0))
    codes = [
        compare(EXPECTED, HERE, obtained, HERE, required=REQUIRED, accept_near=accepted).exit_code
        for obtained in (near, off)
        for accepted in (False, True)
    ]
    assert codes == [3, 0, 1, 1]


@pytest.mark.parametrize("expected", [EXPECTED, None])
def test_two_rows_with_the_same_numbers_are_off_whatever_was_expected(
    expected: dict[Line, dict[str, ExpectedCell]] | None,
) -> None:
    obtained = {LINE: {"STS": 50.0, AVERAGE: 50.0}, OTHER: {"STS": 0.0, AVERAGE: 0.0}}
    required = [(line, column) for line in obtained for column in ("STS", AVERAGE)]
    comparison = compare(expected, expected and HERE, obtained, HERE, required=required)
    assert [cell.verdict for cell in comparison.cells if cell.line == OTHER] == ["off", "off"]
    assert comparison.exit_code == 1
    assert "instructor and backbone have the same numbers" in comparison.warning
    obtained[OTHER]["STS"] = 0.2
    assert compare(expected, expected and HERE, obtained, HERE, required=required).exit_code == 0


def test_a_missing_number_is_never_filled_with_the_expected_one() -> None:
    cell = compared({"STS": 50.0}).cells[1]
    assert (cell.expected, cell.obtained, cell.delta) == (50.0, None, None)


def test_before_anything_is_recorded_the_verdict_says_so_and_the_exit_code_is_zero() -> None:
    comparison = compare(None, None, {LINE: {"STS": 1.0, AVERAGE: 1.0}}, HERE, required=REQUIRED)
    assert {cell.verdict for cell in comparison.cells} == {Verdict.NO_EXPECTED}
    assert str(Verdict.NO_EXPECTED) == "no expected values yet"
    assert comparison.exit_code == 0


def test_without_expected_values_a_missing_cell_still_fails() -> None:
    comparison = compare(None, None, {LINE: {"STS": 1.0}}, HERE, required=REQUIRED)
    assert comparison.exit_code == 2


def test_other_data_of_another_environment_is_not_judged_and_not_called_ok() -> None:
    elsewhere = Circumstances({"medi": "b"}, "settings", {"python": "3.12.1"})
    comparison = compared({"STS": 50.0, AVERAGE: 50.0}, elsewhere)
    assert {cell.verdict for cell in comparison.cells} == {Verdict.OTHER_DATA}
    assert "another data hash (medi)" in comparison.note
    assert "python 3.11.7 there, 3.12.1 here" in comparison.note
    assert comparison.exit_code == 0


def test_another_environment_with_the_same_data_is_judged() -> None:
    elsewhere = replace(HERE, environment={"python": "3.12.1"})
    assert compared({"STS": 50.0, AVERAGE: 60.0}, elsewhere).exit_code == 1


@pytest.mark.parametrize("change", [{"data": {"medi": "b"}}, {"settings": "others"}])
def test_other_data_or_settings_in_the_same_environment_are_stale(change: dict[str, object]) -> None:
    comparison = compared({"STS": 50.0, AVERAGE: 50.0}, replace(HERE, **change))  # type: ignore[arg-type]
    assert {cell.verdict for cell in comparison.cells} == {Verdict.STALE}
    assert "table.record=true" in comparison.note
    assert comparison.exit_code == 2
