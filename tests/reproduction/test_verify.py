"""``make verify`` finds a number that was edited by hand, wherever it stands, and changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.reproduction.show.hash_list import FOLDERS, HASHES, changed_files
from one_embedder.reproduction.show.readme import PAGES
from one_embedder.reproduction.show.verify import differences

Edit = Callable[[str], str]


@pytest.fixture
def root(tmp_path: Path, project_root: Path) -> Path:
    """A copy of pages and records, which the test may change."""
    for folder in FOLDERS:
        shutil.copytree(project_root / "experiments" / folder, tmp_path / "experiments" / folder)
    shutil.copyfile(project_root / "experiments" / HASHES, tmp_path / "experiments" / HASHES)
    for page in PAGES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copyfile(project_root / page, tmp_path / page)
    return tmp_path


def test_every_page_table_and_record_is_what_it_should_be(project_root: Path) -> None:
    assert differences(project_root) == []


def one_more(text: str) -> str:
    """The cost of the recorded run: a number that follows from no other."""
    content = json.loads(text)
    content["cost"]["wall_s"] += 1
    return json.dumps(content)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("experiments/table1/documentation.json", one_more),
        ("experiments/table1/documentation_tasks.csv", lambda text: text.replace("76.7621", "76.7622")),
        ("experiments/ablations/temperature/documentation.csv", lambda text: text.replace("0.", "1.", 1)),
        ("README.md", lambda text: text.replace("| backbone | 58.7 |", "| backbone | 57.7 |")),
        ("docs/results.md", lambda text: text.replace("INSTRUCTOR (335M)", "INSTRUCTOR (334M)")),
    ],
)
def test_a_number_edited_by_hand_is_found_by_file(root: Path, name: str, edit: Edit) -> None:
    path = root / name
    before = path.read_text()
    path.write_text(edit(before))
    assert path.read_text() != before, "the edit edits"
    found = differences(root)
    assert any(str(path) in told for told in found), found
    path.write_text(before)
    assert differences(root) == []


def test_a_record_that_is_gone_or_new_is_found(root: Path) -> None:
    gone = root / "experiments/harness/minilm.json"
    gone.rename(gone.with_name("other.json"))
    told = list(changed_files(root / "experiments"))
    assert [sentence.partition(": is ")[2][:4] for sentence in told] == ["gone", "not "]
