"""Losses that are not ours are trained like ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer

from one_embedder.config.schema import Config, LossConfig, OptimizerConfig, SamplerConfig, TrainerConfig
from one_embedder.errors import ConfigError
from one_embedder.medi.batches.collate import LabelNumbers, TextNumbers
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.training.loss import Sides
from one_embedder.training.module import InstructorModule
from one_embedder.training.objective import InstructorLoss, objective
from one_embedder.training.right_answers import AlsoRight
from one_embedder.training.temperature import SMALLEST
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


@pytest.mark.parametrize("negatives", [True, False])
@pytest.mark.parametrize("others", [True, False])
def test_the_sides_that_are_embedded_are_those_that_the_settings_compare(negatives: bool, others: bool) -> None:
    ours = objective(LossConfig("paper", hard_negatives=negatives, other_instruction_negatives=others))
    assert (ours.needs_negatives, ours.needs_other_queries) == (negatives, others)
    its_own = objective(OWN)
    assert its_own.needs_negatives and not its_own.needs_other_queries, "as long as the class says nothing else"


@pytest.mark.parametrize("wanted", [True, False])
def test_rows_of_other_processes_are_gathered_where_wanted_and_without_what_no_guard_reads(
    wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered: list[tuple[bool, bool]] = []

    def gather(own: Sides) -> tuple[Sides, int]:
        gathered.append((own.texts is not None, own.labels is not None))
        return own, 0

    monkeypatch.setattr("one_embedder.training.objective.gather_sides", gather)
    rows, numbers = torch.eye(3), torch.arange(3)
    batch = Sides(rows, rows, -rows, TextNumbers(numbers, numbers, numbers), LabelNumbers(numbers, numbers))
    for guards in ({}, {"mask_same_text": True}, {"mask_same_label": True}):
        InstructorLoss(gather_negatives=wanted, **guards).compare(batch)
    assert gathered == ([(False, False), (True, False), (False, True)] if wanted else [])


@pytest.mark.parametrize("temperature", [0.0, -0.1])
def test_a_temperature_that_is_not_positive_is_refused_when_the_loss_is_made(temperature: float) -> None:
    with pytest.raises(ConfigError, match=r"loss\.temperature must be > 0, got"):
        InstructorLoss(temperature=temperature)


def test_a_learned_temperature_that_left_its_bounds_is_back_in_them_at_the_next_batch_and_logged() -> None:
    learns, fixed = (InstructorLoss(temperature=0.1, learn_temperature=learn) for learn in (True, False))
    assert learns.learned_temperature is not None
    with torch.no_grad():
        learns.learned_temperature.logarithm -= 50.0
    batch = Sides(torch.eye(3), torch.eye(3), -torch.eye(3))
    assert learns(batch).metrics()["temperature"].item() == pytest.approx(SMALLEST)
    assert "temperature" not in fixed(batch).metrics()


def test_what_is_also_right_is_so_by_text_or_by_class() -> None:
    texts = TextNumbers(torch.tensor([1, 2, 3]), torch.tensor([4, 4, 5]), torch.tensor([6, 7, 4]))
    labels = LabelNumbers(torch.tensor([8, 9, 8]), torch.tensor([9, 9, 9]))
    rows = torch.eye(3)
    marked = Sides(rows, rows, rows, texts, labels).also_right()
    expected = AlsoRight.by_text(texts, texts) | AlsoRight.by_label(labels, labels)
    assert torch.equal(marked.positives, expected.positives) and marked.positives[0].tolist() == [False, True, True]
    assert marked.negatives[1].tolist() == [True, True, True]
    for part in (Sides(rows, rows, rows, texts), Sides(rows, rows, rows, labels=labels)):
        with pytest.raises(ValueError, match="texts and labels"):
            part.also_right()
