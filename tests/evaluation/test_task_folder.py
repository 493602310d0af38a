"""Task folders: found, ordered, hashed; bad files named with file and row."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config, PromptTaskConfig, TaskFolderConfig
from one_embedder.errors import ConfigError, DataError, EvaluationError
from one_embedder.evaluation.benchmarks import CATEGORIES
from one_embedder.evaluation.plan import Plan
from one_embedder.evaluation.run import evaluate
from one_embedder.evaluation.tasks.folder import OWN_FOLDERS, TaskFolder, discover, folder_of, settings_of
from one_embedder.evaluation.tasks.folder_mteb import TASKS, FolderClassification
from one_embedder.evaluation.tasks.search_rows import read_retrieval
from one_embedder.files.json_lines import JsonLines, content_sha256
from tests.evaluation.conftest import write_rows


def test_all_nine_categories_are_found_in_the_order_of_table_1(benchmark_root: Path) -> None:
    assert [folder.category for folder in discover(benchmark_root)] == list(CATEGORIES)
    assert set(TASKS) | set(OWN_FOLDERS) == set(CATEGORIES)


def test_the_page_names_the_folder_of_every_category_and_its_lines_are_a_task(
    project_root: Path, tmp_path: Path
) -> None:
    page = (project_root / "docs/evaluation.md").read_text(encoding="utf-8")
    assert all(f"| `{folder_of(Path(), category)}/<Task>/`" in page for category in CATEGORIES)
    lines = [line for line in page.splitlines() if line.startswith('{"')]
    for name, line in zip(("corpus", "queries", "qrels_test"), lines, strict=False):
        (tmp_path / f"{name}.jsonl").write_text(line)
    rows = read_retrieval(tmp_path, "test")
    assert (list(rows.queries), rows.relevant) == (["q1"], {"q1": {"d7": 1}})
    assert sorted(json.loads(lines[3])) == ["label", "text"]
    (tmp_path / "instructions.json").write_text(lines[4])
    assert sorted(TaskFolder("Mine", "Retrieval", tmp_path).instructions) == ["document", "query"]


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
    ("TinyRetrieval", "corpus", 4, {"text": 7}, r"corpus\.jsonl, row 5: field 'text' is 7 \(int\), not a string"),
    ("TinyRetrieval", "corpus", 4, {"title": 7}, r"corpus\.jsonl, row 5: field 'title' is 7 \(int\), not a string"),
    ("TinyRetrieval", "qrels_test", 1, {"query-id": "q99"}, r"qrels_test\.jsonl, row 2: query-id 'q99'"),
    ("TinyRetrieval", "qrels_test", 1, {"score": "high"}, r"row 2: field 'score' must be a finite number"),
    ("TinyReranking", "test", 0, {"positive": []}, r"row 1: field 'positive' must be a list of at least one text"),
    ("TinyClustering", "test", 3, {"text": 7}, r"row 4: field 'text' is 7 \(int\), not a string"),
    ("TinyPairs", "test", 3, {"label": 2}, r"row 4: field 'label' must be 0 or 1"),
    ("TinyClassification", "test", 3, {"label": None}, r"row 4: field 'label' is missing"),
    ("TinyClassification", "test", 3, {"label": 9}, r"row 4: label 9 does not occur in train"),
    ("TinyRetrieval", "corpus", 4, {"Title": "x"}, r"corpus\.jsonl, row 5: field 'Title' is not read; call it 'title'"),
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


def test_a_classification_task_is_trained_on_as_many_texts_as_its_settings_say(benchmark_root: Path) -> None:
    protocol = {"TinyClassification": TaskFolderConfig(samples_per_label=5)}
    (plain,) = discover(benchmark_root, ["TinyClassification"])
    (chosen,) = discover(benchmark_root, ["TinyClassification"], protocol)
    drawn = []
    for folder in (plain, chosen):
        task = FolderClassification(folder)
        task.load_data()
        rows, _, _ = task._undersample_data(task.dataset["train"], 0)
        drawn.append(len(rows))
    assert drawn == [3 * 8, 3 * 5]
    assert plain.identity == {"data_sha256": plain.sha256}
    assert chosen.identity == {"data_sha256": plain.sha256, "settings": {"samples_per_label": 5}}


def test_test_texts_that_are_training_texts_too_are_told(
    task_folder: Callable, rewrite: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    folder = task_folder("TinyClassification")
    task = FolderClassification(TaskFolder("TinyClassification", "Classification", folder))
    task.load_data()
    assert not caplog.messages
    rows = len(JsonLines.read(folder, "test"))
    rewrite(folder, "test", 0, text=JsonLines.read(folder, "train").texts("text")[0])
    task.load_data()
    (message,) = caplog.messages
    assert message.endswith(f": 1 of {rows} texts are in train.jsonl too; they count")


def test_settings_are_found_under_mtebs_name_too() -> None:
    protocol = {"EmotionClassification": TaskFolderConfig(samples_per_label=16)}
    assert settings_of("Emotion", "Classification", protocol).samples_per_label == 16
    assert settings_of("EmotionClassification", "Classification", protocol).samples_per_label == 16
    assert settings_of("Emotion", "Clustering", protocol) == TaskFolderConfig()


def test_settings_of_a_misspelt_task_are_told_and_those_of_tasks_elsewhere_are_not(
    benchmark_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = TaskFolderConfig(samples_per_label=5)
    elsewhere = load_config("evaluate", ["benchmark=folder"]).benchmark.protocol
    discover(benchmark_root, None, {**elsewhere, "TinyClassification": settings})
    assert not caplog.records
    discover(benchmark_root, None, {"TinyClasification": settings})
    assert "benchmark.protocol.TinyClasification belongs to no task here" in caplog.text
    assert "did you mean TinyClassification?" in caplog.text


def test_settings_of_a_misspelt_prompt_retrieval_task_are_told(
    task_folder: Callable, cfg: Config, caplog: pytest.LogCaptureFixture
) -> None:
    task_folder("TinyPrompts")
    cfg.prompt_retrieval.tasks = load_config("evaluate").prompt_retrieval.tasks
    Plan.of(cfg)
    assert not caplog.records
    cfg.prompt_retrieval.tasks = {"TinyPromts": PromptTaskConfig()}
    Plan.of(cfg)
    assert "prompt_retrieval.tasks.TinyPromts belongs to no task here and has no effect; did you mean" in caplog.text


def test_the_settings_of_the_papers_tasks_are_configuration() -> None:
    protocol = load_config("evaluate", ["benchmark=folder"]).benchmark.protocol
    samples = {name: task.samples_per_label for name, task in protocol.items() if task.samples_per_label}
    assert samples == {
        "AmazonCounterfactualClassification": 32,
        "EmotionClassification": 16,
        "ToxicConversationsClassification": 32,
        "TweetSentimentExtractionClassification": 32,
    }
    assert protocol["SICK-R"].splits == ["train", "validation", "test"]


def test_files_of_an_sts_task_are_scored_together(cfg: Config, task_folder: Callable, encoder) -> None:
    folder = task_folder("TinySTS")
    shutil.copy(next(folder.glob("test.*")), folder / "more.jsonl")
    cfg.benchmark.protocol = {"TinySTS": TaskFolderConfig(splits=["test", "more"])}
    (score,) = evaluate(cfg, encoder)
    assert len(score.items) == 80
    cfg.benchmark.protocol["TinySTS"].splits = ["test", "fewer"]
    with pytest.raises(EvaluationError, match=r"TinySTS: no fewer\.jsonl.*the folder holds"):
        evaluate(cfg, encoder)


def test_a_setting_that_the_category_does_not_read_is_refused(benchmark_root: Path) -> None:
    protocol = {"TinyClustering": TaskFolderConfig(splits=["test"])}
    with pytest.raises(ConfigError, match=r"TinyClustering\.splits has an effect on STS tasks only"):
        discover(benchmark_root, protocol=protocol)


@pytest.mark.parametrize("second", ["1", " 1", "1 "])
@pytest.mark.parametrize("category", ["Clustering", "Classification"])
def test_a_class_that_is_written_in_two_ways_is_refused_and_not_taken_for_two(
    category: str, second: str, tmp_path: Path
) -> None:
    rows = [{"text": f"note {n}", "label": label} for n, label in enumerate([0, 1, 0, second])]
    for file in ("train", "test"):
        write_rows(tmp_path / f"{file}.jsonl", rows)
    with pytest.raises(DataError, match=rf"row 4: field 'label' is '{second}' \(str\), and row 2 has 1 \(int\)"):
        TASKS[category](TaskFolder("Mine", category, tmp_path)).load_data()


def test_a_class_that_the_training_texts_write_otherwise_is_told(tmp_path: Path) -> None:
    for file, labels in {"train": [0, 1], "test": ["0", "1"]}.items():
        write_rows(tmp_path / f"{file}.jsonl", [{"text": f"note {label}", "label": label} for label in labels])
    with pytest.raises(DataError, match=r"row 1: label '0' does not occur in train.jsonl, where it is written 0"):
        FolderClassification(TaskFolder("Mine", "Classification", tmp_path)).load_data()


def test_a_candidate_that_is_right_and_wrong_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_rows(tmp_path / "test.jsonl", [{"id": "1", "query": "q", "positive": ["a", "b"], "negative": ["b", "c"]}])
    TASKS["Reranking"](TaskFolder("Mine", "Reranking", tmp_path)).load_data()
    assert "1 queries have a text among their positives and their negatives alike; rounding decides" in caplog.text


def test_summaries_that_no_document_ranks_are_refused_before_any_text_is_embedded(
    task_folder: Callable, cfg: Config, encoder
) -> None:
    rows = [
        {"text": f"t {n}", "human_summaries": ["h"], "machine_summaries": ["a", "b"], "relevance": [n, n]}
        for n in range(3)
    ]
    (file,) = task_folder("TinySummarization").iterdir()
    write_rows(file, rows)
    with pytest.raises(EvaluationError, match=rf"{file.name}: no row has different grades in relevance"):
        evaluate(cfg, encoder)
    assert not encoder.calls


def test_a_task_is_added_by_a_folder_and_a_line_of_instructions(tmp_path: Path, encoder) -> None:
    rows = [
        {"sentence1": f"note {n}", "sentence2": " ".join(f"note {i}" for i in range(n)), "score": n} for n in (1, 2, 3)
    ]
    write_rows(tmp_path / "tasks/eval/STS/MyNotes/test.jsonl", rows)
    line = "+instructions.table.MyNotes.text={domain: office, text_type: note, objective: measuring similarity}"
    cfg = load_config(
        "evaluate", ["benchmark=folder", f"benchmark.root={tmp_path}/tasks", f"output={tmp_path}/out", line]
    )
    (score,) = evaluate(cfg, encoder)
    assert {instruction for instruction, _ in encoder.calls} == {"Represent the office note for measuring similarity: "}
    assert json.loads((tmp_path / "out/results/MyNotes.json").read_text())["scores"]["test"][0]["main_score"] == (
        pytest.approx(score.main_score)
    )


def test_training_texts_of_one_class_are_refused(task_folder: Callable, rewrite: Callable) -> None:
    folder = task_folder("TinyClassification")
    for row in range(len(JsonLines.read(folder, "train"))):
        rewrite(folder, "train", row, label=1)
    with pytest.raises(DataError, match=r"train\.jsonl.*every row has the label 1"):
        FolderClassification(TaskFolder("TinyClassification", "Classification", folder)).load_data()


@pytest.mark.parametrize("kept", [(0, 2), (1, 2), (0, 1), (1,)])
def test_a_test_split_of_some_of_the_train_classes_scores_its_texts_as_the_whole_does(
    kept: tuple[int, ...], task_folder: Callable, cfg: Config, encoder
) -> None:
    path = next(task_folder("TinyClassification").glob("test.*"))
    rows = JsonLines.read(path.parent, "test").rows
    (whole,) = evaluate(cfg, encoder)
    path.unlink()
    write_rows(path.with_name("test.jsonl"), [row for row in rows if row["label"] in kept])
    (part,) = evaluate(cfg, encoder)
    expected = [right for right, row in zip(whole.items.columns["value"], rows, strict=True) if row["label"] in kept]
    assert part.items.columns["value"].tolist() == expected
    assert part.main_score == pytest.approx(sum(expected) / len(expected))
    metrics = json.loads((Path(cfg.output) / "results/TinyClassification.json").read_text())["scores"]["test"][0]
    assert metrics["accuracy"] == part.main_score and 0 < metrics["f1_weighted"] <= 1


def test_two_classes_of_two_have_an_average_precision(task_folder: Callable, cfg: Config, encoder) -> None:
    folder = task_folder("TinyClassification")
    for name in ("train", "test"):
        path = next(folder.glob(f"{name}.*"))
        rows = [row for row in JsonLines.read(folder, name).rows if row["label"] < 2]
        path.unlink()
        write_rows(folder / f"{name}.jsonl", rows)
    evaluate(cfg, encoder)
    metrics = json.loads((Path(cfg.output) / "results/TinyClassification.json").read_text())["scores"]["test"][0]
    assert 0.5 <= metrics["ap"] <= 1


@pytest.mark.parametrize(("task", "name"), [("TinySTS", "test"), ("TinyRetrieval", "corpus"), ("TinyPrompts", "eval")])
def test_a_file_beside_itself_packed_is_refused(task: str, name: str, task_folder: Callable, cfg, encoder) -> None:
    folder = task_folder(task)
    rows = JsonLines.read(folder, name).rows
    for suffix in ("jsonl", "jsonl.gz"):
        write_rows(folder / f"{name}.{suffix}", rows)
    with pytest.raises(EvaluationError, match=rf"holds both {name}\.jsonl\.gz and {name}\.jsonl; keep the one"):
        evaluate(cfg, encoder)


def test_blank_lines_at_the_end_are_nothing_and_others_are_named(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_bytes(b'{"text": "x"}\n{"text": "y"}\n\n \r\n')
    assert JsonLines.read(tmp_path, "test").texts("text") == ["x", "y"]
    (tmp_path / "test.jsonl").write_bytes(b'{"text": "x"}\n\n{"text": "y"}\n')
    with pytest.raises(DataError, match=r"row 2: not a JSON object"):
        JsonLines.read(tmp_path, "test")


@pytest.mark.parametrize("label", [True, 1.5, None, "9" * 5000])
def test_pairs_may_be_labelled_true_and_false_and_nothing_else_but_0_and_1(
    label: object, task_folder: Callable, rewrite: Callable, cfg: Config, encoder
) -> None:
    folder = task_folder("TinyPairs")
    (expected,) = evaluate(cfg, encoder)
    rewrite(folder, "test", 1, label=label)
    if label is True:
        (score,) = evaluate(cfg, encoder)
        assert score.main_score == expected.main_score
    else:
        with pytest.raises(EvaluationError, match="row 2: field 'label'"):
            evaluate(cfg, encoder)
