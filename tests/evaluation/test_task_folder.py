"""Task folders: found, ordered, hashed; bad files named with file and row."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.errors import ConfigError, DataError, EvaluationError
from one_embedder.evaluation.benchmarks import CATEGORIES
from one_embedder.evaluation.mteb_tasks import TASKS
from one_embedder.evaluation.run import evaluate
from one_embedder.evaluation.task_folder import OWN_FOLDERS, TaskFolder, discover
from one_embedder.json_lines import JsonLines, content_sha256


def test_all_nine_categories_are_found_in_the_order_of_table_1(benchmark_root: Path) -> None:
    assert [folder.category for folder in discover(benchmark_root)] == list(CATEGORIES)
    assert set(TASKS) | set(OWN_FOLDERS) == set(CATEGORIES)


def test_named_tasks_are_kept_and_an_unknown_name_is_an_error(benchmark_root: Path) -> None:
    assert [folder.name for folder in discover(benchmark_root, ["TinySTS", "TinyRetrieval"])] == [
        "TinyRetrieval",
        "TinySTS",
    ]
    with pytest.raises(ConfigError, match=r"TinySTX.*TinySTS"):
        discover(benchmark_root, ["TinySTX"])


def test_a_root_that_holds_no_task_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such benchmark folder"):
        discover(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no task folder"):
        discover(tmp_path)


def test_a_misspelled_category_is_an_error_and_not_skipped(benchmark_root: Path) -> None:
    (benchmark_root / "eval/Retreival/Task").mkdir(parents=True)
    with pytest.raises(DataError, match=r"Retreival: not the name of a category"):
        discover(benchmark_root)


def test_two_tasks_of_one_name_are_refused(benchmark_root: Path) -> None:
    (benchmark_root / "billboard/TinySTS").mkdir()
    with pytest.raises(DataError, match=r"billboard/TinySTS and .*eval/STS/TinySTS"):
        discover(benchmark_root)


def test_the_hash_depends_on_rows_and_not_on_compression(tmp_path: Path) -> None:
    content = b'{"text": "x"}\n{"text": "y"}\n'
    for name, payload in (
        ("a", gzip.compress(content, 1)),
        ("b", gzip.compress(content, 9)),
        ("c", gzip.compress(content[:14])),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test.jsonl.gz").write_bytes(payload)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/test.jsonl").write_bytes(content)
    hashes = {name: content_sha256(tmp_path / name) for name in "abcd"}
    assert hashes["a"] == hashes["b"] == hashes["d"] != hashes["c"]


def test_only_newlines_separate_rows(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text(
        json.dumps({"text": "one\u2028text\x85here"}, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    assert JsonLines.read(tmp_path, "test").texts("text") == ["one\u2028text\x85here"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "x"}\n{"text": \n', r"test\.jsonl, row 2: not a JSON object"),
        (b'{"text": "x"}\n["y"]\n', r"row 2: not a JSON object but list"),
        (b'{"text": "x"}\n\xff\n', r"row 2: not a JSON object"),
        (b"", r"test\.jsonl: the file has no rows"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "test.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        JsonLines.read(tmp_path, "test")


def test_a_truncated_gzip_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n' * 100)[:30])
    with pytest.raises(DataError, match=r"test\.jsonl\.gz: not a complete gzip file"):
        JsonLines.read(tmp_path, "test")


BAD_ROWS = [
    ("TinyRetrieval", "queries", 2, {"text": "  "}, r"queries\.jsonl\.gz, row 3: field 'text' is empty"),
    ("TinyRetrieval", "queries", 2, {"_id": "q1"}, r"queries\.jsonl\.gz, row 3: '_id' 'q1' occurs twice"),
    ("TinyRetrieval", "corpus", 4, {"title": "", "text": ""}, r"corpus\.jsonl, row 5: title and text are both empty"),
    ("TinyRetrieval", "qrels_test", 1, {"query-id": "q99"}, r"qrels_test\.jsonl, row 2: query-id 'q99'"),
    ("TinyRetrieval", "qrels_test", 1, {"corpus-id": "d99"}, r"qrels_test\.jsonl, row 2: corpus-id 'd99'"),
    ("TinyRetrieval", "qrels_test", 1, {"score": "high"}, r"row 2: field 'score' must be a finite number"),
    ("TinyReranking", "test", 0, {"positive": []}, r"row 1: field 'positive' must be a list of at least one text"),
    ("TinyClustering", "test", 3, {"text": 7}, r"row 4: field 'text' must be text"),
    ("TinyPairs", "test", 3, {"label": 2}, r"row 4: field 'label' must be 0 or 1"),
    ("TinyClassification", "test", 3, {"label": None}, r"row 4: field 'label' is missing"),
    ("TinyClassification", "test", 3, {"label": 9}, r"row 4: label 9 does not occur in train"),
    ("TinySTS", "test", 3, {"score": float("nan")}, r"row 4: field 'score' must be a finite number"),
    ("TinySummarization", "test", 1, {"relevance": [1.0]}, r"row 2: 5 machine_summaries but 1 relevance"),
    ("TinyPrompts", "eval", 1, {"output": ""}, r"eval.*, row 2: field 'output' is empty"),
    ("TinyBillboard", "hyps", 1, {"seg_id": "99"}, r"hyps.*, row 2: seg_id '99' is not in references"),
]


@pytest.mark.parametrize(("task", "file", "row", "fields", "message"), BAD_ROWS)
def test_a_bad_row_is_named_and_gives_no_score(
    task: str, file: str, row: int, fields: dict, message: str, task_folder: Callable, rewrite: Callable, cfg, encoder
) -> None:
    rewrite(task_folder(task), file, row, **fields)
    with pytest.raises(EvaluationError, match=rf"(?s)1 of 1 tasks.*{task}.*{message}"):
        evaluate(cfg, encoder)
    assert not list(Path(cfg.output).glob("results/*"))


@pytest.mark.parametrize("category", list(TASKS))
def test_a_missing_file_is_named(category: str, benchmark_root: Path) -> None:
    (folder,) = (folder for folder in discover(benchmark_root) if folder.category == category)
    name = "qrels_test" if category == "Retrieval" else "test"
    next(folder.path.glob(f"{name}.jsonl*")).unlink()
    with pytest.raises(DataError, match=rf"{folder.name}: no {name}\.jsonl"):
        TASKS[category](folder).load_data()


@pytest.mark.parametrize(("task", "category"), [("TinyClustering", "Clustering"), ("TinyPairs", "PairClassification")])
def test_labels_of_one_class_are_refused(task: str, category: str, task_folder: Callable, rewrite: Callable) -> None:
    folder = task_folder(task)
    for row in range(len(JsonLines.read(folder, "test"))):
        rewrite(folder, "test", row, label=1)
    with pytest.raises(DataError, match=r"test\.jsonl.*every row has the label 1"):
        TASKS[category](TaskFolder(task, category, folder)).load_data()
