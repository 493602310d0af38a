from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import pytest

from one_embedder.config.schema import Config, TrackingConfig
from one_embedder.tracking.loggers import AppendingCSVLogger, loggers
from one_embedder.tracking.wandb_run import wandb_mode


@pytest.fixture
def wandb_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


def tracking(mode: str) -> Config:
    return Config(tracking=TrackingConfig(wandb=mode))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_csv_is_written_with_wandb_disabled(tmp_path: Path) -> None:
    (only,) = loggers(tracking("disabled"), tmp_path)
    only.log_metrics({"loss": 1.5}, step=0)
    only.save()
    assert rows(tmp_path) == [{"loss": "1.5", "step": "0"}]


def test_a_resumed_run_keeps_the_metrics_of_the_first_part(tmp_path: Path) -> None:
    for step, metrics in [(0, {"loss": 2.0}), (1, {"loss": 1.0, "extra": 3.0})]:
        (tmp_path / "manifest.yaml").touch()
        logger = AppendingCSVLogger(tmp_path)
        logger.log_metrics(metrics, step=step)
        logger.save()
    assert [(row["step"], row["loss"], row["extra"]) for row in rows(tmp_path)] == [
        ("0", "2.0", ""),
        ("1", "1.0", "3.0"),
    ]


@pytest.mark.usefixtures("wandb_allowed")
def test_metrics_that_stood_aside_when_a_run_was_killed_are_found_again(tmp_path: Path) -> None:
    first = AppendingCSVLogger(tmp_path)
    first.log_metrics({"loss": 1.0}, step=0)
    (tmp_path / "metrics.csv").rename(tmp_path / ".metrics.csv.earlier")  # killed as the file was opened again
    second = AppendingCSVLogger(tmp_path)
    second.log_metrics({"loss": 0.5}, step=1)
    assert [row["loss"] for row in rows(tmp_path)] == ["1.0", "0.5"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv"]


def test_a_missing_wandb_is_normal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "wandb" else found(name, *rest)
    )
    assert wandb_mode(tracking("online")) == "disabled"
    assert len(loggers(tracking("offline"), tmp_path)) == 1


def test_the_environment_can_switch_wandb_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode(tracking("offline")) == "disabled"


@pytest.mark.usefixtures("wandb_allowed")
def test_online_without_a_key_writes_offline_instead_of_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wandb_mode(tracking("online")) == "offline"
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.wandb.ai\n  login user\n  password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert wandb_mode(tracking("online")) == "online"


@pytest.mark.usefixtures("wandb_allowed")
def test_a_wandb_that_fails_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def define_metric(self, *_: object, **__: object) -> None:
            pass

        def log(self, *_: object) -> None:
            raise BrokenPipeError("the service is gone")

        def finish(self, **_: object) -> None:
            raise BrokenPipeError("the service is gone")

    monkeypatch.setattr("wandb.init", lambda **arguments: Broken())
    _, logger = loggers(tracking("offline"), tmp_path)
    for step in range(3):
        logger.log_metrics({"loss": 1.0}, step=step)
    logger.log_table("losses", columns=["loss"], data=[[1.0]])
    logger.finalize("failed")
    assert caplog.text.count("the service is gone") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("wandb_allowed")
def test_offline_wandb_gives_each_training_in_a_process_its_own_run(tmp_path: Path) -> None:
    for name in ("first", "second"):
        for logger in loggers(tracking("offline"), tmp_path / name):
            logger.log_metrics({"loss": 1.0}, step=0)
            logger.finalize("success")
    for name in ("first", "second"):
        assert len(list((tmp_path / name / "wandb").glob("offline-run-*"))) == 1, name
