"""A row's columns: means over tasks and seeds, their spread, and gains over another row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from one_embedder.evaluation.results import NotRun
from one_embedder.reproduction.statistics.layout import AVERAGE, BACKBONE, COLUMNS, INSTRUCTOR
from one_embedder.reproduction.statistics.rows import relative_gain, task_counts
from tests.reproduction.fakes import make_row


def test_the_spread_over_seeds_is_zero_with_one_run_and_else_that_of_a_sample() -> None:
    assert make_row(BACKBONE, 0.5).deviations() == dict.fromkeys((*COLUMNS, AVERAGE), 0.0)
    row = make_row(INSTRUCTOR, 0.5, 0.6)
    first, second = (replace(row, seeds=(0,), runs=(run,)).columns() for run in row.runs)
    spread = {column: abs(first[column] - second[column]) / 2**0.5 for column in first}
    assert row.deviations() == pytest.approx(spread) and spread[AVERAGE] > 0.01


def test_tasks_are_counted_by_category() -> None:
    scores = make_row(BACKBONE, 0.5).runs[0]
    counts = task_counts(scores)
    assert sum(counts.values()) == len(scores) and list(counts) == list(COLUMNS)
    assert task_counts([score for score in scores if score.category == "STS"]) == {
        **dict.fromkeys(COLUMNS, 0),
        "STS": counts["STS"],
    }


def test_a_gain_over_nothing_is_left_out() -> None:
    assert relative_gain({"STS": 0.6, "Retrieval": 0.6, "Summarization": 0.6}, {"STS": 0.5, "Retrieval": 0.0}) == {
        "STS": pytest.approx(20)
    }


def test_a_category_that_lacks_a_task_has_no_number_and_neither_has_the_average() -> None:
    row = make_row(BACKBONE, 0.5)
    lacking = replace(row, not_run=(NotRun("Retrieval9", "Retrieval", "no data"),))
    assert set(row.columns()) - set(lacking.columns()) == {"Retrieval", AVERAGE}
    assert lacking.tasks() == {**row.tasks(), "Retrieval9": "Retrieval"}
