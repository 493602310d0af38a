"""Tasks of mteb's registry: loaded from a stand-in hub in the real formats, scored by the paper's protocol."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mteb._evaluators.retrieval_metrics import max_over_subqueries
from scipy.stats import spearmanr

from one_embedder.config.compose import load_config
from one_embedder.config.schema import BenchmarkConfig, Config, TaskFolderConfig
from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.benchmarks import (
    AGGREGATES,
    CATEGORIES,
    METRICS,
    TaskScore,
    category_means,
    combine_not_run,
    combine_parts,
    load_scores,
)
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.results import IncompleteEvaluation, NotRun
from one_embedder.evaluation.run import evaluate
from one_embedder.evaluation.tasks.chosen import select_tasks, share_of
from one_embedder.evaluation.tasks.estimate import estimate, size_of, sizes
from one_embedder.evaluation.tasks.itemized import ItemizedReranking
from one_embedder.evaluation.tasks.registry import hub_tasks, open_hub_task
from tests.evaluation.hub_benchmark import BENCHMARK, TASKS, serve_benchmark, tiny_tasks
from tests.hub import StandInHub


@pytest.fixture
def hub_cfg(hub: StandInHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """One task a category from the hub, results below the test's own folder."""
    serve_benchmark(hub, tmp_path / "hub", monkeypatch)
    return Config(benchmark=BenchmarkConfig(mteb=BENCHMARK, tasks=list(TASKS)), output=str(tmp_path / "results"))


def test_the_benchmark_has_the_papers_tasks_splits_and_languages(shared: Path) -> None:
    from mteb import get_benchmark

    lines = [line.split("\t") for line in (shared / "facts/mteb_eng_v1_tasks.txt").read_text().splitlines()]
    tasks = {task.metadata.name: task for task in get_benchmark(BENCHMARK).tasks}
    assert {name: (category, split) for category, name, split, *_ in lines} == {
        name: (task.metadata.type, task.eval_splits[0]) for name, task in tasks.items()
    }
    found = hub_tasks(BENCHMARK)
    assert len(found) == 55 + 12 and len({task.name for task in found}) == len(found)
    subsets = {name: task.hf_subsets for name, task in tasks.items() if not task.is_aggregate}
    assert all(len(subset) == 1 for subset in subsets.values())
    assert (subsets["STS17"], subsets["STS22"], subsets["MTOPIntentClassification"]) == (["en-en"], ["en"], ["en"])


def test_the_paper_s_seventy_tasks_are_one_benchmark() -> None:
    chosen = load_config("evaluate", ["benchmark=table1_70"]).benchmark
    found = select_tasks(chosen)
    assert len(found.tasks) + len(found.absent) == 55 + 12 + 11 + 3
    assert {task.category for task in found.absent} <= {"PromptRetrieval", "TextEvaluation"}
    assert all("there is no folder" in task.reason for task in found.absent)


def test_every_category_is_scored_from_the_hub_by_the_papers_metric(hub_cfg: Config, encoder) -> None:
    scores = evaluate(hub_cfg, encoder)
    assert [score.task for score in scores] == list(TASKS)
    assert [score.category for score in scores] == list(CATEGORIES[:7])
    for score in scores:
        reported = json.loads((Path(hub_cfg.output) / "results" / f"{score.task}.json").read_text())
        (entry,) = reported["scores"]["test"]
        assert entry["main_score"] == entry[METRICS[score.category]] == score.main_score
        assert score.items.score() == pytest.approx(score.main_score, abs=1e-6)
        assert 0 < score.main_score <= 1
        assert "@" in reported["one_embedder"]["identity"]["data_revision"]
    found = {score.task: score for score in scores}
    assert found["TwentyNewsgroupsClustering"].items.statistic == "mean"  # of the v-measures of two sets
    assert len(found["TwentyNewsgroupsClustering"].items) == 2
    rows = [row for row in tiny_tasks()["STS17"]["default", "test"] if row["lang"] == "en-en"]
    left, right = (
        encoder.encode([row[side] for row in rows], "", batch_size=8, show_progress_bar=False)
        for side in ("sentence1", "sentence2")
    )
    expected = spearmanr([row["score"] for row in rows], (left * right).sum(axis=1)).statistic
    assert found["STS17"].main_score == pytest.approx(expected, abs=1e-3)
    encoder.calls.clear()
    assert [score.main_score for score in evaluate(hub_cfg, encoder)] == [score.main_score for score in scores]
    assert not encoder.calls, "a result is found again by the revision of its data"


def test_toxic_conversations_is_scored_as_when_the_paper_s_scores_were_made(
    hub: StandInHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder
) -> None:
    name = "ToxicConversationsClassification"
    tables = {
        ("default", split): [{"text": f"{split} {number}", "label": number % 2} for number in range(rows)]
        for split, rows in (("train", 80), ("test", 2100))
    }
    serve_benchmark(hub, tmp_path / "hub", monkeypatch, {name: tables})
    benchmark = BenchmarkConfig(mteb=BENCHMARK, tasks=[name])
    (score,) = evaluate(Config(benchmark=benchmark, output=str(tmp_path / "results")), encoder)
    assert len(score.items) == 2100, "mteb draws 2,048"
    task = next(task for task in hub_tasks(BENCHMARK) if task.name == name)
    assert open_hub_task(task).samples_per_label == 32, "16 in mteb"
    assert size_of(task).texts > 40_000
    assert "settings" in score.scored_on, "not compared with a score by mteb's settings"


def test_a_data_set_that_the_hub_refuses_is_told_and_the_others_are_scored(
    hub_cfg: Config, hub: StandInHub, encoder
) -> None:
    hub_cfg.benchmark.tasks = ["STS17", "SummEval"]
    hub.fault("mteb/summeval", status=401, error_code="GatedRepo")
    with pytest.raises(IncompleteEvaluation, match=r"1 of 2 tasks .*SummEval \(its data set mteb/summeval") as caught:
        evaluate(hub_cfg, encoder)
    assert [score.task for score in caught.value.scores] == ["STS17"]
    assert [task.task for task in caught.value.not_run] == ["SummEval"]
    hub.heal()
    assert [score.task for score in evaluate(hub_cfg, encoder)] == ["STS17", "SummEval"]


def test_a_task_that_the_benchmark_lacks_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'SciFact'"):
        select_tasks(BenchmarkConfig(name="mteb_56", mteb=BENCHMARK, tasks=["SciFakt"]))
    with pytest.raises(ConfigError, match=r"benchmark\.mteb.*Did you mean"):
        hub_tasks("MTEB(eng, v1.0)")


def test_a_task_that_is_a_folder_and_the_hubs_is_refused_and_not_counted_twice(tmp_path: Path) -> None:
    (tmp_path / "eval/STS/STS12").mkdir(parents=True)
    both = BenchmarkConfig(root=str(tmp_path), mteb=BENCHMARK, folders={"STS12": "STS"})
    with pytest.raises(ConfigError, match=r"benchmark\.folders names \['STS12'\].*benchmark\.mteb"):
        select_tasks(both)


def test_a_folder_s_setting_for_a_task_of_the_hub_is_refused_and_not_ignored() -> None:
    typed = BenchmarkConfig(mteb=BENCHMARK, protocol={"EmotionClassification": TaskFolderConfig(samples_per_label=16)})
    with pytest.raises(ConfigError, match=r"benchmark\.protocol names \['EmotionClassification'\].*only folders"):
        select_tasks(typed)


def test_an_aggregate_is_named_by_its_own_name_and_scored_by_its_parts() -> None:
    chosen = select_tasks(BenchmarkConfig(mteb=BENCHMARK, tasks=["CQADupstackRetrieval", "STS12"]))
    assert len(chosen.tasks) == 12 + 1
    with pytest.raises(ConfigError, match=r"CQADupstackRetrieval.*no task of"):
        select_tasks(BenchmarkConfig(mteb="MTEB(eng, v2)", tasks=["CQADupstackRetrieval"]))  # has two of the parts


def forum(name: str, values: list[float]) -> TaskScore:
    items = ItemScores("mean", {"value": np.array(values)})
    return TaskScore(name, "Retrieval", "ndcg_at_10", items.score(), items)


def test_an_aggregate_is_the_mean_of_its_parts_however_many_queries_each_has() -> None:
    (name, parts), other = next(iter(AGGREGATES.items())), forum("ArguAna", [0.5])
    scores = [forum(part, [0.1 * number] * (number + 1)) for number, part in enumerate(parts)]
    first, second = combine_parts([other, *scores])
    assert first is other and second.task == name and len(second.items) == sum(range(1, 13))
    assert second.main_score == second.items.score() == pytest.approx(0.1 * 5.5)
    assert category_means([first, second])["Retrieval"] == pytest.approx((0.5 + 0.55) / 2), "one task, not twelve"


def test_an_aggregate_without_one_of_its_parts_has_no_score_and_says_which() -> None:
    name, parts = next(iter(AGGREGATES.items()))
    scores, lost = [forum(part, [0.5]) for part in parts[1:]], NotRun(parts[0], "Retrieval", "HTTP 500")
    kept, told = combine_not_run([*scores, forum("ArguAna", [0.5])], [lost])
    assert [score.task for score in kept] == ["ArguAna"]
    assert told == [NotRun(name, "Retrieval", f"{parts[0]}: HTTP 500")]


def test_results_of_another_version_are_not_read_as_one_evaluation(hub_cfg: Config, encoder, monkeypatch) -> None:
    hub_cfg.benchmark.tasks = ["STS17"]
    evaluate(hub_cfg, encoder)
    monkeypatch.setattr("one_embedder.evaluation.plan.versions", lambda: {"mteb": "1.0"})
    hub_cfg.benchmark.tasks = ["SummEval"]
    evaluate(hub_cfg, encoder)
    with pytest.raises(DataError, match="results of different library versions"):
        load_scores(Path(hub_cfg.output))


def test_shares_divide_the_tasks_evenly_and_leave_none_out() -> None:
    tasks = hub_tasks(BENCHMARK)
    size = sizes(tasks)
    shares = [share_of(tasks, size, share, 6) for share in range(6)]
    assert sorted(task.name for share in shares for task in share) == sorted(task.name for task in tasks)
    loads = [sum(size[task.name] for task in share) for share in shares]
    assert max(loads) < 1.7 * sum(loads) / 6, "MSMARCO alone is a sixth"
    assert share_of(tasks[::-1], size, 0, 6)[::-1] == shares[0], "the order of the tasks does not matter"


def test_two_shares_write_into_one_place_and_the_whole_finds_their_results(hub_cfg: Config, encoder) -> None:
    hub_cfg.benchmark.shares = 2
    parts = []
    for share in range(2):
        hub_cfg.benchmark.share = share
        parts.append([score.task for score in evaluate(hub_cfg, encoder)])
    assert sorted(parts[0] + parts[1]) == sorted(TASKS) and all(parts)
    records = sorted(path.parent.name for path in Path(hub_cfg.output).glob("shares/*/manifest.yaml"))
    assert records == ["0-of-2", "1-of-2"]
    hub_cfg.benchmark.shares, hub_cfg.benchmark.share = 50, 49
    assert evaluate(hub_cfg, encoder) == [], "more shares than tasks"
    hub_cfg.benchmark.shares, hub_cfg.benchmark.share = 1, 0
    encoder.calls.clear()
    assert len(evaluate(hub_cfg, encoder)) == len(TASKS)
    assert not encoder.calls


def test_an_estimate_names_every_task_with_time_disk_and_memory(encoder) -> None:
    tasks = [task for task in hub_tasks(BENCHMARK) if task.name in ("MSMARCO", "STS17", "MindSmallReranking")]
    head, *lines = estimate(tasks, encoder, batch_size=8)
    assert [line.split()[0] for line in lines] == ["MSMARCO", "MindSmallReranking", "STS17"], "the longest first"
    assert "3 tasks" in head and "a second as just measured" in head
    assert "8,848,641 texts" in lines[0]
    assert list(estimate([], encoder, batch_size=8)) == []
    assert all(size_of(task) is not None for task in hub_tasks(BENCHMARK))


def test_queries_in_parts_count_by_their_best_similarity_as_mteb_has_it() -> None:
    rng = np.random.default_rng(2)
    qrels, results = {}, {}
    for query in range(6):
        documents = [f"d{query}_{number}" for number in range(8)]
        for part in range(3):
            qrels[f"u{query}_{part}"] = {documents[number]: int(number < 3) for number in range(8)}
            results[f"u{query}_{part}"] = dict(zip(documents, rng.random(8).tolist(), strict=True))
    whole = ItemizedReranking._of_whole_queries(ItemizedReranking, qrels, results)  # type: ignore[arg-type]
    expected = max_over_subqueries(qrels, results, ItemizedReranking.k_values)["max_over_subqueries_map_at_1000"]
    assert len(whole) == 6
    assert np.mean([query["map_cut_1000"] for query in whole.values()]) == pytest.approx(expected, abs=1e-5)
