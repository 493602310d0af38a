"""No run completes, and nothing is saved, with numbers that are not finite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from one_embedder.config.schema import Config
from one_embedder.encoder.checkpoint import load_encoder
from one_embedder.errors import OneEmbedderError
from one_embedder.tracking.manifest import read_manifest
from one_embedder.training import run as run_module
from one_embedder.training.checkpoint_io import LAST, resumable
from one_embedder.training.divergence import DIVERGED, Finite, read_batches, require_usable
from one_embedder.training.loss import Comparison
from one_embedder.training.module import InstructorModule
from one_embedder.training.run import BEST, CHECKPOINT, train
from one_embedder.training.trainer import build_trainer
from tests.training.tiny import tiny_config, tiny_encoder


class Spoil(Callback):
    """Fills the weights after a step, before anything else sees it."""

    def __init__(self, step: int, value: float) -> None:
        self.step, self.value = step, value

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            with torch.no_grad():
                for parameter in module.encoder.parameters():
                    parameter.fill_(self.value)


def install(monkeypatch: pytest.MonkeyPatch, callback: Callback) -> None:
    def build(cfg: Config, folder: Path, *, callbacks: Any) -> Trainer:
        return build_trainer(cfg, folder, callbacks=[callback, *callbacks])

    monkeypatch.setattr(run_module, "build_trainer", build)


def spoil_loss(monkeypatch: pytest.MonkeyPatch, batch: int, value: float, *, of_gradient: bool = False) -> None:
    """Make the loss of a batch ``value``; or only its gradient."""
    plain, calls = Comparison.loss, [0]

    def loss(self: Comparison, temperature: Any) -> Tensor:
        calls[0] += 1
        found = plain(self, temperature)
        if calls[0] != batch:
            return found
        if of_gradient:
            found.register_hook(lambda gradient: gradient * value)
            return found
        return found * value

    monkeypatch.setattr(Comparison, "loss", loss)


@pytest.fixture
def cfg(workplace: Path, encoder_folder: Path) -> Config:
    return tiny_config(workplace, encoder_folder, log_every_n_steps=100, checkpoint_every_n_steps=3)


def failed(cfg: Config) -> Path:
    (folder,) = (Path(cfg.paths.experiments) / "runs").iterdir()
    manifest = read_manifest(folder)
    assert (manifest["status"], manifest["outcome"]["error"]) == ("failed", "OneEmbedderError")
    assert not (folder / CHECKPOINT).exists()
    return folder


@pytest.mark.parametrize("clip", [1.0, None])
@pytest.mark.parametrize("how", ["plain", "cached", "accumulated"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_step_whose_loss_is_not_finite_ends_the_run_and_what_was_saved_before_stays(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, value: float, how: str, clip: float | None
) -> None:
    """Step 5 is between two that are logged; of accumulated batches it is the first of two that breaks."""
    cfg.trainer.gradient_clip_val = clip
    cfg.trainer.mini_batch_size = 3 if how == "cached" else None
    cfg.trainer.accumulate_grad_batches = 2 if how == "accumulated" else 1
    spoil_loss(monkeypatch, 9 if how == "accumulated" else 5, value)
    with pytest.raises(OneEmbedderError, match=r"at step 5; lower optimizer\.learning_rate"):
        train(cfg)
    last = torch.load(failed(cfg) / LAST, weights_only=True)
    assert last["global_step"] == 3 and all(weight.isfinite().all() for weight in last["state_dict"].values())
    assert len(read_batches(failed(cfg) / DIVERGED)) == cfg.trainer.accumulate_grad_batches


@pytest.mark.parametrize("looked_at", ["at once", "later"])
def test_the_batch_of_a_step_that_is_not_finite_is_kept_and_gives_its_loss_again(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, looked_at: str
) -> None:
    """The weights stand still, so that the loss of any step can be had again."""
    cfg.optimizer.learning_rate, cfg.optimizer.dropout = 1e-30, False
    if looked_at == "later":
        monkeypatch.setattr("one_embedder.training.divergence._is_at_hand", lambda number: False)
    losses: list[float] = []
    plain = InstructorModule.measure

    def measure(module: InstructorModule, embeddings: Any, batch: Any) -> Any:
        value = plain(module, embeddings, batch)
        losses.append(float(value.loss))
        return value if len(losses) != 5 else replace(value, loss=value.loss * float("nan"))

    monkeypatch.setattr(InstructorModule, "measure", measure)
    with pytest.raises(OneEmbedderError, match=r"at step 5; .*diverged\.pt holds what that step was trained on"):
        train(cfg)
    (batch,) = read_batches(failed(cfg) / DIVERGED)
    module = InstructorModule(load_encoder(cfg.encoder.name_or_path), cfg)
    again = plain(module, module.embed(batch), batch).loss
    assert float(again) == pytest.approx(losses[4], rel=1e-6)
    assert losses[4] not in losses[:4]


@pytest.mark.parametrize("step", [5, 12], ids=["midway", "last"])
def test_a_gradient_that_is_not_finite_ends_the_run_although_the_loss_is(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    spoil_loss(monkeypatch, step, float("inf"), of_gradient=True)
    with pytest.raises(OneEmbedderError, match=rf"the gradient is not finite and the loss is \d.* at step {step};"):
        train(cfg)
    failed(cfg)


@pytest.mark.parametrize("steps", [1, 2, 12])
def test_no_learning_rate_is_so_high_that_a_run_completes_with_useless_weights(cfg: Config, steps: int) -> None:
    cfg.optimizer.learning_rate, cfg.trainer.max_steps = 1e30, steps
    with pytest.raises(OneEmbedderError, match=r"lower optimizer\.learning_rate"):
        train(cfg)
    failed(cfg)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e30])
def test_weights_that_the_last_update_spoils_are_not_saved_as_a_checkpoint(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    cfg.trainer.checkpoint_every_n_steps = 100
    install(monkeypatch, Spoil(12, value))
    with pytest.raises(OneEmbedderError, match="at the end, step 12; lower"):
        train(cfg)
    failed(cfg)


def test_weights_that_are_not_finite_do_not_replace_what_a_run_resumes_from(
    cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, Spoil(6, float("nan")))
    with pytest.raises(OneEmbedderError, match="is not finite at step 6; lower"):
        train(cfg)
    assert torch.load(failed(cfg) / LAST, weights_only=True)["global_step"] == 3


@pytest.mark.parametrize("value", [float("nan"), 1e30])
def test_an_encoder_that_broke_does_not_replace_the_best_one(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    class Dev:
        identity = "grows"

        def __call__(self, encoder: Any, output: Path) -> float:
            return float(output.name.removeprefix("step-"))

    cfg.trainer.early_stopping.every_n_steps = 2
    install(monkeypatch, Spoil(4, value))
    with pytest.raises(OneEmbedderError, match="at step 4; lower"):
        train(cfg, Dev())
    require_usable(load_encoder(failed(cfg) / BEST), "the best one")


@pytest.mark.parametrize(("every", "last"), [(3, 3), (100, None)], ids=["at the next save", "at the end"])
def test_a_gpu_is_not_waited_for_at_each_step_and_no_broken_step_is_missed(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, on_gpu: None, every: int, last: int | None
) -> None:
    cfg.trainer.checkpoint_every_n_steps = every
    spoil_loss(monkeypatch, 5, float("nan"))
    with pytest.raises(OneEmbedderError, match="the loss is nan at step 5;"):
        train(cfg)
    saved = failed(cfg) / LAST
    assert (torch.load(saved, weights_only=True)["global_step"] if saved.exists() else None) == last


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if numbers had to be fetched."""
    monkeypatch.setattr("one_embedder.training.divergence._is_at_hand", lambda number: False)


def test_the_first_broken_step_is_the_one_that_is_named_however_late_somebody_looks(on_gpu: None) -> None:
    finite, one, nan = Finite(), torch.tensor(1.0), torch.tensor(float("nan"))
    finite.require()
    for step, (loss, norm) in enumerate([(one, one), (one, nan), (nan, nan), (one, one)], start=1):
        finite.watch(loss, norm, step)
    with pytest.raises(OneEmbedderError, match="the gradient is not finite and the loss is 1 at step 2"):
        finite.require()


def test_a_training_state_whose_weights_are_not_finite_is_not_resumed_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {"state_dict": {"weight": torch.ones(2)}, "global_step": 1, "optimizer_states": [], "loops": {}}
    torch.save(state, tmp_path / LAST)
    assert resumable(tmp_path / LAST) == tmp_path / LAST
    state["state_dict"]["weight"][1] = float("nan")
    torch.save(state, tmp_path / LAST)
    assert resumable(tmp_path / LAST) is None
    assert "weight weight is not finite" in caplog.text and "training starts over" in caplog.text


def test_a_sound_encoder_is_usable_and_left_as_it_was() -> None:
    encoder = tiny_encoder()
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    require_usable(encoder, "the start")
    assert all(torch.equal(weight, before[name]) for name, weight in encoder.state_dict().items())
