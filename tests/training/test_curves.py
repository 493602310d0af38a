from __future__ import annotations

import csv
from pathlib import Path

import pytest

from one_embedder.config.schema import Config
from one_embedder.training.curves import TASK_LOSSES
from one_embedder.training.run import train
from tests.tracking.offline_run import read_offline_runs
from tests.training.test_run import At, install, press_ctrl_c
from tests.training.tiny import tiny_config


@pytest.fixture
def cfg(workplace: Path, encoder_folder: Path) -> Config:
    return tiny_config(workplace, encoder_folder)


def table(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / name).open()))


@pytest.mark.parametrize("mini_batch_size", [None, 2])
def test_the_losses_of_the_tasks_add_up_to_those_of_all_batches(cfg: Config, mini_batch_size: int | None) -> None:
    cfg.trainer.mini_batch_size = mini_batch_size
    folder = train(cfg)
    tasks = table(folder, TASK_LOSSES)
    assert [row["task_name"] for row in tasks] == ["task 1", "task 2"]
    assert sum(int(row["batches"]) for row in tasks) == 12
    total = sum(int(row["batches"]) * float(row["mean_loss"]) for row in tasks)
    assert total == pytest.approx(sum(float(row["loss"]) for row in table(folder, "metrics.csv")), rel=1e-4)


def test_every_batch_of_an_accumulated_step_counts(cfg: Config) -> None:
    cfg.trainer.accumulate_grad_batches = 2
    tasks = table(train(cfg), TASK_LOSSES)
    assert sum(int(row["batches"]) for row in tasks) == 21  # 7 an epoch, whose last batch is a step of its own


def test_an_interrupted_run_counts_every_batch_once(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg.paths.experiments += "/straight"
    straight = train(cfg)
    cfg.paths.experiments = cfg.paths.experiments.replace("straight", "interrupted")
    with monkeypatch.context() as patch:
        install(patch, At(7, press_ctrl_c))
        with pytest.raises(KeyboardInterrupt):
            train(cfg)
    assert (train(cfg) / TASK_LOSSES).read_text() == (straight / TASK_LOSSES).read_text()


def test_memory_is_a_curve_too(cfg: Config) -> None:
    rows = table(train(cfg), "metrics.csv")
    assert all(float(row["peak_memory_gib"]) > 0 for row in rows)


@pytest.mark.slow
def test_wandb_offline_holds_the_curves_of_a_run_and_keeps_its_id_when_it_resumes(
    cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    cfg.tracking.wandb = "offline"
    with monkeypatch.context() as patch:
        install(patch, At(7, press_ctrl_c))
        with pytest.raises(KeyboardInterrupt):
            train(cfg)
    folder = train(cfg)
    first, second = read_offline_runs(folder)
    assert first.run.run_id == second.run.run_id and second.run.job_type == "train"
    assert second.config["trainer"]["max_steps"] == 12 and second.exit_code == 0
    steps = [row["trainer/global_step"] for run in (first, second) for row in run.rows if "loss" in row]
    assert steps == list(range(12))
    curves = {key for row in second.rows for key in row}
    assert curves >= {"loss_query_to_document", "loss_document_to_query", "accuracy", "gradient_norm", "tokens_per_s"}
    assert curves >= {"peak_memory_gib", "task_loss/task 1", "task_loss/task 2"}
    for side, numbers in {"positives": 4, "negatives": 16}.items():
        assert all(sum(h["values"]) == numbers for h in second.values(f"similarity/{side}"))
    assert second.table("task_losses")["data"][0][:2] == [1, "task 1"]
