"""The report counts what is on disk: sizes, lengths, instructions, examples, licences."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from one_embedder.medi.row import MediRow
from one_embedder.medi.sources import survey as survey_module
from one_embedder.medi.sources.report import Report
from one_embedder.medi.sources.survey import is_of_the_template, survey
from one_embedder.medi.store import write_medi
from tests.medi.toy import INSTRUCTION, toy_rows

ROWS = toy_rows({3: 5, 1: 4})


def made(folder: Path, rows: list[MediRow], report: Report) -> str:
    sha256 = write_medi(rows, folder / "medi", about={})
    report.write(folder, sha256)
    return (folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("batches", [1, 50])
def test_survey_counts_rows_characters_and_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr("one_embedder.medi.store.ROWS_AT_ONCE", 2)
    monkeypatch.setattr(survey_module, "BATCHES_AT_ONCE", batches)
    odd = replace(ROWS[2], query=("", "\u00e9\U0001f642"))
    rows = [*ROWS[:2], odd, *ROWS[3:]]
    write_medi(rows, tmp_path / "medi", about={})
    found = survey(tmp_path / "medi")
    assert [(task.name, task.rows) for task in found.tasks] == [("task 3", 5), ("task 1", 4)]
    assert found.rows == 9
    assert found.tasks[0].example == (ROWS[0].query[1], ROWS[0].positive[1], ROWS[0].negative[1])
    assert found.tasks[0].instructions["query"] == {INSTRUCTION: 4, "": 1}
    assert found.instructions() == {INSTRUCTION: 26, "": 1}
    assert found.lengths["query"].tolist() == [len(row.query[1]) for row in rows]
    assert found.tasks[1].mean_characters("neg") == np.mean([len(row.negative[1]) for row in rows[5:]])


@pytest.mark.parametrize(
    ("instruction", "follows"),
    [
        ("Represent the Wikipedia question for retrieving relevant documents;", True),
        ("represent a sentence:", True),
        ("Query: ", False),
        ("Find what Represent the text means", False),
    ],
)
def test_the_template_is_told_from_other_instructions(instruction: str, follows: bool) -> None:
    assert is_of_the_template(instruction) is follows


def test_an_instruction_not_of_the_template_is_kept_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [replace(row, query=("Query | ", row.query[1])) for row in ROWS[:3]] + ROWS[3:]
    with caplog.at_level(logging.WARNING):
        text = made(tmp_path, rows, Report("Toy"))
    assert "3 texts have an instruction that does not follow the template; they are kept" in caplog.text
    assert "does not follow the template: 3, by 1 different ones." in text
    assert "| Query \\| | 3 |" in text
    assert "The source does not state the licences" in text


def test_report_names_every_task_with_an_example_and_groups_the_licences(tmp_path: Path) -> None:
    licences = {"task 3": "MIT", "task 1": "CC BY 4.0", "task 2": "MIT"}
    text = made(tmp_path, ROWS, Report("Toy", licences, ["told by the source", ""]))
    assert text.startswith("# Toy: build report\n\n9 rows in 2 tasks, content sha256 `")
    assert "told by the source" in text
    assert "| MIT | 2 | task 3, task 2 |" in text
    example = f"{ROWS[5].query[1]} -> {ROWS[5].positive[1]} / {ROWS[5].negative[1]} |"
    assert any(line.startswith("| task 1 | 4 |") and line.endswith(example) for line in text.splitlines())
    assert "Rows of a task: 4 to 5" in text
    longest = max(len(row.query[1]) for row in ROWS)
    assert any(line.startswith("| query |") and line.endswith(f" {longest} |") for line in text.splitlines())


def test_figures_stand_beside_the_report_where_it_shows_them(tmp_path: Path) -> None:
    text = made(tmp_path, ROWS, Report("Toy"))
    for name in ("rows_per_task.png", "text_lengths.png"):
        assert f"](figures/{name})" in text
        assert (tmp_path / "figures" / name).read_bytes().startswith(b"\x89PNG")
