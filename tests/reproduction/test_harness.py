"""The harness that compares with published scores: right numbers pass, wrong ones do not, and nothing is left out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from one_embedder.config.compose import load_config
from one_embedder.errors import DataError
from one_embedder.reproduction.compare import harness
from one_embedder.reproduction.compare.harness import (
    PublishedModel,
    PublishedTask,
    folders_of,
    judged,
    parser,
    read_published,
    read_record,
    recorded_harness,
    verify,
    work,
)
from one_embedder.reproduction.compare.mteb_rows import unlike_mteb
from one_embedder.reproduction.table1.verdicts import Verdict
from tests.evaluation.conftest import HashEncoder, write_benchmark

TASKS = (PublishedTask("STS12", "STS", 72.369, 0.02), PublishedTask("Banking77Classification", "Classification", 80, 1))
MODEL = PublishedModel("some-model", "somewhere", TASKS)


def record(**scores: float) -> dict:
    return {"scores": scores}


def test_each_task_is_judged_by_its_own_tolerance_on_either_side() -> None:
    near = judged(MODEL, record(STS12=0.72389, Banking77Classification=0.7901))
    assert [cell.verdict for cell in near.cells] == [Verdict.OK, Verdict.OK]
    assert near.exit_code == 0
    far = judged(MODEL, record(STS12=0.7239, Banking77Classification=0.8101))
    assert [cell.verdict for cell in far.cells] == [Verdict.OFF, Verdict.OFF]
    assert far.exit_code == 1


def test_a_task_that_was_not_scored_is_no_success() -> None:
    partial = judged(MODEL, record(STS12=0.72369))
    assert [cell.verdict for cell in partial.cells] == [Verdict.OK, Verdict.MISSING]
    assert partial.exit_code == 2
    assert [cell.verdict for cell in judged(MODEL, None).cells] == [Verdict.NOT_RUN] * 2


def test_a_published_task_is_scored_from_the_folder_of_its_name_and_recorded(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path / "tasks")
    (root / "eval/Classification/TinyClassification").rename(root / "eval/Classification/Tiny")
    published = PublishedModel(
        "hash", "here", tuple(PublishedTask(f"Tiny{kind}", kind, 50, 1) for kind in ("STS", "Classification"))
    )
    assert {task: folder.name for task, folder in folders_of(published, root).items()} == {
        "TinySTS": "TinySTS",
        "TinyClassification": "Tiny",
    }
    obtained = verify(root, published, [f"output={tmp_path}/out"], HashEncoder())
    for task, name in (("TinySTS", "TinySTS"), ("TinyClassification", "Tiny")):
        result = json.loads((tmp_path / f"out/results/{name}.json").read_text())
        assert obtained["scores"][task] == result["one_embedder"]["main_score"]
    assert "| TinySTS | 50.000 |" in recorded_harness(published, obtained)
    assert obtained["environment"]["mteb"] in recorded_harness(published, obtained)


def test_a_task_of_other_rows_than_mtebs_is_told_and_not_compared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One graded pair is enough to move a score; the published one is of all of MTEB's."""
    root = write_benchmark(tmp_path / "tasks")
    (root / "eval/STS/TinySTS").rename(root / "eval/STS/STS12")
    tasks = (PublishedTask("STS12", "STS", 50, 1), PublishedTask("TinyPairs", "PairClassification", 50, 1))
    published = PublishedModel("hash", "here", tasks)
    obtained = verify(root, published, [f"output={tmp_path}/out"], HashEncoder())
    assert set(obtained["scores"]) == {"TinyPairs"}
    assert "STS12: has not MTEB's rows of STS12: 40 in test where MTEB has 3,108; it is not compared" in caplog.text
    assert next(iter(judged(published, obtained).cells)).verdict is Verdict.MISSING
    assert not (tmp_path / "out/results/STS12.json").exists()
    with pytest.raises(DataError, match=r"40 in test where MTEB has 3,108\. Published scores are of MTEB's rows"):
        verify(root, PublishedModel("hash", "here", tasks[:1]), [f"output={tmp_path}/out"], HashEncoder())


def test_the_recorded_tasks_have_mtebs_rows_but_for_the_one_that_the_readme_tells(shared: Path) -> None:
    protocol = load_config("evaluate", ["benchmark=folder"]).benchmark.protocol
    folders = folders_of(read_published(), shared / "data")
    unlike = {task for task, folder in folders.items() if unlike_mteb(task, folder, protocol)}
    assert len(folders) == 10 and unlike == {"TweetSentimentExtractionClassification"}


def test_a_folder_without_any_of_the_tasks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds none of STS12, Banking77Classification"):
        folders_of(MODEL, write_benchmark(tmp_path))


def test_without_a_folder_the_command_says_what_to_pass() -> None:
    with pytest.raises(DataError, match=r"make verify-harness BENCHMARK=.*STS12, "):
        work(parser().parse_args([""]))


def test_the_published_scores_are_those_of_the_published_files(shared: Path) -> None:
    with (shared / "facts" / "published_minilm_scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["task"]: row for row in csv.DictReader(stream)}
    tasks = read_published().tasks
    assert len(tasks) == 10
    assert {(t.task, t.category, t.score) for t in tasks} == {
        (t.task, rows[t.task]["category"], float(rows[t.task]["score"])) for t in tasks
    }


def test_no_tolerance_is_wider_than_what_a_right_harness_needs() -> None:
    widest = {"STS": 0.02, "Retrieval": 0.1, "Classification": 1.0}
    assert all(0 < task.within <= widest[task.category] for task in read_published().tasks)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "published.yaml"
    path.write_text("tasks: [{task: STS12}]")
    with pytest.raises(DataError, match=r"published\.yaml: not published scores"):
        read_published(path)
    path.write_text("{}")
    with pytest.raises(DataError, match=r"published\.yaml: not a record"):
        read_record(path)


def test_a_record_of_more_tasks_is_not_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    facts = {"environment": {}, "hardware": {}, "code": {}}
    options = harness.parser().parse_args(["anywhere", "--record"])
    monkeypatch.setattr(harness, "RECORD", tmp_path / "minilm.json")
    for scores in ({"STS12": 0.7, "SciFact": 0.6}, {"STS12": 0.5, "SciFact": 0.6}):
        monkeypatch.setattr(harness, "verify", lambda *_, scores=scores: {"scores": scores, **facts})
        harness.work(options)
    monkeypatch.setattr(harness, "verify", lambda *_: {"scores": {"STS12": 0.7}, **facts})
    with pytest.raises(DataError, match=r"minilm\.json: not recorded anew, .* 1 tasks where it has 2"):
        harness.work(options)
    there = read_record(tmp_path / "minilm.json")
    assert there is not None and there["scores"] == {"STS12": 0.5, "SciFact": 0.6}
