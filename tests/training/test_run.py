from __future__ import annotations

import csv
import dataclasses
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, Trainer
from safetensors.torch import load_file

from one_embedder.config.schema import Config
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import load_encoder, weights_sha256
from one_embedder.encoder.truncation import Truncation
from one_embedder.errors import ConfigError, DataError
from one_embedder.files.lock import LockedError
from one_embedder.medi.batches.collate import ContrastiveCollator
from one_embedder.medi.store import write_medi
from one_embedder.tracking.manifest import read_manifest
from one_embedder.training import run as run_module
from one_embedder.training.callbacks import Speed
from one_embedder.training.checkpoint_io import LAST
from one_embedder.training.lineage import how_to_extend
from one_embedder.training.run import CHECKPOINT, train
from one_embedder.training.trainer import build_trainer
from tests.locked import held
from tests.medi.toy import toy_rows
from tests.training.tiny import tiny_config


class At(Callback):
    """Does something after a step, and remembers the order in which rows were read."""

    def __init__(self, step: int = -1, action: Any = None) -> None:
        self.step, self.action = step, action
        self.read: list[list[int]] = []

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.read.append(batch.query.input_ids.tolist())
        if trainer.global_step == self.step:
            self.action()


def install(monkeypatch: pytest.MonkeyPatch, callback: Callback) -> None:
    """Let the run's trainer have one more callback, first in line."""

    def build(cfg: Config, folder: Path, *, callbacks: Any) -> Trainer:
        return build_trainer(cfg, folder, callbacks=[callback, *callbacks])

    monkeypatch.setattr(run_module, "build_trainer", build)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def power_cut() -> None:
    raise SystemExit(9)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / CHECKPOINT / "model.safetensors")


@pytest.fixture
def cfg(workplace: Path, encoder_folder: Path) -> Config:
    return tiny_config(workplace, encoder_folder)


def test_a_run_leaves_checkpoint_metrics_config_and_a_completed_record(cfg: Config, encoder_folder: Path) -> None:
    folder = train(cfg)
    manifest = read_manifest(folder)
    assert folder.parent == Path(cfg.paths.experiments) / "runs" and folder.name == manifest["run_id"]
    assert manifest["status"] == "completed" and manifest["cost"]["steps"] == 12
    batch = manifest["batch"]
    assert (batch["global"], batch["per_device"], batch["mini"], batch["accumulated"]) == (4, 4, None, 1)
    assert (batch["candidates_per_query"], batch["queries_per_positive"], batch["precision"]) == (5, 4, "32-true")
    (data,) = manifest["data"]
    assert (data["rows"], data["tasks"], data["dropped_rows"]) == (33, 3, 2)
    assert np.isfinite(manifest["outcome"]["metrics"]["loss"])
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert len([row for row in rows if row["loss"]]) == 12
    assert (folder / "config.yaml").is_file() and not (folder / LAST).exists()
    trained = load_encoder(folder / CHECKPOINT)
    assert weights_sha256(trained) != weights_sha256(load_encoder(encoder_folder))
    assert InstructionEmbedder(folder / CHECKPOINT).encode(["q0_0"]).shape == (1, trained.dimension)


@pytest.mark.parametrize("stop_at", [None, 5])
def test_texts_that_the_maximum_length_cuts_are_counted_over_the_whole_run_and_told(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stop_at: int | None
) -> None:
    cfg.trainer.max_length = 6
    counts: list[Truncation] = []
    batches = ContrastiveCollator.__call__

    def collate(self: ContrastiveCollator, rows: Any) -> Any:
        batch = batches(self, rows)
        sides = [(row[f"{key}_instruction"], row[f"{key}_text"]) for row in rows for key in ("query", "pos", "neg")]
        tokenize = self.tokenizer.tokenizer
        long = [pair for pair in sides if len(tokenize((pair[0] + pair[1].strip()).strip())["input_ids"]) > 6]
        lost = [pair for pair in long if len(tokenize(pair[0].strip())["input_ids"]) >= 6]
        counts.append(Truncation(len(sides), len(long), len(lost)))
        assert batch.truncation == counts[-1]
        return batch

    monkeypatch.setattr(ContrastiveCollator, "__call__", collate)
    if stop_at is not None:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            install(patch, At(stop_at, press_ctrl_c))
            train(cfg)
        del counts[stop_at:]
    folder = train(cfg)
    total = sum(counts[:12], Truncation())
    assert 0 < total.lost <= total.cut <= total.texts == 12 * 4 * 3
    cost = read_manifest(folder)["cost"]
    assert (cost["texts"], cost["texts_cut"], cost["texts_lost"]) == (total.texts, total.cut, total.lost)
    assert caplog.text.count("in a batch of this training") == 1


def test_the_record_tells_how_the_hard_negatives_were_chosen_where_the_data_do(cfg: Config) -> None:
    (data,) = read_manifest(train(cfg))["data"]
    assert "mining" not in data
    mining = {"max_share_of_positive": 0.95, "missed": 3}
    write_medi(toy_rows({1: 20}, seed=1), Path(cfg.medi.folder) / "medi", about={"mining": mining})
    (data,) = read_manifest(train(cfg))["data"]
    assert data["mining"] == mining


def test_the_plan_is_logged_once_and_names_the_task_that_is_left_out(
    cfg: Config, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="one_embedder"):
        train(cfg)
    (plan,) = [record.message for record in caplog.records if record.message.startswith("training plan")]
    assert "5 candidates per query, 4 per positive" in plan
    assert "12 = 1.71 epochs of 7 batches" in plan
    assert [line.split()[-4:] for line in plan.splitlines() if "3 tasks" in line] == [["33", "7", "100.00%", "5"]]
    assert "task 3 (task 3) has 2 rows, fewer than a batch: left out" in caplog.text
    assert "min for the remaining" in caplog.text


def test_a_completed_run_is_returned_at_once(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train(cfg)
    monkeypatch.setattr(run_module, "build_trainer", None)
    assert train(cfg) == folder


@pytest.mark.parametrize(
    ("section", "key", "value", "told"),
    [
        ("optimizer", "frozen_layers", 9, "frozen_layers=9: this encoder has 3 layers"),
        ("trainer", "accelerator", "mps", "accelerator=mps: torch finds no such device here"),
        ("trainer", "max_length", 4000, "max_length=4000 is more than the encoder's"),
    ],
)
def test_what_the_encoder_or_the_machine_cannot_do_is_told_before_the_plan_and_the_record(
    cfg: Config, caplog: pytest.LogCaptureFixture, section: str, key: str, value: Any, told: str
) -> None:
    setattr(getattr(cfg, section), key, value)
    with caplog.at_level(logging.INFO), pytest.raises(ConfigError, match=told):
        train(cfg)
    assert "training plan" not in caplog.text
    assert not list(Path(cfg.paths.experiments).rglob("manifest.yaml"))


@pytest.mark.parametrize(("mini", "warned"), [(12, True), (11, False)])
def test_chunks_that_cut_nothing_are_a_warning_before_the_plan(
    cfg: Config, caplog: pytest.LogCaptureFixture, mini: int, warned: bool
) -> None:
    """A batch of four rows has four texts on each of three sides, which are embedded together."""
    cfg.trainer.mini_batch_size, cfg.trainer.max_steps = mini, 1
    train(cfg)
    assert (f"mini_batch_size={mini} cuts nothing (a device embeds at most 12 texts" in caplog.text) is warned


def test_of_two_identical_trainings_one_is_refused_and_writes_nothing(cfg: Config) -> None:
    cfg.output = str(Path(cfg.paths.experiments) / "same")
    with held(Path(cfg.output)) as other:
        with pytest.raises(LockedError, match=rf"process {other.pid} on .* is writing {cfg.output}"):
            train(cfg)
        assert {path.name for path in Path(cfg.output).iterdir()} == {".lock", ".holder"}
    train(cfg)
    rows = list(csv.DictReader((Path(cfg.output) / "metrics.csv").open()))
    assert [int(row["step"]) for row in rows if row["loss"]] == list(range(12))


_SECOND = """
import pickle, sys
from pathlib import Path
from one_embedder.files.lock import LockedError
from one_embedder.training.run import train
try:
    print(train(pickle.loads(Path(sys.argv[1]).read_bytes()), wait=sys.argv[2] == "True"))
except LockedError as error:
    print(error)
"""


@pytest.mark.slow
def test_of_two_trainings_at_once_the_second_is_refused_or_waits_and_takes_the_result(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cfg").write_bytes(pickle.dumps(cfg))
    seconds: list[subprocess.Popen[str]] = []

    def start() -> None:
        for wait in (False, True):
            command = [sys.executable, "-c", _SECOND, str(tmp_path / "cfg"), str(wait)]
            seconds.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        seconds[0].wait()

    install(monkeypatch, At(3, start))
    folder = train(cfg)
    refused, waited = (second.communicate()[0] for second in seconds)
    assert f"process {os.getpid()} on" in refused and f"is writing {folder};" in refused
    assert waited == f"{folder}\n"
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert [int(row["step"]) for row in rows if row["loss"]] == list(range(12))


@pytest.mark.parametrize(
    ("how", "stop_at"), [("ctrl_c", 3), ("ctrl_c", 7), ("ctrl_c", 9), ("power_cut", 7)], ids="{}".format
)
def test_an_interrupted_and_resumed_run_equals_a_straight_one_bit_for_bit(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, stop_at: int, how: str
) -> None:
    """An epoch has 7 batches: the stops are within the first, at its end and in the second."""
    straight = At()
    install(monkeypatch, straight)
    expected = weights(train(dataclasses.replace(cfg, output=f"{cfg.paths.experiments}/straight")))

    first = At(stop_at, press_ctrl_c if how == "ctrl_c" else power_cut)
    install(monkeypatch, first)
    with pytest.raises(KeyboardInterrupt if how == "ctrl_c" else SystemExit):
        train(cfg)
    (folder,) = (Path(cfg.paths.experiments) / "runs").iterdir()
    assert read_manifest(folder)["status"] == "interrupted"
    assert (folder / LAST).is_file() and not (folder / CHECKPOINT).exists()

    second = At()
    install(monkeypatch, second)
    assert train(cfg) == folder
    begun = stop_at if how == "ctrl_c" else cfg.trainer.checkpoint_every_n_steps
    assert straight.read == first.read[:begun] + second.read
    resumed = weights(folder)
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert read_manifest(folder)["status"] == "completed"


@pytest.mark.parametrize("strategy", ["uniform", "temperature", "capped", "released", "mixed"])
def test_every_strategy_resumes_in_the_middle_of_its_second_epoch_bit_for_bit(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """An epoch has 6 to 8 batches; 9 of 12 steps are done."""
    cfg.sampler.strategy = strategy
    cfg.sampler.temperature = 2.0 if strategy == "temperature" else None
    cfg.sampler.cap = 12 if strategy == "capped" else None
    straight, first, second = At(), At(9, press_ctrl_c), At()
    install(monkeypatch, straight)
    expected = weights(train(dataclasses.replace(cfg, output=f"{cfg.paths.experiments}/straight")))
    install(monkeypatch, first)
    with pytest.raises(KeyboardInterrupt):
        train(cfg)
    install(monkeypatch, second)
    resumed = weights(train(cfg))
    assert straight.read == first.read + second.read
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


def test_the_random_state_is_what_makes_the_resume_exact(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the test above against passing with dropout switched off."""
    expected = weights(train(dataclasses.replace(cfg, output=f"{cfg.paths.experiments}/straight")))
    install(monkeypatch, At(3, press_ctrl_c))
    with pytest.raises(KeyboardInterrupt):
        train(cfg)
    monkeypatch.setattr(run_module, "RandomState", Callback)
    install(monkeypatch, At())
    resumed = weights(train(cfg))
    assert any(not torch.equal(resumed[name], expected[name]) for name in expected)


def test_an_unreadable_checkpoint_is_reported_and_training_starts_over(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, At(6, press_ctrl_c))
    with pytest.raises(KeyboardInterrupt):
        train(cfg)
    (folder,) = (Path(cfg.paths.experiments) / "runs").iterdir()
    (folder / LAST).write_bytes((folder / LAST).read_bytes()[:1000])
    again = At()
    install(monkeypatch, again)
    assert train(cfg) == folder
    assert "training starts over" in caplog.text
    assert len(again.read) == 12


def test_a_failing_run_is_recorded_as_failed_and_can_be_run_again(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("disk full")

    install(monkeypatch, At(6, fail))
    with pytest.raises(OSError, match="disk full"):
        train(cfg)
    (folder,) = (Path(cfg.paths.experiments) / "runs").iterdir()
    assert read_manifest(folder)["status"] == "failed"
    monkeypatch.setattr(run_module, "build_trainer", build_trainer)
    assert read_manifest(train(cfg))["status"] == "completed"


def test_the_interrupt_handler_is_given_back(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    install(monkeypatch, At(2, press_ctrl_c))
    with pytest.raises(KeyboardInterrupt):
        train(cfg)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("tasks", "steps"), [(["task 2"], 6), (["task 1", "task 3"], 8), (None, 14)])
def test_chosen_tasks_take_the_steps_that_they_have_in_a_run_over_all(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, tasks: list[str] | None, steps: int
) -> None:
    """Task 1 fills 4 of the 7 batches of an epoch, task 2 fills 3, and task 3 none."""
    cfg.trainer.max_steps, cfg.sampler.tasks = 14, tasks
    plain = run_module._open(cfg).identity
    cfg.trainer.share_of_steps = True
    watch = At()
    install(monkeypatch, watch)
    folder = train(cfg)
    assert len(watch.read) == read_manifest(folder)["cost"]["steps"] == steps
    assert f"| steps | {steps}, these tasks' share of 14 at" in (folder / CHECKPOINT / "README.md").read_text()
    rates = [float(row["learning_rate"]) for row in csv.DictReader((folder / "metrics.csv").open()) if row["loss"]]
    assert len(rates) == steps and rates[-1] < rates[-2] < max(rates), "the schedule is as long as the run"
    assert folder.name != plain
    cfg.trainer.max_steps = 28
    assert how_to_extend(cfg, "any", "any", [folder]) is None


def test_output_that_holds_another_run_is_refused(cfg: Config, tmp_path: Path) -> None:
    cfg.output = str(tmp_path / "here")
    assert train(cfg) == tmp_path / "here"
    cfg.optimizer.learning_rate *= 2
    with pytest.raises(ConfigError, match="choose another output="):
        train(cfg)


def test_a_run_of_few_steps_has_a_metric_and_ends_with_its_place_and_the_next_command(
    cfg: Config, caplog: pytest.LogCaptureFixture
) -> None:
    cfg.trainer.max_steps, cfg.trainer.log_every_n_steps = 2, 10
    with caplog.at_level("INFO"):
        folder = train(cfg)
    loss = read_manifest(folder)["outcome"]["metrics"]["loss"]
    assert len((folder / "metrics.csv").read_text().splitlines()) == 2
    assert f"2 steps, loss {loss:.3f}: {folder / CHECKPOINT}\n" in caplog.messages[-1]
    assert caplog.messages[-1].endswith(f"compare {cfg.encoder.name_or_path} {folder / CHECKPOINT} --task FOLDER")


def test_the_run_id_follows_what_determines_the_result_and_nothing_else(cfg: Config, workplace: Path) -> None:
    def identity() -> str:
        return run_module._open(cfg).identity

    known = identity()
    cfg.trainer.log_every_n_steps = 7
    cfg.trainer.checkpoint_every_n_steps = 7
    cfg.evaluation.batch_size = 3
    cfg.output = str(workplace / "elsewhere")
    assert identity() == known
    cfg.seed = 1
    seeded = identity()
    cfg.with_instructions = False
    plain = identity()
    write_medi(toy_rows({1: 17, 2: 14}), workplace / "data" / "medi", about={})
    assert len({known, seeded, plain, identity()}) == 4


def test_instructions_change_what_is_learned_and_another_seed_too(cfg: Config) -> None:
    cfg.trainer.max_steps = 3
    runs = [weights(train(cfg))]
    for change in ({"with_instructions": False}, {"seed": 1}):
        runs.append(weights(train(dataclasses.replace(cfg, **change))))
    name = next(iter(runs[0]))
    assert not torch.equal(runs[0][name], runs[1][name])
    assert not torch.equal(runs[0][name], runs[2][name])


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("trainer", "max_steps", 0),
        ("trainer", "log_every_n_steps", 0),
        ("trainer", "checkpoint_every_n_steps", 0),
        ("trainer", "max_length", 64),
        ("trainer", "backbone_share", 1.0),
        ("schedule", "warmup_ratio", 1.5),
        ("schedule", "warmup_ratio", -0.1),
        ("optimizer", "layer_decay", 0.0),
        ("loss", "temperature", 0.0),
        ("loss", "spelling", "mine"),
    ],
)
def test_values_out_of_range_name_their_key(cfg: Config, section: str, key: str, value: Any) -> None:
    setattr(getattr(cfg, section), key, value)
    with pytest.raises(ConfigError, match=rf"{section}\.{key}"):
        train(cfg)


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("accelerator", ["gpu", "mps"])
def test_an_accelerator_that_is_not_here_is_told_before_there_is_a_record(cfg: Config, accelerator: str) -> None:
    cfg.trainer.accelerator = accelerator
    with pytest.raises(ConfigError, match=f"trainer.accelerator={accelerator}: torch finds no such device here"):
        train(cfg)
    assert not Path(cfg.paths.experiments).exists()


def test_what_lightning_refuses_is_told_without_a_traceback(cfg: Config) -> None:
    cfg.trainer.strategy = "fsdp"
    with pytest.raises(ConfigError, match=r"trainer: .* requires a GPU accelerator"):
        train(cfg)


def test_a_finished_run_is_found_where_its_accelerator_is_not(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the login node of a cluster."""
    folder = train(cfg)

    def refuse(accelerator: str) -> None:
        raise ConfigError(accelerator)

    monkeypatch.setattr(run_module, "require_accelerator", refuse)
    assert train(cfg) == folder
    with pytest.raises(ConfigError):
        train(dataclasses.replace(cfg, seed=1))


def test_a_finished_run_without_its_checkpoint_is_trained_again(cfg: Config) -> None:
    folder = train(cfg)
    before = weights(folder)
    shutil.rmtree(folder / CHECKPOINT)
    assert train(cfg) == folder
    after = weights(folder)
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_what_comes_after_the_last_step_does_not_lower_the_speed() -> None:
    speed, trainer = Speed(), cast(Trainer, SimpleNamespace(global_step=0))
    speed.on_train_start(trainer, cast(Any, None))
    speed.tokens = 100
    speed.on_train_end(trainer, cast(Any, None))
    rate = speed.tokens_per_s
    time.sleep(0.01)
    assert speed.tokens_per_s == rate > 0


def test_several_processes_train_only_where_nothing_comes_after(cfg: Config) -> None:
    """Each of them would go on with what does."""
    cfg.trainer.devices = 2
    with pytest.raises(ConfigError, match=r"trainer\.devices=2 .* one_embedder\.train with_instructions=true seed=0 "):
        train(cfg, wait=True)


def test_missing_training_data_says_what_to_run(cfg: Config, tmp_path: Path) -> None:
    cfg.medi.folder = str(tmp_path / "nowhere")
    with pytest.raises(DataError, match="run build_medi"):
        train(cfg)
