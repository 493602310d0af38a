"""A result file is believed only while its numbers are those that its items give."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from one_embedder.errors import DataError
from one_embedder.evaluation.benchmarks import load_scores
from one_embedder.evaluation.completed import completed_results
from one_embedder.evaluation.results import OURS, UNHASHED, content_sha256, read_result, unlike
from one_embedder.evaluation.run import evaluate
from tests.evaluation.conftest import HashEncoder, configured, write_benchmark

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def output(evaluated, tmp_path: Path) -> Path:
    """A copy of the nine tiny tasks' evaluation, which the test may change."""
    return Path(shutil.copytree(evaluated[0].output, tmp_path / "output"))


def edit(output: Path, task: str, change: Edit, *, forge: bool = False) -> None:
    """Change a result file; a forger knows of the hash."""
    path = output / f"results/{task}.json"
    content = json.loads(path.read_text())
    change(content)
    if forge:
        content[OURS]["content_sha256"] = content_sha256(content)
    path.write_text(json.dumps(content))


def as_before_hashes(output: Path, task: str) -> None:
    """What the version before wrote: no hash, no name of the task, no ids of items."""
    path = output / f"items/{task}.json"
    items = json.loads(path.read_text())
    del items["ids"]
    path.write_text(json.dumps(items))

    def older(content: dict[str, Any]) -> None:
        ours = content[OURS]
        del ours["content_sha256"], ours["task"]
        ours |= {"schema": UNHASHED, "items_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    edit(output, task, older)


def score_of(value: Any) -> Edit:
    return lambda content: content[OURS].update(main_score=value)


@pytest.mark.parametrize("before", [False, True], ids=["now", "before hashes"])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.99, r"main_score is 0\.99, but its items give 0\.918666"),
        ("0.99", r"main_score is '0\.99', and cosine_spearman is a number from -1 to 1"),
        (9.0, r"main_score is 9\.0, and cosine_spearman is a number from -1 to 1"),
        (float("nan"), r"main_score is nan, and cosine_spearman"),
        (True, r"main_score is True, and"),
    ],
)
def test_a_main_score_that_its_items_do_not_give_is_refused_by_name(
    output: Path, value: Any, told: str, before: bool
) -> None:
    if before:
        as_before_hashes(output, "TinySTS")
    edit(output, "TinySTS", score_of(value), forge=not before)
    with pytest.raises(DataError, match=rf"results/TinySTS\.json: {told}.*evaluate again"):
        load_scores(output)


def test_a_changed_score_is_not_up_to_date_and_is_scored_again(evaluated, output: Path) -> None:
    cfg, scores, _ = evaluated
    edit(output, "TinySTS", score_of(0.99))
    encoder = HashEncoder()
    again = evaluate(replace(cfg, output=str(output)), encoder)
    assert encoder.calls, "the task was scored again"
    assert {s.task: s.main_score for s in again} == {s.task: s.main_score for s in scores}
    assert read_result(output, "TinySTS").score.main_score == pytest.approx(0.918666811125975, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["scores"]["test"][0].update(main_score=0.99), r"scores has the main_score 0\.99"),
        (lambda c: c[OURS].update(metric="pearson"), r"category 'STS' has not the metric 'pearson'"),
        (lambda c: c[OURS].update(category="Poetry"), r"category 'Poetry' has not the metric"),
        (lambda c: c[OURS].update(schema=3), r"schema 3 is neither 1 nor 2"),
        (lambda c: c[OURS].update(task="TinyPairs"), r"it is the result of TinyPairs"),
        (lambda c: c[OURS]["identity"].pop("data_sha256"), r"not a complete result .*data_sha256"),
    ],
)
def test_a_field_that_contradicts_the_others_is_named(output: Path, change: Edit, told: str) -> None:
    edit(output, "TinySTS", change, forge=True)
    with pytest.raises(DataError, match=rf"results/TinySTS\.json: {told}"):
        load_scores(output)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["scores"]["test"][0].update(cosine_pearson=0.5),
        lambda c: c[OURS]["identity"].update(encoder_revision="another"),
        lambda c: c.update(evaluation_time=0.0),
    ],
)
def test_any_other_change_by_hand_shows_in_the_hash(output: Path, change: Edit) -> None:
    edit(output, "TinySTS", change)
    with pytest.raises(DataError, match=r"results/TinySTS\.json: content_sha256 is not the hash of its content"):
        load_scores(output)


def test_a_result_that_is_only_spaced_otherwise_is_the_same(output: Path) -> None:
    edit(output, "TinySTS", lambda content: None)
    assert read_result(output, "TinySTS").score.task == "TinySTS"


@pytest.mark.parametrize("value", ['"0.5"', "NaN", "true", "null"])
def test_an_item_that_is_not_a_number_is_named(output: Path, value: str) -> None:
    path = output / "items/TinySTS.json"
    items = json.loads(path.read_text())
    items["columns"]["predicted"][2] = "HERE"
    path.write_text(json.dumps(items).replace('"HERE"', value))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(output, "TinySTS", lambda content: content[OURS].update(items_sha256=sha256), forge=True)
    with pytest.raises(DataError, match=r"items/TinySTS\.json: column 'predicted', item 3: .* is not a finite number"):
        load_scores(output)


def test_results_from_before_hashes_are_checked_and_kept(evaluated, output: Path) -> None:
    cfg, scores, _ = evaluated
    for score in scores:
        as_before_hashes(output, score.task)
    encoder = HashEncoder()
    again = evaluate(replace(cfg, output=str(output)), encoder)
    assert not encoder.calls
    assert [s.main_score for s in again] == [s.main_score for s in scores]
    unlike_ones = {one.task for one, other in zip(again, scores, strict=True) if unlike(one, other)}
    assert unlike_ones == {"TinyPrompts"}, "which inputs were drawn is known of the later one alone"


def test_every_category_names_its_items_and_two_encoders_name_them_alike(evaluated, tmp_path: Path) -> None:
    cfg, scores, _ = evaluated
    others = evaluate(configured(Path(cfg.benchmark.root), tmp_path / "narrow"), HashEncoder(4))
    assert len(scores) == len(others) == 9
    for one, other in zip(scores, others, strict=True):
        assert len(one.items.ids) == len(one.items)
        assert one.items.ids == other.items.ids and unlike(one, other) is None


@pytest.mark.parametrize("alike", [False, True], ids=["other human scores", "the same human scores"])
def test_a_document_that_an_encoder_cannot_order_is_left_out_of_the_items_it_names(
    alike: bool, evaluated, tmp_path: Path, rewrite: Callable[..., None]
) -> None:
    """Its summaries differ in capitals alone, which the encoder does not see: mteb leaves the document out."""
    (whole,) = (score for score in evaluated[1] if score.task == "TinySummarization")
    root = write_benchmark(tmp_path / "benchmark")
    folder = root / "eval/Summarization/TinySummarization"
    capitals = ["wave ship", "Wave ship", "WAVE ship", "wave Ship", "wave SHIP"]
    rewrite(folder, "test", 2, machine_summaries=capitals)
    if alike:
        for row in range(8):
            rewrite(folder, "test", row, relevance=[0.0, 1.0, 2.0, 3.0, 4.0])
    cfg = configured(root, tmp_path / "output")
    cfg.benchmark.tasks = ["TinySummarization"]
    (score,) = evaluate(cfg, HashEncoder())
    left = [item for number, item in enumerate(whole.items.ids) if number != 2]
    assert len(score.items.ids) == len(score.items) == 7
    assert alike != (list(score.items.ids) == left)
    cfg = configured(root, tmp_path / "narrow")
    cfg.benchmark.tasks = ["TinySummarization"]
    (other,) = evaluate(cfg, HashEncoder(4))
    assert unlike(score, other) == ("item 1 is another" if alike else None)


def test_what_was_drawn_of_one_file_is_told_apart(evaluated, tmp_path: Path) -> None:
    """As many items of the same data, but others: only their ids show it."""
    (prompts,) = (score for score in evaluated[1] if score.task == "TinyPrompts")
    ids = (*prompts.items.ids[:4], "f" * 16, *prompts.items.ids[5:])
    other = replace(prompts, items=replace(prompts.items, ids=ids))
    assert unlike(prompts, other) == "item 5 is another"


def test_a_result_whose_tasks_folder_is_gone_is_not_counted(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path / "benchmark")
    cfg = configured(root, tmp_path / "output")
    cfg.benchmark.tasks = ["TinySTS", "TinyPairs"]
    evaluate(cfg, HashEncoder())
    assert len(completed_results(Path(cfg.output))) == 2
    shutil.rmtree(root / "eval/STS")
    cfg.benchmark.tasks = None
    for name in ("Retrieval", "Reranking", "Clustering", "Classification", "Summarization"):
        shutil.rmtree(root / "eval" / name)
    evaluate(cfg, HashEncoder())
    with pytest.raises(DataError, match=r"has results of TinySTS, which .*folder gone.*delete results/TinySTS\.json"):
        completed_results(Path(cfg.output))


def test_an_evaluation_that_lost_a_result_or_did_not_end_is_not_complete(output: Path) -> None:
    (output / "results/TinySTS.json").unlink()
    with pytest.raises(DataError, match=r"lacks the results of TinySTS"):
        completed_results(output)
    manifest = output / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("status: completed", "status: started"))
    with pytest.raises(DataError, match=r"did not end well \(started\); run the same command again"):
        completed_results(output)
