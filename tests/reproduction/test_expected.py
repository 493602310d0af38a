"""The expected file: one recorded run a kind of machine, and what is expected of a run by seed and kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from one_embedder.errors import DataError
from one_embedder.reproduction.statistics.layout import (
    AVERAGE,
    BACKBONE,
    COLUMNS,
    INSTRUCTED_BACKBONE,
    INSTRUCTOR,
    WITHOUT,
)
from one_embedder.reproduction.table1.expected import ExpectedTable, RecordedRun, read_expected, write_expected
from one_embedder.reproduction.table1.lines import Lines, with_differences
from one_embedder.reproduction.table1.verdicts import Basis, Circumstances, Line, compare

HERE = Circumstances({"medi": "a"}, "settings", {"python": "3.11.7"})
AVX2, AVX512, GPU = "AVX2, 2 threads", "AVX512, 2 threads", "an H100"
MINUS_WITHOUT = Line(INSTRUCTOR.id, 0, WITHOUT.id)


def table_of(
    *, seeds: tuple[int, ...] = (0, 1, 2), moved: float = 0.0, untrained: float = 0.0, gap: float = 3.0
) -> Lines:
    """Runs of four rows: every seed half a point above the one before, INSTRUCTOR ``gap`` above the row without.

    ``moved`` and ``untrained`` are what another machine adds to Retrieval, to trained rows once more with each seed.
    """

    def run(level: float, change: float) -> dict[str, float]:
        points = {column: level + place for place, column in enumerate(COLUMNS)}
        points["Retrieval"] += change
        return {**points, AVERAGE: sum(points.values()) / len(points)}

    return {
        Line(BACKBONE.id): run(40.0, untrained),
        Line(INSTRUCTED_BACKBONE.id): run(39.0, untrained),
        **{Line(WITHOUT.id, seed): run(50.0 + seed / 2, moved * (seed + 1)) for seed in seeds},
        **{Line(INSTRUCTOR.id, seed): run(50.0 + gap + seed / 2, 0.0) for seed in seeds},
    }


def write(path: Path, kind: str, runs: Mapping[Line, Mapping[str, float]], now: Circumstances = HERE) -> ExpectedTable:
    run = RecordedRun(kind, runs, now.environment, {"seeds": [0, 1, 2], "runs": ["a", kind]})
    counts = dict.fromkeys(COLUMNS, 2)
    write_expected(path, profile="documentation", run=run, circumstances=now, task_counts=counts)
    table = read_expected(path)
    assert table is not None
    return table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "expected" / "table1.yaml"


def test_every_run_is_read_back_with_computed_averages_and_differences(path: Path) -> None:
    runs = table_of()
    table = write(path, AVX2, runs)
    assert table.shown.runs == {line: pytest.approx(columns, abs=1e-3) for line, columns in runs.items()}
    assert table.shown.row(INSTRUCTOR.id)["Retrieval"] == pytest.approx(53.5)
    assert table.shown.recorded["runs"] == ["a", AVX2]
    lines = table.lines()[AVX2]
    assert lines[MINUS_WITHOUT]["STS"] == lines[MINUS_WITHOUT][AVERAGE] == pytest.approx(3.0)
    assert lines[Line(INSTRUCTOR.id, 2, BACKBONE.id)]["STS"] == pytest.approx(14.0), "the one untrained run, every seed"
    assert len(lines) == len(runs) + 3 * 3
    written = yaml.safe_load(path.read_text())
    assert set(written["kinds"][0]["runs"][0]["points"]) == set(COLUMNS), "averages are computed, never typed"


def test_a_correlation_below_zero_is_read_back_and_an_accuracy_is_refused(path: Path) -> None:
    runs = table_of()
    runs[Line(BACKBONE.id)]["Summarization"] = -3.2
    assert write(path, AVX2, runs).shown.row(BACKBONE.id)["Summarization"] == pytest.approx(-3.2)
    runs[Line(BACKBONE.id)]["Classification"] = -3.2
    with pytest.raises(DataError, match=r"row backbone.*Classification: -3.2 is not between 0 and 100"):
        write(path, AVX2, runs)


def test_another_kind_is_added_and_the_same_kind_replaced(path: Path) -> None:
    write(path, AVX2, table_of())
    write(path, AVX512, table_of(moved=0.4))
    table = write(path, AVX2, table_of(seeds=(0,), moved=0.1))
    assert [run.kind for run in table.kinds] == [AVX512, AVX2], "the last one recorded is shown"
    assert {line.seed for line in table.kinds[0].runs} == {None, 0, 1, 2}
    assert {line.seed for line in table.shown.runs} == {None, 0}
    assert table.shown.runs[Line(WITHOUT.id, 0)]["Retrieval"] == pytest.approx(50.1)


@pytest.mark.parametrize("change", [{"data": {"medi": "b"}}, {"settings": "others"}])
def test_other_data_or_settings_replace_every_kind(path: Path, change: dict[str, object]) -> None:
    write(path, AVX2, table_of())
    table = write(path, AVX512, table_of(), replace(HERE, **change))  # type: ignore[arg-type]
    assert [run.kind for run in table.kinds] == [AVX512]


def test_the_environment_that_data_are_compared_by_is_this_ones_if_any_kind_was_recorded_in_it(path: Path) -> None:
    write(path, AVX2, table_of())
    table = write(path, GPU, table_of(), replace(HERE, environment={"python": "3.12.1"}))
    assert table.circumstances({"python": "3.11.7"}) == HERE
    assert table.circumstances({"python": "3.13.0"}).environment == {"python": "3.12.1"}


def test_a_partial_run_cannot_become_the_reference(path: Path) -> None:
    with pytest.raises(DataError, match="row instructor has no Retrieval"):
        write(path, AVX2, {Line(INSTRUCTOR.id, 0): {"STS": 50.0}})
    assert not path.exists()


def test_no_expected_file_is_a_normal_state(path: Path) -> None:
    assert read_expected(path) is None


@pytest.mark.parametrize("content", ["kinds: [", "a list", "schema: 2\nkinds: []", "schema: 99", "schema: 1\nrows: []"])
def test_a_damaged_or_older_expected_file_names_itself_and_the_remedy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "table1.yaml"
    path.write_text(content)
    with pytest.raises(DataError, match=r"table1\.yaml.*delete.*table\.record=true"):
        read_expected(path)


def judged(table: ExpectedTable, kind: str, line: Line, column: str = "Retrieval") -> tuple[float, float, str]:
    """Expected, ok within, and by what."""
    cell = table.cells(kind, [line])[line][column]
    assert cell.near == pytest.approx(2 * cell.ok)
    return round(cell.expected, 3), round(cell.ok, 3), cell.basis


def test_the_same_seed_on_the_same_kind_repeats_within_a_tenth(path: Path) -> None:
    write(path, AVX2, table_of())
    table = write(path, AVX512, table_of(moved=0.4))
    assert judged(table, AVX2, Line(WITHOUT.id, 1)) == (50.5, 0.1, Basis.SAME_KIND)
    assert judged(table, AVX512, Line(WITHOUT.id, 1)) == (51.3, 0.1, Basis.SAME_KIND)
    assert judged(table, AVX512, MINUS_WITHOUT) == (2.6, 0.1, Basis.SAME_KIND)


def test_another_kind_is_held_to_what_the_recorded_kinds_were_measured_to_differ(path: Path) -> None:
    write(path, AVX2, table_of())
    table = write(path, AVX512, table_of(moved=0.4, untrained=0.02))
    # Seed 2 without instructions moved most, by three times 0.4; twice that for every finetuned run.
    assert judged(table, GPU, Line(WITHOUT.id, 0)) == (50.2, 2.4, Basis.BETWEEN_KINDS)
    assert judged(table, GPU, Line(INSTRUCTOR.id, 0)) == (53.0, 2.4, Basis.BETWEEN_KINDS)
    assert judged(table, GPU, MINUS_WITHOUT) == (2.8, 2.4, Basis.BETWEEN_KINDS)
    assert judged(table, GPU, Line(INSTRUCTOR.id, 0, BACKBONE.id)) == (12.99, 0.1, Basis.BETWEEN_KINDS), "by pair"
    assert judged(table, GPU, Line(BACKBONE.id)) == (40.01, 0.1, Basis.BETWEEN_KINDS), "untrained rows move less"
    assert judged(table, GPU, Line(WITHOUT.id, 0), "STS") == (55.0, 0.1, Basis.BETWEEN_KINDS), "never below a tenth"


def test_with_one_kind_recorded_another_is_held_to_the_spread_over_seeds(path: Path) -> None:
    table = write(path, AVX2, table_of())
    assert judged(table, GPU, Line(WITHOUT.id, 2)) == (51.0, 1.0, Basis.ONE_KIND)
    table = write(path, AVX2, table_of(moved=0.5))  # seeds now a point apart
    assert judged(table, GPU, Line(WITHOUT.id, 2)) == (52.5, 2.0, Basis.ONE_KIND)
    assert judged(table, GPU, Line(BACKBONE.id)) == (40.0, 1.0, Basis.ONE_KIND)


def test_a_seed_that_is_not_recorded_is_held_to_the_spread_around_the_mean_of_those_that_are(path: Path) -> None:
    write(path, AVX512, table_of(moved=0.5))
    table = write(path, AVX2, table_of())
    assert judged(table, AVX2, Line(WITHOUT.id, 7)) == (50.5, 2.0, Basis.OTHER_SEED), "the centre is this kind's"
    assert judged(table, GPU, Line(WITHOUT.id, 7)) == (51.0, 2.0, Basis.OTHER_SEED), "that of all kinds"
    assert judged(table, AVX2, Line(INSTRUCTOR.id, 7, WITHOUT.id))[2] == Basis.OTHER_SEED


def test_a_row_that_was_never_recorded_has_no_expected_number(path: Path) -> None:
    table = write(path, AVX2, table_of())
    assert table.cells(AVX2, [Line("new", 0)]) == {Line("new", 0): {}}


def test_instructors_numbers_are_compared_with_those_of_the_same_seed() -> None:
    lines = with_differences(table_of(seeds=(0, 4)))
    assert {line.seed for line in lines if line.minus == WITHOUT.id} == {0, 4}
    assert lines[Line(INSTRUCTOR.id, 4, WITHOUT.id)]["STS"] == pytest.approx(3.0)


@pytest.mark.parametrize("profile", ["documentation", "super_ni"])
@pytest.mark.parametrize("taken_from", [0, 1, 2])
def test_instructors_numbers_in_the_other_row_are_off_by_the_committed_record(
    project_root: Path, profile: str, taken_from: int
) -> None:
    table = read_expected(project_root / "experiments" / "expected" / f"table1_{profile}.yaml")
    assert table is not None
    runs = {line: columns for line, columns in table.shown.runs.items() if line.seed in (None, 0)}
    swapped = {**runs, Line(WITHOUT.id, 0): table.shown.runs[Line(INSTRUCTOR.id, taken_from)]}
    codes = []
    for obtained in map(with_differences, (runs, swapped)):
        now = table.circumstances({})
        required = [(line, column) for line in obtained for column in (*COLUMNS, AVERAGE)]
        cells = table.cells(table.shown.kind, obtained)
        codes.append(compare(cells, now, obtained, now, required=required).exit_code)
    assert codes == [0, 1]
