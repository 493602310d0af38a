"""Profiles that stand beside published numbers: rows, cells, verdicts, and what is told where a task has no score."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError
from one_embedder.evaluation.benchmarks import METRICS, TaskScore
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.results import IncompleteEvaluation, NotRun
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS
from one_embedder.reproduction.steps.verbs import Stages
from one_embedder.reproduction.table1.published import load_published
from one_embedder.reproduction.table1.published_models import PublishedModels, load_published_models
from one_embedder.reproduction.table1.run import reproduce

EXPECTED = PROJECT_ROOT / "experiments" / "expected"
LARGE, GTR = "hkunlp/instructor-large", "sentence-transformers/gtr-t5-large"


@pytest.fixture(scope="module")
def models() -> PublishedModels:
    """The committed file."""
    return load_published_models(EXPECTED / "published_models.yaml", load_published(EXPECTED / "paper_table2.yaml"))


@cache
def _composed(*overrides: str) -> Config:
    return load_config("reproduce", list(overrides))


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    """profile=released, with everything below the test's own folder."""
    chosen = deepcopy(_composed("profile=released"))
    chosen.paths.experiments = str(tmp_path / "experiments")
    chosen.table.bootstrap_resamples = 20
    return chosen


def categories() -> dict[str, str]:
    """Every task of the seventy -> category."""
    import yaml

    published = yaml.safe_load((EXPECTED / "published_models.yaml").read_text())["tasks"]
    return {**published, **_composed("profile=released").benchmark.folders}


def score(task: str, category: str, points: float) -> TaskScore:
    """A task with that very score."""
    return TaskScore(
        task, category, METRICS[category], points / 100, ItemScores("mean", {"value": np.full(4, points / 100)})
    )


def stages(models: PublishedModels, shift: Callable[[str, str], float | None]) -> Stages:
    """Evaluation gives what was published, moved by ``shift(model, task)`` points; None: the task fails."""

    def fail(cfg: Config) -> Path:
        raise AssertionError("nothing is built or trained")

    def evaluate(cfg: Config) -> Sequence[TaskScore]:
        model = next(m for m in models.models.values() if Path(m.name).name == Path(cfg.encoder.name_or_path).name)
        scores, failed = [], []
        for task, category in categories().items():
            published = model.scores.get(task) or model.printed.get(category, (0, 50.0))[1]
            moved = shift(model.name, task)
            if moved is None:
                failed.append(NotRun(task, category, "the hub refuses access"))
            else:
                scores.append(score(task, category, published + moved))
        scores.sort(key=lambda own: (COLUMNS.index(own.category), own.task))
        if failed:
            raise IncompleteEvaluation("some failed", scores, failed)
        return scores

    return Stages(build=fail, train=fail, evaluate=evaluate, data_identity=lambda cfg: {"benchmark": "b" * 64})


def record(cfg: Config) -> dict:
    return json.loads((Path(cfg.paths.experiments) / "own" / "table1" / f"{cfg.profile}.json").read_text())


def test_the_published_file_is_what_the_collected_facts_say(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT_ROOT / "scripts"))
    from collect_published import collect

    source = shared / "facts" / "published_mteb_scores.csv"
    assert collect(source) == (EXPECTED / "published_models.yaml").read_text(encoding="utf-8")
    del sys.modules["collect_published"]


def test_columns_of_published_tasks_are_the_paper_s_within_its_rounding(models: PublishedModels) -> None:
    table = load_published(EXPECTED / "paper_table2.yaml")
    for name, row in ((LARGE, "INSTRUCTOR"), (GTR, "GTR-Large"), ("sentence-transformers/gtr-t5-xl", "GTR-XL")):
        columns = models.models[name].columns(categories())
        for column in COLUMNS:
            assert columns[column] == pytest.approx(table.row(row).scores[column], abs=0.06), (name, column)
        assert columns[AVERAGE] == pytest.approx(table.row(row).average, abs=0.05)
    base = models.models["hkunlp/instructor-base"].columns(categories())
    assert set(COLUMNS) - set(base) == {"PromptRetrieval", "TextEvaluation"} and AVERAGE not in base


def test_the_released_model_on_its_published_numbers_is_ok_in_every_cell(
    cfg: Config, models: PublishedModels, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(cfg, stages(models, lambda model, task: 0.04)) == 0
    printed = capsys.readouterr().out
    assert "20 ok" in printed
    means = "mean of the 56 tasks with a score and a published one, INSTRUCTOR (instructor-large): "
    assert f"{means}published 61.59, obtained 61.63" in printed  # the paper prints 61.6
    for part in ("INSTRUCTOR (instructor-large), published", "backbone (gtr-t5-large), published", "table paper_large"):
        assert part in printed
    made = record(cfg)
    assert [row["id"] for row in made["rows"]] == ["backbone", "instructor"]
    assert {cell["verdict"] for cell in made["verdicts"]["cells"]} == {"ok"}
    report = (Path(cfg.paths.experiments) / "own" / "table1" / "released.md").read_text()
    gain = next(line for line in report.splitlines() if line.startswith("| relative gain, %, published"))
    assert "+18.3" in gain and "+10.0" in gain
    line = next(line for line in report.splitlines() if "(instructor-large): ArguAna |" in line)
    assert line.split("|")[3:7] == [" 57.0 ", " 57.1 ", " +0.0 ", " ok "]
    assert "self-reported HF model card" in report


def test_a_number_too_far_off_on_either_side_fails_and_says_where(
    cfg: Config, models: PublishedModels, capsys: pytest.CaptureFixture[str]
) -> None:
    better = stages(models, lambda model, task: 5.0 if (model, task) == (LARGE, "SummEval") else 0.0)
    assert reproduce(cfg, better) == 1
    off = [cell for cell in record(cfg)["verdicts"]["cells"] if cell["verdict"] == "off"]
    assert [(cell["row"], cell["column"]) for cell in off] == [("instructor", "Summarization"), ("instructor", AVERAGE)]


def test_a_task_without_a_score_leaves_its_cell_not_run_with_the_reason_and_the_others_judged(
    cfg: Config, models: PublishedModels, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = stages(models, lambda model, task: None if (model, task) == (LARGE, "FEVER") else 0.0)
    assert reproduce(cfg, broken) == 2
    printed = capsys.readouterr().out
    assert "not run, INSTRUCTOR (instructor-large): Retrieval FEVER: the hub refuses access" in printed
    verdicts = {(cell["row"], cell["column"]): cell for cell in record(cfg)["verdicts"]["cells"]}
    for column in ("Retrieval", AVERAGE):
        assert verdicts["instructor", column]["verdict"] == "not run"
        assert verdicts["instructor", column]["obtained"] is None, "a mean of fourteen is not the mean of fifteen"
        assert verdicts["backbone", column]["verdict"] == "ok"
    assert verdicts["instructor", "STS"]["verdict"] == "ok"
    report = (Path(cfg.paths.experiments) / "own" / "table1" / "released.md").read_text()
    line = next(line for line in report.splitlines() if "(instructor-large): FEVER |" in line)
    assert "not run: the hub refuses access" in line and "| not run |" in line


def test_what_copies_demonstrations_does_not_stand_beside_a_language_models_score(
    cfg: Config, models: PublishedModels, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg.prompt_retrieval.learner = "nearest"
    reproduce(cfg, stages(models, lambda model, task: 0.0))
    assert "prompt retrieval by nearest" in capsys.readouterr().out
    cells = {(cell["row"], cell["column"]): cell for cell in record(cfg)["verdicts"]["cells"]}
    assert cells["instructor", "PromptRetrieval"]["expected"] is None
    assert cells["instructor", AVERAGE]["expected"] is None


@pytest.mark.parametrize(("profile", "prefix"), [("released", "instructor"), ("paper", "gtr_t5")])
def test_the_instruction_table_follows_the_encoder_unless_another_is_named(profile: str, prefix: str) -> None:
    assert _composed(f"profile={profile}").instructions.name == "paper_large"
    assert _composed(f"profile={profile}", f"encoder={prefix}_base").instructions.name == "paper_base"
    named = _composed(f"profile={profile}", f"encoder={prefix}_xl", "instructions=unified")
    assert named.instructions.name == "unified"


def test_the_table_s_backbone_and_instructor_are_scored_with_and_without_instructions(
    cfg: Config, models: PublishedModels
) -> None:
    seen = []
    plain = stages(models, lambda model, task: 0.0)

    def evaluate(child: Config) -> Sequence[TaskScore]:
        seen.append((child.encoder.name_or_path, child.instructions.name, Path(str(child.output)).parent.name))
        return plain.evaluate(child)

    reproduce(cfg, Stages(plain.build, plain.train, evaluate, plain.data_identity))
    assert seen == [(GTR, "none", "gtr-t5-large-plain"), (LARGE, "paper_large", "instructor-large-with_instructions")]


def test_the_paper_profile_trains_gtr_with_instructions_and_is_judged_as_a_training(
    cfg: Config, models: PublishedModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, calls = stages(models, lambda model, task: 0.4 if model == LARGE else 0.0), []

    def train(child: Config) -> Path:
        calls.append(("train", child.encoder.name_or_path, child.with_instructions))
        return tmp_path / "runs" / "paper-s0"

    def evaluate(child: Config) -> Sequence[TaskScore]:
        calls.append(("evaluate", Path(child.encoder.name_or_path).name, child.instructions.name))
        if child.encoder.name_or_path == str(tmp_path / "runs" / "paper-s0" / "checkpoint"):
            child.encoder.name_or_path = LARGE
        return plain.evaluate(child)

    paper = replace(_composed("profile=paper"), paths=cfg.paths, table=cfg.table)
    work = Stages(lambda child: calls.append(("build",)), train, evaluate, plain.data_identity)
    assert reproduce(paper, work) == 0
    assert calls == [
        ("build",),
        ("evaluate", "gtr-t5-large", "none"),
        ("train", GTR, True),
        ("evaluate", "checkpoint", "paper_large"),
    ]
    printed = capsys.readouterr().out
    assert "1 trainings of 20000 steps (with instructions, seeds 0) -> 2 evaluations" in printed
    assert "INSTRUCTOR (gtr-t5-large, finetuned here), published" in printed and "20 ok" in printed


def test_an_encoder_of_which_nothing_was_published_is_refused(cfg: Config, models: PublishedModels) -> None:
    cfg.encoder.name_or_path = "minilm"
    with pytest.raises(
        ConfigError, match=r"none of encoder\.name_or_path='minilm': take one of hkunlp/instructor-base"
    ):
        reproduce(cfg, stages(models, lambda model, task: 0.0))


def test_a_folder_of_the_model_s_name_stands_for_it(models: PublishedModels) -> None:
    beside = models.beside("paper", "/models/gtr-t5-xl", backbone=None, with_language_model=True, told=["as told"])
    assert beside.models["instructor"].name == "hkunlp/instructor-xl"
    assert beside.rows[0].encoder == "/models/gtr-t5-xl"
    assert beside.tolerances == {"backbone": (0.1, 0.3), "instructor": (0.5, 1.0)}


def test_what_starts_of_k_means_do_to_a_clustering_task_is_allowed_and_less_to_their_mean(
    models: PublishedModels,
) -> None:
    beside = models.beside(
        "released", "hkunlp/instructor-large", backbone=None, with_language_model=True, told=["as told"]
    )
    assert beside.tolerance("instructor", "Clustering") == (1.5, 3.0)
    assert beside.tolerance("instructor", "Retrieval") == (0.1, 0.3)
    tasks = {task: category for task, category in categories().items() if category in ("Clustering", "STS")}
    cells = beside.expected(tasks)["instructor"]
    assert (cells["Clustering"].ok, cells["Clustering"].near) == pytest.approx((1.5 / 11**0.5, 3 / 11**0.5))
    assert (cells["STS"].ok, cells["STS"].near) == (0.1, 0.3)


def test_a_share_is_scored_without_a_table_and_only_where_nothing_is_trained(
    cfg: Config, models: PublishedModels, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg.benchmark.shares, cfg.benchmark.share = 4, 1
    assert reproduce(cfg, stages(models, lambda model, task: 0.0)) == 0
    assert "share 1 of 4 is scored" in capsys.readouterr().out
    assert not (Path(cfg.paths.experiments) / "own" / "table1").exists()
    cfg.profile, cfg.encoder.name_or_path = "paper", GTR
    with pytest.raises(ConfigError, match="profile=paper trains"):
        reproduce(cfg, stages(models, lambda model, task: 0.0))
