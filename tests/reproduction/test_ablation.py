"""An ablation's children leave records, and the tables over them are right after any number of children."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from one_embedder.config.schema import AblationConfig, AxisConfig, ClaimConfig, Config
from one_embedder.errors import ConfigError, DataError, EvaluationError
from one_embedder.evaluation.benchmarks import TaskScore
from one_embedder.evaluation.results import write_result
from one_embedder.files.lock import LockedError
from one_embedder.reproduction.ablation.child import ablation_folder, children_folder, read_children, require_possible
from one_embedder.reproduction.ablation.plan import plan
from one_embedder.reproduction.ablation.record import AblationRecord, read_record
from one_embedder.reproduction.ablation.tabulate import ablate
from one_embedder.reproduction.statistics.contrasts import _contrast
from one_embedder.reproduction.statistics.layout import AVERAGE
from one_embedder.tracking.identity import config_hash, resolved
from one_embedder.tracking.manifest import read_manifest
from tests.evaluation.conftest import write_benchmark
from tests.locked import held
from tests.reproduction.fakes import FakeWork, make_scores

Configure = Callable[..., Config]

CHILDREN = ["backbone", "cold-s0", "cold-s1", "warm-s0", "warm-s1"]


def design() -> AblationConfig:
    """Two temperatures and two wordings; warm is better, and less so in other words."""
    return AblationConfig(
        name="toy",
        question="Is warm better?",
        seeds=[0, 1],
        axes={
            "temperature": AxisConfig(
                label="temperature of the loss",
                levels={"cold": {"loss.temperature": 0.01}, "warm": {"loss.temperature": 0.1}},
            ),
            "given": AxisConfig(evaluated=True, levels={"right": {}, "wrong": {"evaluation.instructions": "wrong"}}),
        },
        references={"backbone": {"with_instructions": False}},
        claims={
            "warm_is_better": ClaimConfig(
                text="Warm is better than cold.",
                source="ours",
                plus=[{"temperature": "warm", "given": "right"}],
                minus=[{"temperature": "cold", "given": "right"}],
            ),
            "cold_beats_backbone": ClaimConfig(
                text="Cold is better than the backbone.",
                source="ours",
                plus=[{"temperature": "cold", "given": "right"}],
                minus=[{"reference": "backbone"}],
            ),
            "warm_is_robust": ClaimConfig(
                text="Warm has the smaller gap.",
                source="ours",
                gap_over="given",
                plus=[{"temperature": "cold"}],
                minus=[{"temperature": "warm"}],
            ),
        },
    )


@dataclass
class AblationWork(FakeWork):
    """Runs named after their settings, and results on disk, as the real stages leave them."""

    broken: set[str] = field(default_factory=set)
    learned: dict[str, float] = field(default_factory=dict)

    def train(self, cfg: Config) -> Path:
        self.calls.append(("train", cfg))
        if f"{cfg.loss.temperature}-s{cfg.seed}" in self.broken:
            raise EvaluationError("the loss is not finite")
        run = f"run-s{cfg.seed}-{config_hash(cfg, ['loss', 'with_instructions', 'encoder'])[:6]}"
        self.learned[run] = (0.65 if cfg.loss.temperature == 0.1 else 0.5) + 0.01 * cfg.seed
        return Path(cfg.paths.experiments) / "runs" / run

    def evaluate(self, cfg: Config) -> list[TaskScore]:
        self.calls.append(("evaluate", cfg))
        model = Path(cfg.encoder.name_or_path).parent.name
        quality = self.learned.get(model, 0.45) - (0.03 if cfg.evaluation.instructions == "wrong" else 0.0)
        scores = make_scores(quality, tasks_per_category=1)
        for score in scores:
            write_result(Path(str(cfg.output)), {}, score, {"encoder_revision": model, "data_sha256": "b" * 64})
        return scores


@pytest.fixture
def work() -> AblationWork:
    return AblationWork()


@pytest.fixture
def cfg(configure: Configure) -> Config:
    cfg = configure("table.bootstrap_resamples=199")
    cfg.ablation = design()
    cfg.prompt_retrieval.tasks = {}  # of no use here, and slow to hash
    cfg.instructions.table = {"STS0": {"text": "Represent the toy sentence: "}}
    return cfg


def run(cfg: Config, work: AblationWork, *names: str) -> None:
    for name in names or CHILDREN:
        cfg.ablation.child = name
        assert ablate(cfg, work.stages) == 0
    cfg.ablation.child = None


def folder(tmp_path: Path) -> Path:
    return tmp_path / "experiments" / "own" / "ablations" / "toy"


def record(tmp_path: Path) -> AblationRecord:
    return read_record(folder(tmp_path) / "documentation.json")


def test_a_complete_ablation_gives_every_cell_every_run_and_decided_claims(
    cfg: Config, work: AblationWork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(cfg, work)
    assert ablate(cfg, work.stages) == 0
    found = record(tmp_path)
    assert found.is_complete
    assert [cell.id for cell in found.cells] == ["backbone", "cold+right", "cold+wrong", "warm+right", "warm+wrong"]
    warm = found.cell("warm+right")
    assert (list(warm.seeds), warm.levels) == ([0, 1], {"temperature": "warm", "given": "right"})
    assert len(set(warm.runs)) == 2 and warm.runs == found.cell("warm+wrong").runs, "one training, scored twice"
    assert 0 < warm.intervals[AVERAGE].low < warm.scores[AVERAGE] < warm.intervals[AVERAGE].high < 1
    assert found.provenance["data"] == work.data
    verdicts = {claim.id: claim.verdict for claim in found.claims}
    assert verdicts["warm_is_better"] == verdicts["cold_beats_backbone"] == "supported"
    best = found.claims[0]
    assert best.difference is not None and best.difference.estimate > 0.05
    assert best.p_adjusted is not None and best.p_value is not None and best.p_adjusted >= best.p_value
    assert (best.tasks_won, best.tasks_total) == (9, 9)
    assert "Warm is better than cold." in capsys.readouterr().out


def test_a_gap_is_taken_in_each_resample_by_itself() -> None:
    samples = {"one": np.array([1.0, 5.0]), "other": np.array([3.0, 2.0]), "alone": np.array([0.5, 0.25])}
    assert _contrast([["one", "other"]], [["alone"]], samples.__getitem__).tolist() == [1.5, 2.75]


def test_a_gap_is_decided_by_the_bootstrap_over_its_levels(cfg: Config, work: AblationWork, tmp_path: Path) -> None:
    run(cfg, work)
    ablate(cfg, work.stages)
    gap = record(tmp_path).claims[2]
    assert gap.plus == ["cold"] and gap.minus == ["warm"]
    assert gap.difference is not None and gap.p_value is not None


def test_the_csv_has_a_row_for_each_run_and_variant_in_points(cfg: Config, work: AblationWork, tmp_path: Path) -> None:
    run(cfg, work)
    ablate(cfg, work.stages)
    with (folder(tmp_path) / "documentation.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["temperature"], row["given"], row["seed"]) for row in rows[:3]] == [
        ("", "", ""),
        ("cold", "right", "0"),
        ("cold", "right", "1"),
    ]
    assert len(rows) == 1 + 2 * 2 * 2
    assert all(1 < float(row[AVERAGE]) <= 100 for row in rows)
    markdown = (folder(tmp_path) / "documentation.md").read_text()
    assert (
        "| cold, right | 0, 1 |" in markdown
        and "**supported (2 seeds, 600 steps)**: Warm is better than cold. (ours)" in markdown
    )


def test_each_child_is_trained_once_and_scored_as_its_levels_say(cfg: Config, work: AblationWork) -> None:
    run(cfg, work, "warm-s1", "backbone")
    assert [(c.loss.temperature, c.seed, c.output) for name, c in work.calls if name == "train"] == [(0.1, 1, None)]
    right, wrong, backbone = [c for name, c in work.calls if name == "evaluate"]
    assert (right.evaluation.instructions, wrong.evaluation.instructions) == ("right", "wrong")
    assert right.instructions.table and not backbone.instructions.table
    assert {c.seed for c in (right, wrong, backbone)} == {0}, "evaluation must draw alike for every child"
    assert Path(str(right.output)).name == "documentation_test", "where Table 1 scores the same model"
    assert len({right.output, wrong.output, backbone.output}) == 3


def test_a_child_leaves_a_run_record_with_its_levels_seed_and_scores(
    cfg: Config, work: AblationWork, tmp_path: Path
) -> None:
    run(cfg, work, "cold-s1")
    manifest = read_manifest(folder(tmp_path) / "documentation" / "cold-s1")
    assert (manifest["run_id"], manifest["status"]) == ("toy-cold-s1", "completed")
    assert {item["name"]: item["sha256"] for item in manifest["data"]} == work.data
    metrics = manifest["outcome"]["metrics"]
    assert (metrics["levels"], metrics["seed"]) == ({"temperature": "cold"}, 1)
    assert [evaluation["levels"]["given"] for evaluation in metrics["evaluations"]] == ["right", "wrong"]
    scored = {score.task for score in make_scores(0.5, tasks_per_category=1)}
    assert set(metrics["evaluations"][0]["tasks"]) == scored


def test_missing_children_are_named_with_the_reason_and_the_rest_is_tabulated(
    cfg: Config, work: AblationWork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work.broken = {"0.01-s0"}
    with pytest.raises(EvaluationError):
        run(cfg, work, "cold-s0")
    run(cfg, work, "backbone", "warm-s0", "warm-s1")
    assert ablate(cfg, work.stages) == 2
    printed = capsys.readouterr().out
    assert "missing: cold-s0 failed (EvaluationError: the loss is not finite)" in printed
    assert "missing: cold-s1 has not run" in printed and "make ablation-toy" in printed
    found = record(tmp_path)
    assert list(found.missing) == ["cold-s0", "cold-s1"]
    assert [cell.id for cell in found.cells] == ["backbone", "warm+right", "warm+wrong"]
    assert {claim.verdict for claim in found.claims} == {"missing"}
    work.broken = set()
    run(cfg, work, "cold-s0", "cold-s1")
    assert ablate(cfg, work.stages) == 0 and record(tmp_path).is_complete


def test_a_child_and_a_table_are_refused_while_another_process_writes_them(
    cfg: Config, work: AblationWork, tmp_path: Path
) -> None:
    with held(children_folder(cfg) / "warm-s0") as other, pytest.raises(LockedError, match=f"{other.pid} .*warm-s0"):
        run(cfg, work, "warm-s0")
    run(cfg, work, "warm-s0")
    with held(ablation_folder(cfg), cfg.profile) as other, pytest.raises(LockedError, match=f"process {other.pid} on"):
        ablate(cfg, work.stages)


def test_without_any_child_there_is_a_record_that_says_so(cfg: Config, work: AblationWork, tmp_path: Path) -> None:
    assert ablate(cfg, work.stages) == 2
    assert list(record(tmp_path).missing) == CHILDREN and record(tmp_path).cells == []
    assert not work.calls, "tables do not train"


def test_two_runs_with_one_id_are_refused_with_both_places(cfg: Config, work: AblationWork, tmp_path: Path) -> None:
    run(cfg, work, "cold-s0")
    place = folder(tmp_path) / "documentation"
    shutil.copytree(place / "cold-s0", place / "copy-of-it")
    with pytest.raises(DataError, match=r"copy-of-it and .*cold-s0 are two runs with the id 'cold-s0'"):
        ablate(cfg, work.stages)


def test_runs_on_different_data_are_refused_with_the_data_of_each(cfg: Config, work: AblationWork) -> None:
    run(cfg, work, "cold-s0", "warm-s0")
    work.data["medi"] = "c" * 64
    run(cfg, work, "warm-s1")
    with pytest.raises(DataError, match=r"different data.*medi aaaaaaaa.*cold-s0.*medi cccccccc.*: warm-s1"):
        ablate(cfg, work.stages)
    run(cfg, work, "cold-s0", "warm-s0")
    assert ablate(cfg, work.stages) == 2, "the remedy: now they belong together"


def test_runs_with_different_settings_beside_their_levels_are_refused(cfg: Config, work: AblationWork) -> None:
    run(cfg, work, "cold-s0")
    cfg.trainer.max_steps += 1
    run(cfg, work, "warm-s0")
    with pytest.raises(DataError, match=r"different settings.*cold-s0.*warm-s0"):
        ablate(cfg, work.stages)


def test_results_that_others_have_replaced_are_refused(cfg: Config, work: AblationWork, tmp_path: Path) -> None:
    run(cfg, work, "cold-s0", "cold-s1")
    found = read_children(folder(tmp_path) / "documentation")[0]
    place = Path(found.metrics["evaluations"][0]["results"])
    for score in make_scores(0.3, tasks_per_category=1):
        write_result(place, {}, score, {"encoder_revision": "another", "data_sha256": "b" * 64})
    with pytest.raises(DataError, match=r"does not hold the results that .* tells of: run the child cold-s0 again"):
        ablate(cfg, work.stages)


@pytest.mark.parametrize("content", ["", "schema: 1\nstatus: completed\nrun_id: toy-cold-s0\n"])
def test_a_damaged_record_of_a_child_names_itself(
    cfg: Config, work: AblationWork, tmp_path: Path, content: str
) -> None:
    run(cfg, work, "cold-s0")
    (folder(tmp_path) / "documentation" / "cold-s0" / "manifest.yaml").write_text(content)
    with pytest.raises(DataError, match=r"cold-s0.*manifest\.yaml"):
        ablate(cfg, work.stages)


def test_a_child_that_does_not_exist_is_answered_with_those_that_do(cfg: Config, work: AblationWork) -> None:
    with pytest.raises(ConfigError, match=r"one of backbone, cold-s0, .*did you mean 'warm-s"):
        run(cfg, work, "warm-s9")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"loss.temprature": 1}, "loss.temprature"), ({"loss.temperature": 0}, "loss.temperature=0")],
)
def test_settings_of_any_level_are_checked_before_the_first_child_runs(
    cfg: Config, work: AblationWork, settings: dict[str, float], message: str
) -> None:
    cfg.ablation.axes["temperature"].levels["warm"] = settings
    with pytest.raises(ConfigError, match=message):
        run(cfg, work, "cold-s0")
    assert not work.calls


def trained(**changes: Any) -> dict[str, Any]:
    """The record of a completed training."""
    facts = {"schema": 1, "run_id": "earlier", "status": "completed", "name": "train", "code": {"commit": "c"}}
    return {**facts, "data": [], "model": {"base": "minilm"}, "cost": {"wall_s": 60.0, "steps": 200}, **changes}


def test_the_plan_counts_what_is_left_and_goes_by_earlier_runs(cfg: Config, work: AblationWork, tmp_path: Path) -> None:
    told = plan(cfg)
    assert "4 trainings of 600 steps (seeds 0, 1), 0 of them found; 9 evaluations to do; 0 of 5" in told
    assert "there is no earlier run" in told
    manifest = tmp_path / "experiments" / "runs" / "earlier" / "manifest.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(yaml.safe_dump(trained()))
    results = tmp_path / "experiments" / "results" / "earlier" / "documentation_test" / "results"
    results.mkdir(parents=True)
    for task, seconds in (("Cheap", 20.0), ("Dear", 40.0)):
        (results / f"{task}.json").write_text(json.dumps({"evaluation_time": seconds}))
    assert "12 minutes of training and 9 of evaluation" in plan(cfg)
    cfg.benchmark.tasks = ["Cheap"]
    assert "and 3 of evaluation" in plan(cfg)
    cfg.benchmark.tasks = None
    run(cfg, work, "backbone", "cold-s0")
    assert "6 evaluations to do; 2 of 5" in plan(cfg)
    for place in read_children(folder(tmp_path) / "documentation")[0].metrics["evaluations"]:
        shutil.rmtree(place["results"])
    assert "1 of 5" in plan(cfg)  # as in a fresh clone, which has records without results


def test_the_plan_counts_neither_trainings_nor_results_that_something_else_has_made(
    cfg: Config, tmp_path: Path
) -> None:
    cfg.medi.folder = str(tmp_path / "data")
    cfg.benchmark.tasks = ["Cheap", "Dear"]
    data = tmp_path / "data" / "medi" / "manifest.json"
    data.parent.mkdir(parents=True)
    data.write_text(json.dumps({"sha256": "abc"}))
    made = tmp_path / "experiments" / "runs" / "made_for_table1"
    made.mkdir(parents=True)
    (made / "config.yaml").write_text(yaml.safe_dump(resolved(require_possible(cfg)["cold-s0"])))
    (made / "manifest.yaml").write_text(yaml.safe_dump(trained(data=[{"sha256": "abc"}])))
    assert "4 trainings of 600 steps (seeds 0, 1), 1 of them found; 9 evaluations to do" in plan(cfg)

    results = tmp_path / "experiments" / "results" / made.name / "documentation_test" / "results"
    results.mkdir(parents=True)
    (results / "Cheap.json").write_text("{}")
    assert "9 evaluations to do" in plan(cfg)  # one task of two
    (results / "Dear.json").write_text("{}")
    assert "8 evaluations to do" in plan(cfg)  # of the right instructions; the wrong ones were never given
    shutil.copytree(results.parents[1], results.parents[2] / "minilm-plain")
    assert "7 evaluations to do; 0 of 5" in plan(cfg)


def test_a_recorded_ablation_is_not_replaced_by_a_smaller_one(cfg: Config, work: AblationWork, tmp_path: Path) -> None:
    cfg.table.record = True
    run(cfg, work)
    assert ablate(cfg, work.stages) == 0
    path = tmp_path / "experiments" / "ablations" / "toy" / "documentation.json"
    before, done = path.read_text(), len(work.calls)
    cfg.ablation.seeds = [0]
    with pytest.raises(DataError, match=r"toy/documentation\.json: not recorded anew.*1 seeds where it has 2"):
        run(cfg, work, "cold-s0")
    cfg.ablation.seeds, cfg.trainer.max_steps = [0, 1], 4
    with pytest.raises(DataError, match="4 steps where it has 600"):
        run(cfg, work, "cold-s0")
    assert len(work.calls) == done, "told before any work"
    cfg.trainer.max_steps, cfg.ablation.child = 600, None
    shutil.rmtree(path.parent / "documentation" / "warm-s1")
    with pytest.raises(DataError, match="5 runs where it has 9"):
        ablate(cfg, work.stages)
    assert path.read_text() == before


def test_an_ablation_whose_claims_need_tasks_that_are_left_out_is_refused_before_its_first_training(
    cfg: Config, work: AblationWork
) -> None:
    cfg.benchmark.tasks = ["TinySTS", "TinyPairs"]
    write_benchmark(Path(cfg.benchmark.root))
    with pytest.raises(ConfigError, match=r"benchmark\.tasks=.* leaves out Retrieval"):
        run(cfg, work, "cold-s0")
    assert "train" not in [name for name, _ in work.calls]


def test_claims_that_no_task_decides_end_with_an_exit_code(
    cfg: Config, work: AblationWork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_scores

    def part(*arguments: Any, **named: Any) -> list[TaskScore]:
        return [score for score in whole(*arguments, **named) if score.category != "STS"]

    monkeypatch.setattr("tests.reproduction.test_ablation.make_scores", part)
    run(cfg, work)
    assert ablate(cfg, work.stages) == 2
    assert record(tmp_path).is_complete and {claim.verdict for claim in record(tmp_path).claims} == {"missing"}
