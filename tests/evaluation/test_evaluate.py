"""The verb evaluate: scores that can be checked, results that are kept only while they are valid."""

from __future__ import annotations

import gzip
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mteb.results import TaskResult
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from one_embedder.config.schema import Config
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.truncation import TruncationWarning
from one_embedder.errors import ConfigError, DataError, EvaluationError
from one_embedder.evaluate import work
from one_embedder.evaluation import run as run_module
from one_embedder.evaluation.benchmarks import CATEGORIES, METRICS, category_means, load_scores, overall_mean
from one_embedder.evaluation.completed import completed_results
from one_embedder.evaluation.results import IncompleteEvaluation, write_result
from one_embedder.evaluation.run import evaluate
from one_embedder.files.json_lines import JsonLines
from one_embedder.files.lock import LockedError
from one_embedder.interruption import Terminated
from one_embedder.tracking.manifest import RunRecord, read_manifest
from tests.evaluation.conftest import HashEncoder
from tests.locked import held


def result_file(cfg, task: str) -> Path:
    return Path(cfg.output) / "results" / f"{task}.json"


def cosines(encoder, first: list[str], second: list[str]) -> np.ndarray:
    left, right = (encoder.encode(texts, "", batch_size=8, show_progress_bar=False) for texts in (first, second))
    return (left * right).sum(axis=1)


@pytest.mark.parametrize("category", CATEGORIES)
def test_items_make_up_the_reported_main_score(category: str, evaluated) -> None:
    cfg, scores, _ = evaluated
    (score,) = (score for score in scores if score.category == category)
    reported = json.loads(result_file(cfg, score.task).read_text())["scores"]["test"][0]
    assert score.metric == METRICS[category]
    assert score.main_score == reported["main_score"] == reported[score.metric]
    assert score.items.score() == pytest.approx(score.main_score, abs=1e-6)
    assert len(score.items) > 5 and 0 < score.main_score <= 1


def test_pair_classification_is_average_precision_of_cosines(evaluated, encoder) -> None:
    cfg, scores, _ = evaluated
    rows = JsonLines.read(Path(cfg.benchmark.root) / "eval/PairClassification/TinyPairs", "test")
    expected = average_precision_score(rows.values("label"), cosines(encoder, rows.texts("sent1"), rows.texts("sent2")))
    assert {s.task: s.main_score for s in scores}["TinyPairs"] == pytest.approx(expected, abs=1e-5)


def test_sts_is_the_spearman_correlation_of_cosines(evaluated, encoder) -> None:
    cfg, scores, _ = evaluated
    rows = JsonLines.read(Path(cfg.benchmark.root) / "eval/STS/TinySTS", "test")
    expected = spearmanr(rows.values("score"), cosines(encoder, rows.texts("sentence1"), rows.texts("sentence2")))
    assert {s.task: s.main_score for s in scores}["TinySTS"] == pytest.approx(expected.statistic, abs=1e-3)


def test_retrieval_is_ndcg_at_10_and_without_a_querys_own_document_where_the_task_says_so(evaluated, encoder) -> None:
    """Queries q0.. have a document with their id and exact text, which would rank first and push all others down."""
    cfg, scores, _ = evaluated
    folder = Path(cfg.benchmark.root) / "eval/Retrieval/TinyRetrieval"
    corpus, queries = JsonLines.read(folder, "corpus").rows, JsonLines.read(folder, "queries").rows
    documents = [f"{row['title']} {row['text']}".strip() for row in corpus]
    (score,) = (score for score in scores if score.task == "TinyRetrieval")
    for i, query in enumerate(queries):
        similarities = cosines(encoder, [query["text"]] * len(documents), documents)
        own = [row["_id"] for row in corpus].index(query["_id"])
        assert similarities[own] == pytest.approx(1.0)
        ranked = [int(j) for j in np.argsort(-similarities) if j != own][:10]
        dcg = sum(
            1 / np.log2(rank + 2) for rank, j in enumerate(ranked) if corpus[j]["_id"] in (f"d{i}", f"d{(i + 4) % 15}")
        )
        assert score.items.columns["value"][i] == pytest.approx(dcg / (1 + 1 / np.log2(3)), abs=1e-6)


def test_the_baseline_without_instructions_gets_none(evaluated) -> None:
    _, _, encoder = evaluated
    assert {instruction for instruction, _ in encoder.calls} == {""}


def test_each_side_gets_its_instruction(cfg, task_folder: Callable, encoder) -> None:
    task_folder("TinyRetrieval")
    cfg.instructions.table = {"TinyRetrieval": {"query": "ask: ", "document": "tell: "}}
    evaluate(cfg, encoder)
    assert {instruction: len(texts) for instruction, texts in encoder.calls} == {"ask: ": 9, "tell: ": 24}
    cfg.evaluation.document_instructions = False
    encoder.calls.clear()
    evaluate(cfg, encoder)
    assert {instruction for instruction, _ in encoder.calls} == {"ask: ", ""}


def test_the_verb_gives_no_instructions_with_instructions_false(
    cfg, task_folder: Callable, encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_folder("TinyRetrieval")
    monkeypatch.setattr("one_embedder.evaluation.run.load_embedder", lambda cfg: encoder)
    cfg.instructions.table = {"TinyRetrieval": {"query": "ask: ", "document": "tell: "}}
    for given, read in ((True, {"ask: ", "tell: "}), (False, {""})):
        cfg.with_instructions = given
        encoder.calls.clear()
        work(cfg)
        assert {instruction for instruction, _ in encoder.calls} == read


def test_a_table_without_one_of_the_tasks_is_refused_before_any_work(cfg, encoder) -> None:
    cfg.instructions.table = {"TinySTS": {"text": "state: "}}
    with pytest.raises(ConfigError, match="TinyRetrieval"):
        evaluate(cfg, encoder)
    assert not encoder.calls and not Path(cfg.output).exists()


def test_scores_are_the_same_every_time_and_read_back_equal(evaluated, cfg, encoder) -> None:
    first, again = evaluated[1], evaluate(cfg, encoder)
    assert [(s.task, s.main_score) for s in first] == [(s.task, s.main_score) for s in again]
    read = load_scores(Path(cfg.output))
    assert [(s.task, s.category, s.metric, s.main_score) for s in read] == [
        (s.task, s.category, s.metric, s.main_score) for s in again
    ]
    assert all(a.items.score() == b.items.score() for a, b in zip(read, again, strict=True))


def test_results_are_reused_until_something_they_depend_on_changes(
    cfg, task_folder: Callable, rewrite: Callable, encoder
) -> None:
    folder = task_folder("TinySTS")

    def scored_again() -> bool:
        encoder.calls.clear()
        evaluate(cfg, encoder)
        return bool(encoder.calls)

    assert scored_again()
    assert not scored_again()
    rewrite(folder, "test", 0, score=2.5)
    assert scored_again()
    encoder.revision = "hash-encoder-2"
    assert scored_again()
    cfg.instructions.table = {"TinySTS": {"text": "state: "}}
    assert scored_again()
    cfg.instructions.table["Other"] = {"text": "another task's instruction changes nothing here"}
    assert not scored_again()


def test_a_task_that_moved_to_another_category_is_scored_again(cfg, benchmark_root: Path, encoder) -> None:
    cfg.benchmark.tasks = ["TinyClassification"]
    (before,) = evaluate(cfg, encoder)
    moved = benchmark_root / "eval/Clustering/TinyClassification"
    shutil.move(benchmark_root / "eval/Classification/TinyClassification", moved)
    (after,) = evaluate(cfg, encoder)
    assert (before.category, after.category, after.metric) == ("Classification", "Clustering", "v_measure")
    assert [score.category for score in load_scores(Path(cfg.output))] == ["Clustering"]


def test_a_table_of_results_is_tracked_once_for_what_was_scored(
    cfg, task_folder: Callable, encoder, monkeypatch
) -> None:
    tracked: list[tuple] = []
    monkeypatch.setattr("one_embedder.evaluation.run.log_results", lambda *arguments: tracked.append(arguments))
    task_folder("TinySTS")
    (score,) = evaluate(cfg, encoder)
    evaluate(cfg, encoder)
    ((_, folder, job_type, _, tables, summary),) = tracked
    assert (folder, job_type) == (Path(cfg.output), "evaluate")
    assert tables["tasks"].rows == [["TinySTS", "STS", "cosine_spearman", len(score.items), score.main_score]]
    assert summary == {"STS": score.main_score, "mean": score.main_score}


def test_another_library_version_invalidates_a_result(cfg, task_folder: Callable, encoder, monkeypatch) -> None:
    task_folder("TinySTS")
    evaluate(cfg, encoder)
    encoder.calls.clear()
    monkeypatch.setattr("one_embedder.evaluation.plan.versions", lambda: {"mteb": "0.0"})
    evaluate(cfg, encoder)
    assert encoder.calls


@pytest.mark.parametrize("damage", ["truncated result", "missing items", "foreign items"])
def test_a_damaged_result_is_scored_again_and_refused_when_read(
    damage: str, cfg, task_folder: Callable, encoder
) -> None:
    task_folder("TinySTS")
    (before,) = evaluate(cfg, encoder)
    items = Path(cfg.output) / "items/TinySTS.json"
    if damage == "truncated result":
        result_file(cfg, "TinySTS").write_text(result_file(cfg, "TinySTS").read_text()[:200])
    elif damage == "missing items":
        items.unlink()
    else:
        items.write_text(items.read_text().replace("spearman", "pearson"))
    with pytest.raises(DataError, match=r"TinySTS\.json"):
        load_scores(Path(cfg.output))
    encoder.calls.clear()
    (after,) = evaluate(cfg, encoder)
    assert encoder.calls and after.main_score == before.main_score


def test_a_failing_task_is_named_stops_no_other_and_leaves_no_score(
    cfg, benchmark_root: Path, rewrite, encoder
) -> None:
    cfg.benchmark.tasks = ["TinyRetrieval", "TinySTS", "TinyPairs"]
    rewrite(benchmark_root / "eval/Retrieval/TinyRetrieval", "queries", 0, text="")
    with pytest.raises(EvaluationError, match=r"1 of 3 tasks could not be scored: TinyRetrieval .*row 1") as caught:
        evaluate(cfg, encoder)
    assert "TinySTS" not in str(caught.value)
    assert [score.task for score in load_scores(Path(cfg.output))] == ["TinyPairs", "TinySTS"]
    assert read_manifest(Path(cfg.output))["status"] == "failed"
    rewrite(benchmark_root / "eval/Retrieval/TinyRetrieval", "queries", 0, text="wave ship sail")
    encoder.calls.clear()
    assert len(evaluate(cfg, encoder)) == 3
    assert sum(len(texts) for _, texts in encoder.calls) <= 9 + 24  # the retrieval task's texts only
    assert read_manifest(Path(cfg.output))["status"] == "completed"


def test_a_terminated_evaluation_says_so_and_keeps_what_is_scored(
    cfg, benchmark_root: Path, encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminate(*_, **__) -> None:
        raise Terminated

    cfg.benchmark.tasks = ["TinyPairs", "TinySTS"]
    with monkeypatch.context() as patch, pytest.raises(Terminated):
        patch.setattr(
            run_module, "write_result", lambda *facts: write_result(*facts) if not scored(cfg) else terminate()
        )
        evaluate(cfg, encoder)
    assert read_manifest(Path(cfg.output))["status"] == "interrupted" and len(scored(cfg)) == 1
    encoder.calls.clear()
    assert len(evaluate(cfg, encoder)) == 2 and encoder.calls
    assert read_manifest(Path(cfg.output))["status"] == "completed"


def scored(cfg) -> list[Path]:
    return sorted((Path(cfg.output) / "results").glob("*.json"))


def test_constant_embeddings_are_an_error_and_not_a_score(cfg, task_folder: Callable, encoder) -> None:
    task_folder("TinySTS")
    encoder.encode = lambda sentences, instruction, **_: np.ones((len(sentences), 4), dtype=np.float32) / 2
    with pytest.raises(EvaluationError, match="TinySTS"):
        evaluate(cfg, encoder)
    assert not result_file(cfg, "TinySTS").exists()


def test_task_folders_need_no_network(cfg, encoder, no_network: None) -> None:
    assert len(evaluate(cfg, encoder)) == len(CATEGORIES)


def test_mteb_reads_our_result_files(evaluated) -> None:
    cfg, scores, _ = evaluated
    for score in scores:
        result = TaskResult.from_disk(result_file(cfg, score.task))
        assert result.task_name == score.task
        assert result.get_score() == score.main_score


def test_the_run_record_names_data_model_and_cost(evaluated) -> None:
    cfg, scores, encoder = evaluated
    record = read_manifest(Path(cfg.output))
    assert record["status"] == "completed" and record["name"] == "evaluate"
    assert [item["name"] for item in record["data"]] == [score.task for score in scores]
    assert all(len(item["sha256"]) == 64 for item in record["data"])
    assert record["model"]["revision"] == encoder.revision
    assert record["cost"]["encoded_texts"] == sum(len(texts) for _, texts in encoder.calls)
    assert record["cost"]["cache_hits"] > 0
    assert record["outcome"]["metrics"]["mean"] == pytest.approx(overall_mean(scores))


def test_what_the_maximum_length_takes_away_is_in_the_result_the_record_and_one_line(
    cfg, task_folder: Callable, rewrite: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    for row in (0, 3):
        rewrite(task_folder("TinySTS"), "test", row, sentence1="one ship and the other ship and the old harbour")
    rows = JsonLines.read(task_folder("TinySTS"), "test")
    texts = rows.texts("sentence1") + rows.texts("sentence2")
    encoder = InstructionEmbedder("minilm", device="cpu", max_length=9)
    lengths = [len(encoder.encoder.tokenizer.tokenizer(text)["input_ids"]) for text in texts]
    cut = sum(length > 9 for length in lengths)
    assert 0 < cut < len(texts)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TruncationWarning)
        evaluate(cfg, encoder)
    counts = {"texts": len(texts), "cut": cut, "lost": 0}
    assert json.loads(result_file(cfg, "TinySTS").read_text())["one_embedder"]["truncation"] == counts
    assert read_manifest(Path(cfg.output))["cost"]["texts_cut"] == cut

    caplog.clear()
    cfg.instructions.table = {"TinySTS": {"text": "Represent the sentence, which is short, for nothing: "}}
    with caplog.at_level("WARNING"), pytest.raises(EvaluationError, match="the score is nan"):
        evaluate(cfg, encoder)
    (line,) = (message for message in caplog.messages if "the instruction left nothing" in message)
    assert line.startswith(f"{len(texts)} of {len(texts)} texts are") and "TinySTS" in line


def test_a_finished_evaluation_is_read_back_without_touching_its_record(evaluated, tmp_path, encoder) -> None:
    cfg, scores, _ = evaluated
    record = (Path(cfg.output) / "manifest.yaml").read_text()
    assert len(evaluate(cfg, encoder)) == len(scores)
    assert not encoder.calls
    assert (Path(cfg.output) / "manifest.yaml").read_text() == record


@pytest.mark.parametrize("verb", ["train", "evaluate_views"])
def test_the_record_of_another_verbs_run_is_not_written_over(verb: str, cfg: Config, encoder) -> None:
    folder = Path(cfg.output)
    RunRecord.start(folder, name=verb, cfg=cfg, data=[], model={}).complete()
    (folder / "checkpoint").mkdir()
    before = (folder / "manifest.yaml").read_text()
    scored = rf"python -m one_embedder\.evaluate encoder\.name_or_path={folder}/checkpoint output=ANOTHER_FOLDER"
    with pytest.raises(ConfigError, match=rf"another run \(manifest\.yaml says: {verb}\).*choose another .*{scored}"):
        evaluate(cfg, encoder)
    assert not encoder.calls and (folder / "manifest.yaml").read_text() == before
    with pytest.raises(DataError, match=rf"no result files in results/; the model .* is scored by {scored}"):
        completed_results(folder)


def test_an_evaluation_is_refused_while_another_process_scores_into_its_folder(
    cfg, task_folder: Callable, encoder
) -> None:
    task_folder("TinySTS")
    with held(Path(cfg.output)) as other:
        with pytest.raises(LockedError, match=rf"process {other.pid} on .* is writing {cfg.output}"):
            evaluate(cfg, encoder)
        assert not encoder.calls and not (Path(cfg.output) / "manifest.yaml").exists()
    assert [score.task for score in evaluate(cfg, encoder)] == ["TinySTS"]


def test_without_output_the_folder_is_the_same_for_the_same_evaluation(
    cfg, task_folder: Callable, tmp_path, encoder
) -> None:
    task_folder("TinySTS")
    cfg.output = None
    cfg.paths.experiments = str(tmp_path / "experiments")
    evaluate(cfg, encoder)
    encoder.calls.clear()
    evaluate(cfg, encoder)
    (folder,) = (tmp_path / "experiments/evaluations").iterdir()
    assert folder.name.startswith("evaluate-s0-") and not encoder.calls


def test_the_average_is_the_mean_of_category_means(evaluated) -> None:
    _, scores, _ = evaluated
    doubled = [*scores, *(score for score in scores if score.category == "STS")]
    assert list(category_means(scores)) == list(CATEGORIES)
    assert overall_mean(doubled) == pytest.approx(overall_mean(scores))
    assert overall_mean(scores) == pytest.approx(np.mean([score.main_score for score in scores]))
    with pytest.raises(EvaluationError, match="no scores"):
        overall_mean([])


def test_results_of_two_encoders_are_not_read_as_one_evaluation(cfg, encoder) -> None:
    for task, revision in (("TinySTS", "first"), ("TinyPairs", "second")):
        cfg.benchmark.tasks, encoder.revision = [task], revision
        evaluate(cfg, encoder)
    with pytest.raises(DataError, match="results of different encoders"):
        load_scores(Path(cfg.output))


def test_reading_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no result files"):
        load_scores(tmp_path)


@pytest.mark.slow
def test_minilm_gets_the_published_score_on_stsbenchmark(shared: Path, cfg, tmp_path: Path) -> None:
    """82.032 is what mteb's result repository has for all-MiniLM-L6-v2 (0.02 points tolerated)."""
    source = shared / "data/eval/STS/STSBenchmark"
    if not source.is_dir():
        pytest.skip(f"no {source}")
    shutil.copytree(source, tmp_path / "published/eval/STS/STSBenchmark")
    cfg.benchmark.root = str(tmp_path / "published")
    (score,) = evaluate(cfg)
    assert 100 * score.main_score == pytest.approx(82.032, abs=0.02)


def test_a_damaged_file_of_one_task_stops_none_of_the_others(cfg: Config, benchmark_root: Path) -> None:
    cfg.benchmark.tasks = ["TinySTS", "TinyPairs"]
    (damaged,) = (benchmark_root / "eval/STS/TinySTS").iterdir()
    packed = gzip.compress(damaged.read_bytes())
    damaged.unlink()
    (damaged.parent / "test.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(IncompleteEvaluation, match=r"1 of 2 tasks .*TinySTS .*test\.jsonl\.gz: not a complete") as told:
        evaluate(cfg, HashEncoder())
    assert [score.task for score in told.value.scores] == ["TinyPairs"]
    assert [task.task for task in told.value.not_run] == ["TinySTS"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"text": "First: ", "text": "Second: "}', "the key 'text' is there twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"text": "\xff"}', "not UTF-8"),
        (b'["Say: "]', "must say which side"),
        (b'{"text": 5}', r"TinySTS\.text=5 must be a text"),
        (b'{"query": "Say: "}', "'query'. is no side of STS; it has text"),
    ],
)
def test_a_damaged_instructions_file_of_one_task_stops_none_of_the_others(
    content: bytes, why: str, cfg: Config, benchmark_root: Path, encoder
) -> None:
    cfg.benchmark.tasks, cfg.instructions.beside_tasks = ["TinySTS", "TinyPairs"], True
    (benchmark_root / "eval/STS/TinySTS/instructions.json").write_bytes(content)
    mark = b"\xef\xbb\xbf"  # which some editors write
    (benchmark_root / "eval/PairClassification/TinyPairs/instructions.json").write_bytes(mark + b'{"text": "Say: "}')
    with pytest.raises(IncompleteEvaluation, match=rf"1 of 2 tasks .*TinySTS .*instructions\.json.*{why}"):
        evaluate(cfg, encoder)
    assert {instruction for instruction, _ in encoder.calls} == {"Say: "}


def test_an_evaluation_ends_with_what_it_obtained_and_where(
    cfg: Config, encoder, task_folder: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    task_folder("TinySTS")
    with caplog.at_level("INFO"):
        (score,) = evaluate(cfg, encoder)
    assert caplog.messages[-1] == f"1 task, points: STS {100 * score.main_score:.1f}; {Path(cfg.output) / 'results'}"
