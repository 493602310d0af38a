from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from one_embedder.config.schema import Config, LossConfig, OptimizerConfig, SamplerConfig, TrainerConfig
from one_embedder.errors import ConfigError
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.training.loss import ContrastiveLoss, Sides
from one_embedder.training.module import InstructorModule
from one_embedder.training.temperature import LARGEST, SMALLEST, LearnedTemperature
from tests.medi.toy import instruction_tokenizer
from tests.training.tiny import tiny_encoder


def module_with(learn: bool) -> InstructorModule:
    return InstructorModule(
        tiny_encoder(),
        Config(
            loss=LossConfig("paper", temperature=0.1, learn_temperature=learn, mask_same_text=True),
            optimizer=OptimizerConfig(weight_decay=0.5),
            trainer=TrainerConfig(max_steps=3, gradient_clip_val=None),
        ),
    )


def test_a_learned_temperature_gives_the_loss_and_the_gradient_of_the_number_it_stands_for(workplace: Path) -> None:
    """Other rows' positives and equal texts are left out at -inf, which must not make its gradient NaN."""
    data = MediDataModule(
        workplace / "data" / "medi",
        instruction_tokenizer(),
        sampler=SamplerConfig(global_batch_size=8),
        with_instructions=True,
        seed=0,
    )
    batch = next(iter(data.train_dataloader()))
    fixed, learned = module_with(False), module_with(True)
    losses = []
    for module in (fixed, learned):
        torch.manual_seed(5)
        losses.append(module.measure(module.embed(batch), batch).loss)
        losses[-1].backward()
    torch.testing.assert_close(*losses)
    for mine, its in zip(learned.encoder.parameters(), fixed.encoder.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-4, atol=1e-5)


def test_its_gradient_is_the_slope_of_the_loss() -> None:
    torch.manual_seed(0)
    rows = Sides(*(torch.nn.functional.normalize(torch.randn(5, 3, dtype=torch.float64), dim=-1) for _ in range(3)))
    compared = ContrastiveLoss(in_batch_positives=True, mask_margin=0.2).compare(rows)
    temperature = LearnedTemperature(0.1).double()
    (slope,) = torch.autograd.grad(compared.loss(temperature()), [temperature.logarithm])
    beside = [compared.loss(0.1 * math.exp(step)).item() for step in (-1e-5, 1e-5)]
    assert slope.item() == pytest.approx((beside[1] - beside[0]) / 2e-5, rel=1e-5)
    assert abs(slope.item()) > 0.01


def test_it_is_the_one_weight_of_a_group_without_decay_and_otherwise_there_is_no_such_group() -> None:
    groups = [module_with(learn).configure_optimizers()["optimizer"].param_groups for learn in (False, True)]
    assert len(groups[1]) == len(groups[0]) + 1
    assert [weight.shape for weight in groups[1][-1]["params"]] == [(1,)] and groups[1][-1]["weight_decay"] == 0.0
    assert {"encoder"} == {name.partition(".")[0] for name, _ in module_with(False).named_parameters()}


@pytest.mark.parametrize(("moved", "bound"), [(-50.0, SMALLEST), (50.0, LARGEST)])
def test_it_is_put_back_to_its_bounds_and_can_leave_them(moved: float, bound: float) -> None:
    temperature = LearnedTemperature(0.1)
    with torch.no_grad():
        temperature.logarithm += moved
    temperature.clamp()
    assert temperature().item() == pytest.approx(bound, rel=1e-5)
    temperature().backward()
    assert temperature.logarithm.grad is not None and temperature.logarithm.grad.item() > 0


@pytest.mark.parametrize("initial", [SMALLEST / 2, LARGEST * 2])
def test_a_beginning_outside_the_bounds_is_refused(initial: float) -> None:
    with pytest.raises(ConfigError, match=r"loss\.temperature=.*between 0\.001 and 1\.0"):
        LearnedTemperature(initial)
    assert all(LearnedTemperature(bound)().item() == pytest.approx(bound) for bound in (SMALLEST, LARGEST))
