"""Verdicts and exit codes, and the expected file that they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from one_embedder.errors import DataError
from one_embedder.reproduction.compare import Circumstances, Comparison, ExpectedCell, Verdict, compare, judge
from one_embedder.reproduction.expected import read_expected, tolerances, write_expected
from one_embedder.reproduction.layout import AVERAGE, COLUMNS, ROWS

CELL = ExpectedCell(expected=50.0, ok=1.0, near=2.0)
HERE = Circumstances({"medi": "a"}, "settings", {"python": "3.11.7"})
REQUIRED = [("instructor", "STS"), ("instructor", AVERAGE)]
EXPECTED = {"instructor": {"STS": CELL, AVERAGE: CELL}}


def compared(obtained: dict[str, dict[str, float]], now: Circumstances = HERE) -> Comparison:
    return compare(EXPECTED, HERE, obtained, now, required=REQUIRED)


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
        ({"instructor": {"STS": 50.0, AVERAGE: 51.5}}, ["ok", "near"], 0),
        ({"instructor": {"STS": 60.0, AVERAGE: 50.0}}, ["off", "ok"], 1),
        ({"instructor": {"STS": 50.0}}, ["ok", "missing"], 2),
        ({"instructor": {"STS": 60.0}}, ["off", "missing"], 1),
        ({"instructor": {"STS": float("nan"), AVERAGE: 50.0}}, ["missing", "ok"], 2),
        ({}, ["not run", "not run"], 2),
    ],
)
def test_each_cell_has_its_verdict_and_the_table_its_exit_code(
    obtained: dict[str, dict[str, float]], verdicts: list[str], code: int
) -> None:
    comparison = compared(obtained)
    assert [cell.verdict for cell in comparison.cells] == verdicts
    assert comparison.exit_code == code


def test_a_missing_number_is_never_filled_with_the_expected_one() -> None:
    cell = compared({"instructor": {"STS": 50.0}}).cells[1]
    assert (cell.expected, cell.obtained, cell.delta) == (50.0, None, None)


def test_before_anything_is_recorded_the_verdict_says_so_and_the_exit_code_is_zero() -> None:
    comparison = compare(None, None, {"instructor": {"STS": 1.0, AVERAGE: 1.0}}, HERE, required=REQUIRED)
    assert {cell.verdict for cell in comparison.cells} == {Verdict.NO_EXPECTED}
    assert str(Verdict.NO_EXPECTED) == "no expected values yet"
    assert comparison.exit_code == 0


def test_without_expected_values_a_missing_cell_still_fails() -> None:
    comparison = compare(None, None, {"instructor": {"STS": 1.0}}, HERE, required=REQUIRED)
    assert comparison.exit_code == 2


def test_other_data_of_another_environment_is_not_judged_and_not_called_ok() -> None:
    elsewhere = Circumstances({"medi": "b"}, "settings", {"python": "3.12.1"})
    comparison = compared({"instructor": {"STS": 50.0, AVERAGE: 50.0}}, elsewhere)
    assert {cell.verdict for cell in comparison.cells} == {Verdict.OTHER_DATA}
    assert "another data hash (medi)" in comparison.note
    assert "python 3.11.7 there, 3.12.1 here" in comparison.note
    assert comparison.exit_code == 0


def test_another_environment_with_the_same_data_is_judged() -> None:
    elsewhere = replace(HERE, environment={"python": "3.12.1"})
    assert compared({"instructor": {"STS": 50.0, AVERAGE: 60.0}}, elsewhere).exit_code == 1


@pytest.mark.parametrize("change", [{"data": {"medi": "b"}}, {"settings": "others"}])
def test_other_data_or_settings_in_the_same_environment_are_stale(change: dict[str, object]) -> None:
    comparison = compared({"instructor": {"STS": 50.0, AVERAGE: 50.0}}, replace(HERE, **change))  # type: ignore[arg-type]
    assert {cell.verdict for cell in comparison.cells} == {Verdict.STALE}
    assert "table.write_expected=true" in comparison.note
    assert comparison.exit_code == 2


@pytest.mark.parametrize(("deviation", "expected"), [(0.0, (1.0, 2.0)), (0.4, (1.0, 2.0)), (0.8, (1.6, 3.2))])
def test_tolerances_are_at_least_a_point_and_two_deviations(deviation: float, expected: tuple[float, float]) -> None:
    assert tolerances(deviation) == pytest.approx(expected)


POINTS = {row.id: {column: 50.0 + index for index, column in enumerate(COLUMNS)} | {AVERAGE: 54.0} for row in ROWS}
DEVIATIONS = {row.id: dict.fromkeys((*COLUMNS, AVERAGE), 0.7) for row in ROWS}


def record(path: Path, points: dict[str, dict[str, float]] = POINTS) -> None:
    write_expected(
        path,
        profile="documentation",
        points=points,
        deviations=DEVIATIONS,
        circumstances=HERE,
        task_counts=dict.fromkeys(COLUMNS, 2),
        recorded={"seeds": [0, 1, 2], "runs": ["a", "b"]},
    )


def test_a_recorded_run_is_read_back_with_a_computed_average(tmp_path: Path) -> None:
    path = tmp_path / "expected" / "table1.yaml"
    record(path)
    table = read_expected(path)
    assert table is not None
    assert table.circumstances == HERE
    assert table.recorded["runs"] == ["a", "b"]
    assert table.cells["instructor"]["Retrieval"] == ExpectedCell(50.0, 1.4, 2.8)
    assert table.cells["instructor"][AVERAGE].expected == pytest.approx(54.0)
    written = yaml.safe_load(path.read_text())
    assert AVERAGE not in {cell["column"] for cell in written["rows"][0]["cells"]}, "averages are computed, never typed"


def test_a_partial_run_cannot_become_the_reference(tmp_path: Path) -> None:
    partial = {"instructor": {"STS": 50.0}}
    with pytest.raises(DataError, match="row instructor has no Retrieval"):
        record(tmp_path / "table1.yaml", partial)
    assert not (tmp_path / "table1.yaml").exists()


def test_no_expected_file_is_a_normal_state(tmp_path: Path) -> None:
    assert read_expected(tmp_path / "none.yaml") is None


@pytest.mark.parametrize("content", ["rows: [", "a list", "schema: 1\nrows: []", "schema: 99"])
def test_a_damaged_expected_file_names_itself_and_the_remedy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "table1.yaml"
    path.write_text(content)
    with pytest.raises(DataError, match=r"table1\.yaml.*table\.write_expected=true"):
        read_expected(path)
