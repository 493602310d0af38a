"""Whole runs with cached gradients, with several batches a step, and with both."""

from __future__ import annotations

import csv
import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from safetensors.torch import load_file
from torch import Tensor

from one_embedder.config.schema import Config, SamplerConfig
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.tracking.manifest import read_manifest
from one_embedder.training import run as run_module
from one_embedder.training.callbacks import Speed
from one_embedder.training.checkpoint_io import LAST
from one_embedder.training.module import InstructorModule
from one_embedder.training.run import CHECKPOINT, train
from one_embedder.training.trainer import build_trainer
from tests.medi.toy import instruction_tokenizer
from tests.training.tiny import tiny_config, tiny_encoder


class Catch(Callback):
    """Counts batches, keeps each step's gradient as the optimizer gets it, and may press Ctrl-C after a batch."""

    def __init__(self, press_after: int = 0) -> None:
        self.press_after = press_after
        self.read: list[list[list[int]]] = []
        self.gradients: list[dict[str, Tensor]] = []
        self.speed = self.tokens = 0

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        grads = {name: weight.grad for name, weight in pl_module.named_parameters()}
        self.gradients.append({name: grad.clone() for name, grad in grads.items() if grad is not None})

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.read.append(batch.query.input_ids.tolist())
        if len(self.read) == self.press_after:
            os.kill(os.getpid(), signal.SIGINT)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        speed = next(callback for callback in trainer.callbacks if isinstance(callback, Speed))  # type: ignore[attr-defined]
        self.speed, self.tokens = speed.steps, speed.tokens


@pytest.fixture
def cfg(workplace: Path, encoder_folder: Path) -> Config:
    """An epoch has 7 batches."""
    return tiny_config(workplace, encoder_folder)


def run(cfg: Config, monkeypatch: pytest.MonkeyPatch, catch: Catch, output: str | None = None, **trainer: Any) -> Path:
    """Train with some of the trainer's settings changed."""

    def build(cfg: Config, folder: Path, *, callbacks: Any) -> Trainer:
        return build_trainer(cfg, folder, callbacks=[catch, *callbacks])

    monkeypatch.setattr(run_module, "build_trainer", build)
    place = None if output is None else f"{cfg.paths.experiments}/{output}"
    return train(dataclasses.replace(cfg, output=place, trainer=dataclasses.replace(cfg.trainer, **trainer)))


def metrics(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "metrics.csv").open()))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_with_cached_gradients_is_the_plain_run(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    """Without dropout: plain training embeds all sides at once, chunks are of one side, so that they draw otherwise."""
    cfg.optimizer.dropout = False
    plain, cached = Catch(), Catch()
    settings = {"accumulate_grad_batches": accumulate, "max_steps": 3, "gradient_clip_val": None}
    folders = [
        run(cfg, monkeypatch, plain, "plain", **settings),
        run(cfg, monkeypatch, cached, "cached", mini_batch_size=100, **settings),
    ]
    assert plain.read == cached.read and len(plain.read) == 3 * accumulate
    for number, (theirs, ours) in enumerate(zip(plain.gradients, cached.gradients, strict=True)):
        for name, gradient in theirs.items():
            # Adam takes steps of one size, whatever the gradient's: rounding grows with them
            tolerance = 1e-5 * 30**number * float(gradient.abs().max())
            torch.testing.assert_close(ours[name], gradient, rtol=0, atol=tolerance)
    for theirs, ours in zip(*map(metrics, folders), strict=True):
        assert theirs["step"] == ours["step"] and theirs["learning_rate"] == ours["learning_rate"]
        for name in ("loss", "loss_query_to_document", "gradient_norm"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=1e-2)
    assert len(metrics(folders[0])) == 3


@pytest.mark.parametrize("mini_batch_size", [None, 3])
def test_without_hard_negatives_none_are_embedded_or_counted_and_the_gradient_is_that_of_the_others(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, mini_batch_size: int | None
) -> None:
    cfg.optimizer.dropout = False
    cfg.loss.hard_negatives, cfg.loss.spelling = False, "paper"
    catch, embedded = Catch(), []
    forward = InstructionEncoder.forward
    monkeypatch.setattr(
        InstructionEncoder, "forward", lambda self, texts: embedded.append(texts) or forward(self, texts)
    )
    run(cfg, monkeypatch, catch, max_steps=1, gradient_clip_val=None, mini_batch_size=mini_batch_size)
    encoder = tiny_encoder()
    medi = Path(cfg.medi.folder) / "medi"
    data = MediDataModule(
        medi, instruction_tokenizer(16), sampler=SamplerConfig(global_batch_size=4), with_instructions=True, seed=0
    )
    batch = next(iter(data.train_dataloader()))
    similarity = forward(encoder, batch.query) @ forward(encoder, batch.positive).T
    rows = torch.arange(4)
    loss = sum(torch.nn.functional.cross_entropy(table / 0.1, rows) for table in (similarity, similarity.T))
    loss.backward()
    for name, weight in encoder.named_parameters():
        tolerance = 1e-5 * float(weight.grad.abs().max())
        torch.testing.assert_close(catch.gradients[0][f"encoder.{name}"], weight.grad, rtol=0, atol=tolerance)
    passes = 1 if mini_batch_size is None else 2  # cached gradients take a second one
    assert sum(map(len, embedded[:-1])) == passes * (4 + 4)  # the last is a look at the finished model
    tokens = int(batch.query.attention_mask.sum() + batch.positive.attention_mask.sum())
    assert catch.tokens == tokens < batch.tokens


@pytest.mark.parametrize("mini_batch_size", [None, 3])
def test_a_step_takes_the_mean_of_its_batches_gradients_and_logs_the_last_ones_loss_unscaled(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, mini_batch_size: int | None
) -> None:
    cfg.optimizer.dropout = False
    settings = {"max_steps": 1, "gradient_clip_val": None, "mini_batch_size": mini_batch_size}
    catch = Catch()
    folder = run(cfg, monkeypatch, catch, accumulate_grad_batches=3, **settings)
    module = InstructorModule(tiny_encoder(), cfg)
    medi = Path(cfg.medi.folder) / "medi"
    data = MediDataModule(
        medi, instruction_tokenizer(16), sampler=SamplerConfig(global_batch_size=4), with_instructions=True, seed=0
    )
    batches = [batch for _, batch in zip(range(3), data.train_dataloader(), strict=False)]
    losses = torch.stack([module.measure(module.embed(batch), batch).loss for batch in batches])
    losses.mean().backward()
    for name, weight in module.named_parameters():
        assert weight.grad is not None and weight.grad.abs().max() > 0
        tolerance = 1e-5 * float(weight.grad.abs().max())
        torch.testing.assert_close(catch.gradients[0][name], weight.grad, rtol=0, atol=tolerance)
    assert float(metrics(folder)[0]["loss"]) == pytest.approx(losses[-1].item(), rel=1e-5)


def test_a_step_that_the_epoch_ends_takes_the_mean_of_the_batches_that_it_has(
    cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch of 7 batches: with 8 a step, its one step has them all, as with 7."""
    cfg.optimizer.dropout = False
    folders = [
        run(cfg, monkeypatch, Catch(), f"of_{count}", max_steps=1, accumulate_grad_batches=count) for count in (7, 8)
    ]
    norms = [float(metrics(folder)[0]["gradient_norm"]) for folder in folders]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5) and norms[0] > 0


def test_cached_gradients_are_clipped_after_they_are_complete(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    catch = Catch()
    settings = {"mini_batch_size": 3, "accumulate_grad_batches": 2, "max_steps": 3}
    folder = run(cfg, monkeypatch, catch, gradient_clip_val=0.01, **settings)
    norms = [torch.stack([g.norm() for g in step.values()]).norm() for step in catch.gradients]
    assert [float(norm) for norm in norms] == pytest.approx([0.01] * 3, rel=1e-3)
    assert all(float(row["gradient_norm"]) > 0.1 for row in metrics(folder))


@pytest.mark.parametrize("mini_batch_size", [None, 3])
def test_steps_are_counted_scheduled_logged_and_recorded_as_steps_not_as_batches(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, mini_batch_size: int | None
) -> None:
    catch = Catch()
    settings = {"mini_batch_size": mini_batch_size, "accumulate_grad_batches": 3, "log_every_n_steps": 2}
    folder = run(cfg, monkeypatch, catch, max_steps=6, **settings)
    # Lightning ends a step with the epoch: 3 + 3 + 1 batches; our own steps go on into the next epoch
    assert len(catch.read) == (14 if mini_batch_size is None else 18)
    assert len(catch.gradients) == catch.speed == read_manifest(folder)["cost"]["steps"] == 6
    rows = metrics(folder)
    assert [int(row["step"]) for row in rows] == [1, 3, 5]
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([cfg.optimizer.learning_rate * share for share in (1.0, 0.6, 0.2)])
    assert all(float(row["tokens_per_s"]) > 0 and float(row["gradient_norm"]) > 0 for row in rows)
    batch = read_manifest(folder)["batch"]
    assert (batch["mini"], batch["accumulated"]) == (mini_batch_size, 3)


@pytest.mark.parametrize("mini_batch_size", [None, 3])
def test_an_interrupt_between_two_batches_of_a_step_waits_for_the_step_and_the_resumed_run_is_exact(
    cfg: Config, monkeypatch: pytest.MonkeyPatch, mini_batch_size: int | None
) -> None:
    cfg.loss.learn_temperature = True
    settings = {"mini_batch_size": mini_batch_size, "accumulate_grad_batches": 2, "max_steps": 8}
    straight, first, second = Catch(), Catch(press_after=5), Catch()
    expected = load_file(run(cfg, monkeypatch, straight, "straight", **settings) / CHECKPOINT / "model.safetensors")
    with pytest.raises(KeyboardInterrupt):
        run(cfg, monkeypatch, first, **settings)
    (folder,) = (Path(cfg.paths.experiments) / "runs").iterdir()
    state = torch.load(folder / LAST, weights_only=True)
    assert state["global_step"] == 3 and len(first.read) == 6
    assert run(cfg, monkeypatch, second, **settings) == folder
    assert straight.read == first.read + second.read
    resumed = load_file(folder / CHECKPOINT / "model.safetensors")
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    ends = [metrics(place)[-1] for place in (Path(cfg.paths.experiments) / "straight", folder)]
    assert ends[0]["temperature"] == ends[1]["temperature"] and ends[0]["step"] == ends[1]["step"] == "7"
