from __future__ import annotations

import dataclasses
import os
import random
import signal
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, Trainer
from safetensors.torch import load_file

from one_embedder import train as verb
from one_embedder.config.schema import Config
from one_embedder.encoder.checkpoint import load_encoder, weights_sha256
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.benchmarks import overall_mean
from one_embedder.evaluation.run import evaluate
from one_embedder.tracking.manifest import read_manifest
from one_embedder.training import early_stopping
from one_embedder.training import run as run_module
from one_embedder.training.outcome import BEST, CHECKPOINT
from one_embedder.training.run import train
from one_embedder.training.trainer import build_trainer
from tests.evaluation.conftest import write_benchmark
from tests.training.tiny import tiny_config


class Scripted:
    """Gives the scores of a list, one an evaluation by its step, and disturbs all that an evaluation may disturb."""

    identity = "scripted"

    def __init__(self, scores: Sequence[float], every: int = 2) -> None:
        self.scores = {every * (number + 1): score for number, score in enumerate(scores)}
        self.weights: dict[int, str] = {}

    def __call__(self, encoder: InstructionEncoder, output: Path) -> float:
        step = int(output.name.removeprefix("step-"))
        encoder.eval()
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        self.weights[step] = weights_sha256(encoder)
        return self.scores[step]


class PressCtrlC(Callback):
    """At a step, before any other callback."""

    def __init__(self, step: int | None) -> None:
        self.step, self.batches = step, 0

    def on_train_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        self.batches += 1
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def install(monkeypatch: pytest.MonkeyPatch, step: int | None) -> PressCtrlC:
    callback = PressCtrlC(step)

    def build(cfg: Config, folder: Path, *, callbacks: Any) -> Trainer:
        return build_trainer(cfg, folder, callbacks=[callback, *callbacks])

    monkeypatch.setattr(run_module, "build_trainer", build)
    return callback


def saved(folder: Path, name: str = CHECKPOINT) -> str:
    return weights_sha256(load_encoder(folder / name))


@pytest.fixture
def cfg(workplace: Path, encoder_folder: Path) -> Config:
    """Evaluated every 2 of 12 steps, ended after 2 evaluations without a better score."""
    cfg = tiny_config(workplace, encoder_folder)
    cfg.trainer.early_stopping.every_n_steps = 2
    cfg.trainer.early_stopping.patience = 2
    return cfg


def without(cfg: Config) -> Config:
    trainer = dataclasses.replace(cfg.trainer, early_stopping=type(cfg.trainer.early_stopping)())
    return dataclasses.replace(cfg, trainer=trainer)


def test_training_ends_when_nothing_gets_better_and_keeps_the_best_and_the_last(cfg: Config) -> None:
    dev = Scripted([0.1, 0.3, 0.3, 0.2])
    folder = train(cfg, dev)
    assert sorted(dev.weights) == [2, 4, 6, 8]
    assert saved(folder, BEST) == dev.weights[4] != saved(folder) == dev.weights[8]
    manifest = read_manifest(folder)
    assert manifest["status"] == "completed" and manifest["cost"]["steps"] == 8
    assert manifest["outcome"]["metrics"]["best_dev_score"] == 0.3
    assert manifest["outcome"]["metrics"]["best_step"] == 4
    assert "4 of 12 at" in (folder / BEST / "README.md").read_text()
    assert "8 of 12 at" in (folder / CHECKPOINT / "README.md").read_text()


def test_without_patience_the_run_is_whole_and_its_last_step_is_scored_too(cfg: Config) -> None:
    cfg.trainer.max_steps = 5
    cfg.trainer.early_stopping.patience = None
    dev = Scripted([0.5, 0.4])
    dev.scores[5] = 0.6
    folder = train(cfg, dev)
    assert sorted(dev.weights) == [2, 4, 5]
    assert saved(folder, BEST) == saved(folder) == dev.weights[5]


@pytest.mark.parametrize("frozen_layers", [0, 1])
def test_training_is_the_same_bit_for_bit_with_and_without_evaluations(cfg: Config, frozen_layers: int) -> None:
    cfg.optimizer.frozen_layers = frozen_layers
    watched = saved(train(cfg, Scripted([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])))
    assert watched == saved(train(without(cfg)))


@pytest.mark.parametrize("guard", ["_generators_put_back", "_modes_put_back"])
def test_each_guard_is_needed_for_that(cfg: Config, monkeypatch: pytest.MonkeyPatch, guard: str) -> None:
    plain = saved(train(without(cfg)))
    monkeypatch.setattr(early_stopping, guard, lambda *_: nullcontext())
    assert saved(train(cfg, Scripted([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))) != plain


@pytest.mark.parametrize("step", [3, 6, 7])
def test_a_run_interrupted_anywhere_stops_where_the_straight_one_does_with_the_same_best(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    scores = [0.1, 0.3, 0.2, 0.3]
    straight = train(dataclasses.replace(cfg, output=f"{cfg.paths.experiments}/straight"), Scripted(scores))
    install(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        train(cfg, Scripted(scores))
    install(monkeypatch, None)
    resumed = train(cfg, dev := Scripted(scores))
    assert sorted(dev.weights) == [evaluated for evaluated in (2, 4, 6, 8) if evaluated > step]
    for name in (CHECKPOINT, BEST):
        assert saved(resumed, name) == saved(straight, name)
    metrics = [read_manifest(folder)["outcome"]["metrics"] for folder in (straight, resumed)]
    assert [found["best_step"] for found in metrics] == [4, 4]
    assert [read_manifest(folder)["cost"]["steps"] for folder in (straight, resumed)] == [8, 8]


def test_a_run_cut_off_after_its_deciding_evaluation_trains_no_further(
    cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, 8)
    with pytest.raises(KeyboardInterrupt):
        train(cfg, dev := Scripted([0.1, 0.3, 0.2, 0.1]))
    again = install(monkeypatch, None)
    folder = train(cfg, Scripted([]))
    assert again.batches == 0
    assert saved(folder) == dev.weights[8] and saved(folder, BEST) == dev.weights[4]


def test_what_is_watched_is_part_of_the_runs_id_and_where_it_lies_is_not(cfg: Config) -> None:
    def identity(cfg: Config, dev: Scripted | None = None) -> str:
        return run_module._open(cfg, dev).identity

    known, dev, other = identity(cfg, Scripted([])), Scripted([]), Scripted([])
    cfg.trainer.early_stopping.root = "/elsewhere"
    assert identity(cfg, dev) == known != identity(without(cfg))
    other.identity = "other"
    assert identity(cfg, other) != known
    cfg.trainer.early_stopping.patience = 3
    assert identity(cfg, dev) != known


def test_a_caller_that_gives_no_score_is_told(cfg: Config) -> None:
    with pytest.raises(ConfigError, match="without a dev score"):
        train(cfg)


@pytest.fixture
def dev_root(cfg: Config, tmp_path: Path) -> Path:
    """Classification draws from the global generators, which mteb seeds; STS does not."""
    cfg.trainer.early_stopping.root = str(write_benchmark(tmp_path / "benchmark"))
    cfg.trainer.early_stopping.tasks = ["TinyClassification", "TinySTS"]
    cfg.trainer.early_stopping.patience = None
    return tmp_path / "benchmark"


def test_the_verb_watches_a_benchmark_folder_and_changes_nothing_by_it(cfg: Config, dev_root: Path) -> None:
    cfg.trainer.early_stopping.every_n_steps = 6
    plain = load_file(train(without(cfg)) / CHECKPOINT / "model.safetensors")
    verb.work(cfg)
    runs = Path(cfg.paths.experiments) / "runs"
    (folder,) = (path for path in runs.iterdir() if (path / BEST).exists())
    watched = load_file(folder / CHECKPOINT / "model.safetensors")
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
    assert sorted(path.name for path in (folder / "dev").iterdir()) == ["step-12", "step-6"]
    scored = dataclasses.replace(cfg, encoder=dataclasses.replace(cfg.encoder, name_or_path=str(folder / BEST)))
    scored.benchmark.root, scored.benchmark.tasks = str(dev_root), cfg.trainer.early_stopping.tasks
    best = read_manifest(folder)["outcome"]["metrics"]["best_dev_score"]
    assert best == pytest.approx(overall_mean(evaluate(scored)), abs=1e-6)
    assert "dev_score" in (folder / "metrics.csv").read_text().splitlines()[0]


def test_a_missing_dev_benchmark_is_told_before_anything_is_trained(cfg: Config, tmp_path: Path) -> None:
    cfg.trainer.early_stopping.root = str(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"early_stopping\.root: .*nowhere"):
        verb.work(cfg)
    assert not (Path(cfg.paths.experiments) / "runs").exists()
