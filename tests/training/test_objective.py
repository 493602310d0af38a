"""Losses that are not ours are trained like ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer

from one_embedder.config.schema import Config, OptimizerConfig, SamplerConfig, TrainerConfig
from one_embedder.medi.batches.collate import LabelNumbers, TextNumbers
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.training.loss import Sides
from one_embedder.training.module import InstructorModule
from one_embedder.training.right_answers import AlsoRight
from tests.medi.toy import instruction_tokenizer
from tests.training.tiny import tiny_encoder

OWN = {"_target_": "tests.training.own_loss.Scaled", "start": 2.0}


class Losses(Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.seen.append(float(trainer.callback_metrics["loss"]))


def trained(workplace: Path, mini_batch_size: int | None) -> tuple[InstructorModule, list[float]]:
    settings = Config(
        loss=OWN,
        optimizer=OptimizerConfig(learning_rate=5e-3),
        trainer=TrainerConfig(max_steps=4, mini_batch_size=mini_batch_size),
    )
    module = InstructorModule(tiny_encoder(dropout=0.0), settings)
    sampler = SamplerConfig(global_batch_size=4)
    medi = workplace / "data" / "medi"
    data = MediDataModule(medi, instruction_tokenizer(), sampler=sampler, with_instructions=True, seed=0)
    losses = Losses()
    trainer = Trainer(
        max_steps=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=1,
        callbacks=[losses],
    )
    trainer.fit(module, data)
    return module, losses.seen


def test_its_own_weights_learn_with_the_encoders_and_cached_gradients_change_nothing(workplace: Path) -> None:
    plain, chunked = trained(workplace, None), trained(workplace, 2)
    assert plain[1] == pytest.approx(chunked[1], rel=1e-4) and plain[1][-1] < plain[1][0]
    scales = [next(module.loss.parameters()).item() for module, _ in (plain, chunked)]
    assert scales[0] == pytest.approx(scales[1], rel=1e-5) and scales[0] < 2.0


def test_what_is_also_right_is_so_by_text_or_by_class() -> None:
    texts = TextNumbers(torch.tensor([1, 2, 3]), torch.tensor([4, 4, 5]), torch.tensor([6, 7, 4]))
    labels = LabelNumbers(torch.tensor([8, 9, 8]), torch.tensor([9, 9, 9]))
    rows = torch.eye(3)
    marked = Sides(rows, rows, rows, texts, labels).also_right()
    expected = AlsoRight.by_text(texts, texts) | AlsoRight.by_label(labels, labels)
    assert torch.equal(marked.positives, expected.positives) and marked.positives[0].tolist() == [False, True, True]
    assert marked.negatives[1].tolist() == [True, True, True]
    with pytest.raises(ValueError, match="texts and labels"):
        Sides(rows, rows, rows).also_right()
