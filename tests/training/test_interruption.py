"""Signals that ask a training to end: saved first, and exact afterwards."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from safetensors.torch import load_file

from one_embedder.config.schema import Config
from one_embedder.interruption import EXIT_TERMINATED, Terminated
from one_embedder.tracking.manifest import METRICS, read_manifest
from one_embedder.training import run as run_module
from one_embedder.training.checkpoint_io import LAST
from one_embedder.training.curves import TASK_LOSSES
from one_embedder.training.run import CHECKPOINT, train
from one_embedder.training.trainer import build_trainer
from tests.training.tiny import tiny_config

STOP = 7


class Send(Callback):
    """Sends signals to this process after a batch; ``read`` is what was trained on."""

    def __init__(self, batch: int = -1, *numbers: int) -> None:
        self.batch, self.numbers = batch, numbers
        self.read: list[list[int]] = []

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.read.append(batch.query.input_ids.tolist())
        if len(self.read) == self.batch:
            for number in self.numbers:
                signal.raise_signal(number)  # os.kill may reach another thread, and two of a kind be taken for one


def run(cfg: Config, monkeypatch: pytest.MonkeyPatch, callback: Callback) -> Path:
    """Train with one more callback, first in line."""

    def build(cfg: Config, folder: Path, *, callbacks: Any) -> Trainer:
        return build_trainer(cfg, folder, callbacks=[callback, *callbacks])

    monkeypatch.setattr(run_module, "build_trainer", build)
    return train(cfg)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / CHECKPOINT / "model.safetensors")


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@contextmanager
def handled(number: signal.Signals, handler: Any) -> Iterator[None]:
    """Another handler of this process, as submitit has."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def begun(cfg: Config) -> Path:
    (folder,) = (Path(cfg.paths.experiments) / "runs").iterdir()
    return folder


def saved_step(folder: Path) -> int:
    return int(torch.load(folder / LAST, weights_only=True)["global_step"])


@pytest.fixture
def cfg(workplace: Path, encoder_folder: Path) -> Config:
    return tiny_config(workplace, encoder_folder)


@pytest.fixture
def straight(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """The weights of an uninterrupted run."""
    cfg.output = f"{cfg.paths.experiments}/straight"
    found = weights(run(cfg, monkeypatch, Send()))
    cfg.output = None
    return found


@pytest.mark.parametrize("numbers", [(signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)], ids=["once", "twice"])
@pytest.mark.parametrize("stop", [STOP, 12], ids=["midway", "last step"])
def test_a_terminated_run_saves_its_step_says_so_in_its_record_and_resumes_bit_for_bit(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, straight: dict[str, torch.Tensor], numbers: Any, stop: int
) -> None:
    with pytest.raises(Terminated) as raised:
        run(cfg, monkeypatch, first := Send(stop, *numbers))
    assert raised.value.code == EXIT_TERMINATED == 143
    folder = begun(cfg)
    manifest = read_manifest(folder)
    assert (manifest["status"], manifest["outcome"]) == ("interrupted", {"error": "Terminated", "message": "SIGTERM"})
    assert saved_step(folder) == len(first.read) == stop and not (folder / CHECKPOINT).exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert run(cfg, monkeypatch, second := Send()) == folder
    assert len(first.read) + len(second.read) == 12
    assert_equal(weights(folder), straight)
    assert read_manifest(folder)["status"] == "completed" and not (folder / LAST).exists()


def test_a_run_that_was_stopped_after_its_last_step_has_the_curves_and_metrics_of_one_that_was_not(
    cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg.output = f"{cfg.paths.experiments}/straight"
    straight = run(cfg, monkeypatch, Send())
    cfg.output = f"{cfg.paths.experiments}/stopped"
    with pytest.raises(Terminated):
        run(cfg, monkeypatch, Send(12, signal.SIGTERM))
    drop_last_row(Path(cfg.output) / METRICS)  # as if killed between the checkpoint and the row of its step
    stopped = run(cfg, monkeypatch, Send())
    assert (stopped / TASK_LOSSES).read_bytes() == (straight / TASK_LOSSES).read_bytes()
    assert losses(stopped) == losses(straight) and len(losses(straight)) == 12
    metrics = [read_manifest(folder)["outcome"]["metrics"] for folder in (straight, stopped)]
    assert metrics[0].keys() == metrics[1].keys() and metrics[0]["loss"] == metrics[1]["loss"]


def drop_last_row(path: Path) -> None:
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rows[:-1]))


def losses(folder: Path) -> dict[str, str]:
    """Step -> the loss that was logged last."""
    with (folder / METRICS).open() as file:
        return {row["step"]: row["loss"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("mini_batch_size", [None, 3])
def test_sigterm_between_two_batches_of_a_step_waits_for_the_step(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, mini_batch_size: int | None
) -> None:
    cfg.trainer.accumulate_grad_batches, cfg.trainer.mini_batch_size = 2, mini_batch_size
    with pytest.raises(Terminated):
        run(cfg, monkeypatch, first := Send(5, signal.SIGTERM))
    assert (saved_step(begun(cfg)), len(first.read)) == (3, 6)


def test_a_second_ctrl_c_ends_at_once_and_is_still_an_interruption(
    cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with handled(signal.SIGINT, signal.default_int_handler):  # a fit of another test may have left it switched off
        with pytest.raises(KeyboardInterrupt):
            run(cfg, monkeypatch, Send(STOP, signal.SIGINT, signal.SIGINT))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # which Lightning had switched off
    assert read_manifest(begun(cfg))["status"] == "interrupted"
    assert saved_step(begun(cfg)) == 5  # the periodic one


def test_sigterm_that_somebody_else_lets_pass_saves_and_the_training_goes_on(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, straight: dict[str, torch.Tensor]
) -> None:
    steps: list[int] = []
    with handled(signal.SIGTERM, lambda number, frame: steps.append(saved_step(begun(cfg)))):
        folder = run(cfg, monkeypatch, Send(STOP, signal.SIGTERM))
    assert steps == [STOP] and read_manifest(folder)["status"] == "completed"
    assert_equal(weights(folder), straight)


def test_a_scheduler_that_requeues_its_job_finds_the_step_saved(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, straight: dict[str, torch.Tensor]
) -> None:
    def requeue(number: int, frame: FrameType | None) -> None:
        raise SystemExit(200 + saved_step(begun(cfg)))

    with handled(signal.SIGUSR2, requeue), pytest.raises(SystemExit) as raised:
        run(cfg, monkeypatch, Send(STOP, signal.SIGUSR2))
    assert raised.value.code == 200 + STOP
    assert read_manifest(begun(cfg))["status"] == "interrupted"
    assert_equal(weights(run(cfg, monkeypatch, Send())), straight)


def test_in_a_job_of_slurm_sigusr1_saves_between_two_steps_and_the_requeued_job_goes_on_bit_for_bit(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, straight: dict[str, torch.Tensor]
) -> None:
    """As `sbatch --signal=USR1@120` sends it to `srun`; nothing of Lightning's requeueing is left in the folder."""
    facts = {"JOB_ID": "7", "JOB_NAME": "train", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    for name, value in facts.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(Terminated):
        run(cfg, monkeypatch, Send(STOP, signal.SIGUSR1))
    assert saved_step(begun(cfg)) == STOP and not list(begun(cfg).glob("hpc*"))
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert_equal(weights(run(cfg, monkeypatch, Send())), straight)


def command(workplace: Path, encoder: Path, *arguments: str) -> list[str]:
    """The verb on the tiny data."""
    return [
        *(sys.executable, "-m", "one_embedder.train", *arguments, f"encoder.name_or_path={encoder}"),
        *(f"medi.folder={workplace}/data", f"paths.experiments={workplace}/experiments", "tracking=disabled"),
        *("debug=fast", "trainer.max_length=16", "sampler.global_batch_size=4", "optimizer.frozen_layers=0"),
        *("trainer.checkpoint_every_n_steps=1000000", f"hydra.sweep.dir={workplace}/sweep"),
    ]


def await_step(folder: Path) -> None:
    """Until a step of the run is logged."""
    metrics = folder / "metrics.csv"
    for _ in range(2400):  # a busy machine takes minutes to start
        if metrics.is_file() and metrics.read_text().count("\n") > 1:
            return
        time.sleep(0.1)
    raise TimeoutError(metrics)


@pytest.mark.slow
def test_the_verb_ends_with_143_and_says_how_to_go_on(workplace: Path, encoder_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    verb = command(workplace, encoder_folder, "trainer.max_steps=1000000", f"output={output}")
    with subprocess.Popen(verb, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as training:
        await_step(output)
        training.terminate()
        _, said = training.communicate(timeout=60)
    assert training.returncode == 143, said
    assert said.endswith("terminated: run the same command again, finished parts are kept\n")
    assert "of 1000000; the same command continues" in said
    assert read_manifest(output)["status"] == "interrupted" and saved_step(output) > 0


@pytest.mark.slow
def test_a_job_of_submitit_that_is_preempted_saves_and_goes_on_when_it_is_requeued(
    workplace: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    """Its standing-in for Slurm starts a job again that asks for it."""
    output = tmp_path / "run"
    sweep = command(workplace, encoder_folder, "--multirun", "launcher=submitit_local", f"output={output}")
    with subprocess.Popen([*sweep, "trainer.max_steps=300"], text=True, stderr=subprocess.PIPE) as parent:
        await_step(output)
        (log,) = (workplace / "sweep" / ".submitit").glob("*/*_log.err")
        os.kill(_job_process(log), signal.SIGUSR2)
        _, said = parent.communicate(timeout=120)
    assert parent.returncode == 0, said
    told = log.read_text()
    assert "SIGUSR2: saving after this step" in told and "resuming from last.ckpt" in told
    assert read_manifest(output)["status"] == "completed"


def _job_process(log: Path) -> int:
    """The process that writes this file and is the job's, not its controller."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "fd" / "2").readlink() == log:
                return int(process.name)
        except OSError:
            continue
    raise LookupError(log)
