"""What W&B is told, read back from what it wrote offline; and that nothing depends on it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.reproduction.steps.configs import training_config
from one_embedder.tracking import wandb_run
from one_embedder.tracking.wandb_run import Table, kept_id, log_results, open_run, tags, upload_checkpoint, wandb_mode
from tests.tracking.offline_run import read_offline_runs


@pytest.fixture(autouse=True)
def wandb_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


def tracking(mode: str, **settings: Any) -> Config:
    cfg = Config()
    cfg.tracking.wandb = mode
    for key, value in settings.items():
        setattr(cfg.tracking, key, value)
    return cfg


class FakeWandb:
    """Stands for ``wandb.init``: remembers its arguments and what the run was given."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.inits: list[dict[str, Any]] = []
        self.artifacts: list[Any] = []
        self.settings = SimpleNamespace(sync_dir="run")

    def __call__(self, **arguments: Any) -> FakeWandb:
        import wandb

        self.inits.append(arguments)
        if arguments["mode"] in self.failing:
            raise wandb.errors.CommError("no route to host")
        return self

    def __enter__(self) -> FakeWandb:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def log_artifact(self, artifact: Any) -> None:
        self.artifacts.append(artifact)

    @property
    def modes(self) -> list[str]:
        return [arguments["mode"] for arguments in self.inits]


def test_tables_of_results_are_complete_offline(tmp_path: Path) -> None:
    cfg = tracking("offline", group="a sweep", tags=["night"])
    table = Table(["task", "score"], [["STS12", 0.5], ["SciFact", 0.25]])
    log_results(cfg, tmp_path, "evaluate", "minilm on a benchmark", {"tasks": table}, {"mean": 0.375})
    (run,) = read_offline_runs(tmp_path)
    assert (run.run.project, run.run.run_group, run.run.job_type) == ("one-embedder", "a sweep", "evaluate")
    assert run.run.display_name == "minilm on a benchmark"
    assert list(run.run.tags) == ["documentation", "minilm", "instructions none", "documentation test", "night"]
    assert run.config["loss"]["temperature"] == cfg.loss.temperature
    assert run.table("tasks")["columns"] == ["task", "score"]
    assert run.table("tasks")["data"] == [["STS12", 0.5], ["SciFact", 0.25]]
    assert run.summary["mean"] == 0.375
    assert run.exit_code == 0


def test_a_table_that_wandb_refuses_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log_results(tracking("offline"), tmp_path, "evaluate", "a", {"tasks": Table(["a", "b"], [["only one"]])}, {})
    assert "W&B did not take results" in caplog.text


def test_disabled_leaves_nothing(tmp_path: Path) -> None:
    log_results(tracking("disabled"), tmp_path, "evaluate", "a", {}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("failing", "modes"), [((), ["offline"]), (("offline",), ["offline", "disabled"])])
def test_where_wandb_does_not_work_a_run_is_none_and_told(
    failing: tuple[str, ...], modes: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeWandb(*failing)
    monkeypatch.setattr("wandb.init", fake)
    assert open_run({"project": "p"}, "offline") is fake
    assert fake.modes == modes
    assert caplog.text.count("no route to host") == len(failing)


def test_wandb_mode_in_the_environment_lowers_online_to_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert wandb_mode(tracking("online")) == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_mode(tracking("online")) == "offline"


def test_checkpoints_are_artifacts_of_their_trainings_run_and_only_online(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "model.safetensors").write_bytes(b"weights")
    fake = FakeWandb()
    monkeypatch.setattr("wandb.init", fake)
    upload_checkpoint(tracking("offline"), tmp_path, "checkpoint", {})
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    upload_checkpoint(tracking("online", checkpoints=False), tmp_path, "checkpoint", {})
    assert fake.inits == []
    started: list[tuple[Path, int]] = []
    monkeypatch.setattr(wandb_run.SENDERS, "start", lambda run, size: started.append((run, size)))
    upload_checkpoint(tracking("online"), tmp_path, "checkpoint", {"loss": 0.5})
    (arguments,) = fake.inits
    assert arguments["mode"] == "offline" and started == [(Path("run"), len(b"weights"))]
    assert arguments["id"] == kept_id(tmp_path) and arguments["resume"] == "allow"
    (artifact,) = fake.artifacts
    assert artifact.type == "model" and artifact.metadata == {"loss": 0.5}
    assert list(artifact.manifest.entries) == ["model.safetensors"]


def test_the_id_is_drawn_once_for_a_folder_and_left_to_an_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kept_id(tmp_path / "a")
    assert first is not None and kept_id(tmp_path / "a") == first != kept_id(tmp_path / "b")
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    assert kept_id(tmp_path / "a") is None


def test_tags_are_not_longer_than_wandb_allows_and_fit_the_job() -> None:
    cfg = Config(with_instructions=False)
    cfg.encoder.name_or_path = f"/models/{'x' * 100}"
    assert tags(cfg, "train") == ["documentation", "x" * 64, "without instructions", "loss released"]
    cfg.encoder.name_or_path = "/runs/with_instructions-s0-1/checkpoint"
    assert tags(cfg, "evaluate")[1:3] == ["with_instructions-s0-1", "instructions none"]
    assert tags(cfg, "reproduce")[-1] == "table1"


def test_trainings_of_one_table_are_one_group_unless_a_group_is_given() -> None:
    assert training_config(Config(), with_instructions=True, seed=0).tracking.group == "table1 documentation"
    cfg = tracking("offline", group="mine")
    assert training_config(cfg, with_instructions=True, seed=0).tracking.group == "mine"


def test_the_agents_sweep_calls_an_entry_point_with_keys_that_exist(project_root: Path) -> None:
    sweep = yaml.safe_load((project_root / "experiments" / "wandb_sweep.yaml").read_text())
    interpreter, *command = sweep["command"]
    assert interpreter == "${env}" and command[:2] == ["python", "-m"] and command[-1] == "${args_no_hyphens}"
    assert sweep["metric"]["name"] == "dev_score"
    drawn = [f"{key}={parameter['values'][0]}" for key, parameter in sweep["parameters"].items()]
    cfg = load_config(command[2].removeprefix("one_embedder."), [*command[3:-1], *drawn])
    assert cfg.tracking.wandb == "online" and cfg.trainer.early_stopping.every_n_steps
    assert len(drawn) >= 3
