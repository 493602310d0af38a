"""The development benchmark holds nothing that the folder's test splits score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from one_embedder.errors import DataError
from one_embedder.files.json_lines import JsonLines
from one_embedder.medi.sources.assembly import write_task_files
from scripts.make_dev_benchmark import make_dev_benchmark


def rows(start: int, count: int) -> list[dict[str, Any]]:
    return [{"text": f"text {i}", "label": i % 2} for i in range(start, start + count)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    corpus = [{"_id": str(i), "title": "", "text": f"document {i}"} for i in range(30)]
    search = {
        "corpus": corpus,
        "queries": [{"_id": f"q{i}", "text": f"query {i}"} for i in range(4)],
        "qrels_test": [{"query-id": "q0", "corpus-id": "0", "score": 1}],
        "qrels_train": [{"query-id": f"q{i}", "corpus-id": str(i), "score": 1} for i in (1, 2)],
    }
    tasks = {
        "eval/Classification/Split": {"train": rows(0, 20), "validation": rows(20, 6), "test": rows(26, 8)},
        "eval/Classification/TrainOnly": {"train": rows(100, 20), "test": rows(120, 8)},
        "eval/STS/TestOnly": {"test": [{"sentence1": "a", "sentence2": "b", "score": 1}]},
        "eval/Retrieval/Search": search,
    }
    write_task_files(tasks, tmp_path / "tasks")
    return tmp_path / "tasks"


def texts(folder: Path, name: str) -> list[str]:
    return [row["text"] for row in JsonLines.read(folder, name).rows]


def test_validation_rows_become_the_test_rows(root: Path, tmp_path: Path) -> None:
    make_dev_benchmark(root, tmp_path / "dev")
    folder = tmp_path / "dev" / "eval" / "Classification" / "Split"
    assert texts(folder, "test") == [f"text {i}" for i in range(20, 26)]
    assert texts(folder, "train") == [f"text {i}" for i in range(20)]


def test_without_validation_training_rows_are_parted_in_two(root: Path, tmp_path: Path) -> None:
    make_dev_benchmark(root, tmp_path / "dev", max_rows=7)
    folder = tmp_path / "dev" / "eval" / "Classification" / "TrainOnly"
    test, train = texts(folder, "test"), texts(folder, "train")
    assert (len(test), len(train)) == (7, 13)
    assert {*test, *train} == {f"text {i}" for i in range(100, 120)}


def test_retrieval_keeps_the_queries_of_training_and_their_documents(root: Path, tmp_path: Path) -> None:
    make_dev_benchmark(root, tmp_path / "dev", max_documents=10)
    folder = tmp_path / "dev" / "eval" / "Retrieval" / "Search"
    assert texts(folder, "queries") == ["query 1", "query 2"]
    assert {"document 1", "document 2"} < set(texts(folder, "corpus"))
    assert len(texts(folder, "corpus")) == 10


def test_tasks_without_unscored_rows_and_those_named_are_left_out(root: Path, tmp_path: Path) -> None:
    assert make_dev_benchmark(root, tmp_path / "dev", leave_out=["Split"]) == ["Search", "TrainOnly"]


def test_the_same_folder_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_dev_benchmark(root, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.gz"))
    assert len(files) == 7
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_an_existing_output_is_never_written_into(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tasks exists; name a new folder"):
        make_dev_benchmark(root, root)


def test_a_task_to_leave_out_that_is_not_there_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no task split to leave out"):
        make_dev_benchmark(root, tmp_path / "dev", leave_out=["split", "Search"])
    assert not (tmp_path / "dev").exists()
