"""Online tracking against a server that takes runs, and against servers that do not: nothing depends on them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from one_embedder.config.schema import Config, TrackingConfig
from one_embedder.encoder.checkpoint import load_encoder, weights_sha256
from one_embedder.tracking import sending
from one_embedder.tracking.loggers import FinishingWandbLogger, loggers
from one_embedder.tracking.manifest import read_manifest
from one_embedder.tracking.sending import SENDERS
from one_embedder.tracking.wandb_run import Table, log_results
from one_embedder.training.run import CHECKPOINT, train
from tests.tracking.offline_run import read_offline_runs
from tests.tracking.wandb_server import Seen, wandb_server
from tests.training.conftest import encoder_folder, workplace  # noqa: F401 - fixtures
from tests.training.tiny import tiny_config

slow = pytest.mark.slow
TROUBLES = [
    "refuse",
    "409",  # the run id is in use
    *(pytest.param(trouble, marks=slow) for trouble in ("hang", "reset", "401", "403", "500", "503")),
]
WAIT = 3.0


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setattr(sending, "WAIT_SECONDS", WAIT)
    yield
    SENDERS.wait()
    SENDERS.given_up = False


@pytest.fixture
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    with wandb_server(request.param) as seen:
        monkeypatch.setenv("WANDB_BASE_URL", seen.url)
        yield seen


def opened(folder: Path) -> FinishingWandbLogger:
    _, logger = loggers(Config(tracking=TrackingConfig(wandb="online")), folder)
    assert isinstance(logger, FinishingWandbLogger)
    return logger


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [process for process in found if "one_embedder.tracking.sender" in " ".join(process.cmdline())]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@slow
@pytest.mark.parametrize("server", [None], indirect=True)
def test_a_run_is_sent_while_it_is_written_and_whole_at_its_end(
    server: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "WAIT_SECONDS", 60.0)
    logger = opened(tmp_path)
    logger.log_metrics({"loss": 2.0}, step=0)
    deadline = time.monotonic() + 60
    while not any("UpsertBucket" in body for _, body in server.requests) and time.monotonic() < deadline:
        time.sleep(0.1)  # the server knows of the run before its end
    assert time.monotonic() < deadline
    logger.log_metrics({"loss": 1.0}, step=1)
    logger.finalize("success")
    SENDERS.wait()
    assert not SENDERS.given_up and children() == []
    assert [(row["trainer/global_step"], row["loss"]) for row in server.history()] == [(0, 2.0), (1, 1.0)]
    assert any('"exitcode":0' in body for _, body in server.requests)
    assert list(tmp_path.rglob("*.wandb.synced"))


@pytest.mark.parametrize("server", TROUBLES, indirect=True)
def test_a_server_in_trouble_is_one_warning_and_the_run_is_whole_offline(
    server: Seen, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = opened(tmp_path / "first")
    logger.log_metrics({"loss": 3.0}, step=0)  # opens the run
    began = time.monotonic()
    for step in range(1, 200):
        logger.log_metrics({"loss": 3.0 - step / 100}, step=step)
    assert time.monotonic() - began < 2.0, "199 rows of metrics wait for nobody"
    logger.finalize("success")
    began = time.monotonic()
    SENDERS.wait()
    assert time.monotonic() - began < WAIT + 5.0
    assert SENDERS.given_up and children() == []
    table = Table(["task", "score"], [["STS12", 0.5]])
    cfg = Config(tracking=TrackingConfig(wandb="online"))
    log_results(cfg, tmp_path / "second", "evaluate", "a", {"tasks": table}, {"mean": 0.5})
    assert children() == [], "nothing more is sent by this process"
    (warning,) = warnings(caplog)
    assert "W&B was not reached or did not take a run" in warning and f"`wandb sync {tmp_path}" in warning
    (first,) = read_offline_runs(tmp_path / "first")
    (second,) = read_offline_runs(tmp_path / "second")
    assert first.exit_code == second.exit_code == 0
    assert first.summary["loss"] == pytest.approx(1.01) and second.table("tasks")["data"] == [["STS12", 0.5]]


@slow
@pytest.mark.parametrize("server", ["refuse", "hang", "409"], indirect=True)
def test_a_training_is_the_same_whatever_the_server_does_and_whatever_is_repeated(
    server: Seen,
    workplace: Path,  # noqa: F811
    encoder_folder: Path,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    def trained(name: str, mode: str) -> str:
        cfg = tiny_config(workplace, encoder_folder, max_steps=4)
        cfg.output, cfg.tracking.wandb = str(workplace / name), mode
        folder = train(cfg)
        assert read_manifest(folder)["status"] == "completed"
        return weights_sha256(load_encoder(folder / CHECKPOINT))

    weights = {trained(name, mode) for name, mode in [("without", "disabled"), ("with", "online"), ("again", "online")]}
    assert len(weights) == 1
    assert sum("W&B" in warning for warning in warnings(caplog)) == 1


_DYING = """
import os, sys
from pathlib import Path
from one_embedder.config.schema import Config, TrackingConfig
from one_embedder.tracking.loggers import loggers
_, logger = loggers(Config(tracking=TrackingConfig(wandb="online")), Path(sys.argv[1]))
logger.log_metrics({"loss": 1.0}, step=0)
print("logged", flush=True)
sys.stdin.read()
"""


@slow
@pytest.mark.parametrize("server", ["hang"], indirect=True)
def test_a_sender_ends_with_a_run_that_is_killed(server: Seen, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _DYING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None and run.stdout.readline() == b"logged\n"
        started = psutil.Process(run.pid).children(recursive=True)
        assert any("one_embedder.tracking.sender" in " ".join(process.cmdline()) for process in started)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        _, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []
