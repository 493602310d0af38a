"""Gradients on two gloo processes against one process, and cached against plain ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, distributed, nn
from torch.nn.functional import normalize
from torch.nn.parallel import DistributedDataParallel

from one_embedder.config.schema import Config, LossConfig, SamplerConfig, TrainerConfig
from one_embedder.medi.batches.collate import NO_CLASS, ContrastiveBatch, LabelNumbers, TextNumbers
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.medi.row import MediRow
from one_embedder.medi.store import write_medi
from one_embedder.training.gather import gather, gather_sides
from one_embedder.training.grad_cache import cut
from one_embedder.training.loss import ContrastiveLoss, Sides
from one_embedder.training.module import InstructorModule
from tests.medi.toy import instruction_tokenizer, toy_rows
from tests.training.distributed import RANKS, run_distributed
from tests.training.tiny import tiny_encoder

pytestmark = pytest.mark.slow

Gradients = dict[str, Tensor]
LOSSES = {
    "released": ContrastiveLoss(),
    "paper": ContrastiveLoss(in_batch_positives=True),
    "no_hard_negatives": ContrastiveLoss(in_batch_positives=True, hard_negatives=False),
    "one_way": ContrastiveLoss(in_batch_positives=True, bidirectional=False),
    "other_instructions": ContrastiveLoss(in_batch_positives=True, other_instruction_negatives=True),
    "guarded": ContrastiveLoss(in_batch_positives=True, mask_same_text=True, mask_same_label=True, mask_margin=0.3),
}
ROWS, NEGATIVES = 6, (2, 1, 1, 3, 2, 1)  # hard negatives of each row: rank 0 has 4, rank 1 has 6


@dataclass(frozen=True)
class Case:
    """One way to compute the gradient of the first step of a training run."""

    mini_batch_size: int | None = None
    dropout: float = 0.0
    accumulate: int = 1
    in_chunks: int | None = None  # plain gradient, embedded in chunks, so that dropout is drawn as the cached one does


CASES = {
    "plain": Case(),
    **{f"cached_{chunk}": Case(mini_batch_size=chunk) for chunk in (2, 3, 100)},
    "plain_dropout": Case(in_chunks=3, dropout=0.3, accumulate=2),
    "cached_dropout": Case(mini_batch_size=3, dropout=0.3, accumulate=2),
}


class Towers(nn.Module):
    """The loss as a module with weights in float64, so that DDP averages their gradient."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(5, 4, dtype=torch.float64)

    def forward(self, loss: ContrastiveLoss, rows: Sides) -> Tensor:
        query, positive, negative = (
            normalize(self.linear(side), dim=-1) for side in (rows.query, rows.positive, rows.negative)
        )
        if not loss.hard_negatives:
            negative = negative[:0]  # as the module gives them: a gather of nothing
        other = normalize(self.linear(rows.query + 1.0), dim=-1)
        own = Sides(query, positive, negative, rows.texts, rows.labels, other)
        return loss.compare(own, *gather_sides(own)).loss(0.1)


def whole_batch() -> Sides:
    generator = torch.Generator().manual_seed(1)
    query, positive, negative = (
        torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (ROWS, ROWS, sum(NEGATIVES))
    )
    numbers = (torch.randint(6, (n,), generator=generator) for n in (ROWS, ROWS, sum(NEGATIVES)))
    labels = (torch.randint(NO_CLASS, 3, (n,), generator=generator) for n in (ROWS, sum(NEGATIVES)))
    return Sides(query, positive, negative, TextNumbers(*numbers), LabelNumbers(*labels))


def share(rank: int) -> Sides:
    """The rows of one process."""
    whole, rows, ends = whole_batch(), slice(3 * rank, 3 * rank + 3), (0, sum(NEGATIVES[:3]), sum(NEGATIVES))
    negatives = slice(ends[rank], ends[rank + 1])
    assert whole.texts is not None and whole.labels is not None
    texts = TextNumbers(whole.texts.query[rows], whole.texts.positive[rows], whole.texts.negative[negatives])
    labels = LabelNumbers(whole.labels.row[rows], whole.labels.negative[negatives])
    return Sides(whole.query[rows], whole.positive[rows], whole.negative[negatives], texts, labels)


def numbers_of(sides: Sides) -> list[Tensor]:
    """Texts and classes as numbers."""
    return [*(sides.texts or ()), *(sides.labels or ())]


def gradient(module: nn.Module, loss: ContrastiveLoss, rows: Sides) -> tuple[float, Gradients]:
    value = module(loss, rows)
    module.zero_grad()
    value.backward()
    return value.item(), {name.removeprefix("module."): _grad(weight) for name, weight in module.named_parameters()}


def _grad(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.grad.clone()


def toy_data(folder: Path) -> Path:
    """One task whose rows have one to three hard negatives."""
    rng = random.Random(0)
    rows: list[MediRow] = toy_rows({1: 16})
    more = [tuple(("", f"d{rng.randrange(6)}_1") for _ in range(rng.randrange(3))) for _ in rows]
    medi = folder / "medi"
    write_medi([replace(row, further_negatives=pairs) for row, pairs in zip(rows, more, strict=True)], medi, about={})
    return medi


class PlainInChunks(InstructorModule):
    """The plain gradient of a batch that is embedded in chunks."""

    chunk: int

    def embed(self, batch: ContrastiveBatch) -> tuple[Tensor, ...]:
        passes, apart = self.passes(batch)
        parts: list[list[Tensor]] = [[] for _ in passes]
        for piece in cut(passes, self.chunk):
            parts[piece.number].append(self.encoder(piece.texts))
        return apart([torch.cat(each) for each in parts])


class Catch(Callback):
    """Keeps the gradient of the first step and the losses of all batches."""

    def __init__(self) -> None:
        self.gradients: Gradients = {}
        self.losses: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.gradients = self.gradients or {name: _grad(weight) for name, weight in pl_module.named_parameters()}

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(outputs["loss"]))


def first_step(case: Case, medi: Path, devices: int) -> tuple[Gradients, list[float]]:
    """Fit for a step with the trainer, on batches of 8 rows over all devices."""
    kind: Callable[..., InstructorModule] = InstructorModule if case.in_chunks is None else PlainInChunks
    module = kind(
        tiny_encoder(dropout=case.dropout),
        Config(
            loss=LossConfig(
                "paper", temperature=0.1, learn_temperature=True, gather_negatives=True, mask_same_text=True
            ),
            trainer=TrainerConfig(
                max_steps=1,
                gradient_clip_val=None,
                mini_batch_size=case.mini_batch_size,
                accumulate_grad_batches=case.accumulate,
            ),
        ),
    )
    if isinstance(module, PlainInChunks):
        module.chunk = case.in_chunks or 0
    catch = Catch()
    trainer = Trainer(
        max_steps=1,
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        accumulate_grad_batches=case.accumulate if case.mini_batch_size is None else 1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[catch],
    )
    torch.manual_seed(trainer.global_rank)
    trainer.fit(
        module,
        MediDataModule(
            medi, instruction_tokenizer(), sampler=SamplerConfig(global_batch_size=8), with_instructions=True, seed=0
        ),
    )
    assert trainer.global_step == 1 and len(catch.losses) == case.accumulate
    return catch.gradients, catch.losses


def on_each_rank(medi: Path) -> dict[str, Any]:
    """Everything that needs two processes, in one go: starting them costs more than the rest."""
    rank = distributed.get_rank()
    rows = torch.arange(2 * (rank + 1)).reshape(-1, 1) + 10 * rank
    towers = DistributedDataParallel(Towers())
    return {
        "gathered": (*gather(rows), *(side.tolist() for side in numbers_of(gather_sides(share(rank))[0]))),
        "towers": {name: gradient(towers, loss, share(rank)) for name, loss in LOSSES.items()},
        "training": {name: first_step(case, medi, RANKS) for name, case in CASES.items()},
    }


@pytest.fixture(scope="module")
def medi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data(tmp_path_factory.mktemp("two_ranks"))


@pytest.fixture(scope="module")
def ranks(medi: Path) -> list[dict[str, Any]]:
    return run_distributed(on_each_rank, medi.parent, medi)


def test_rows_of_all_ranks_come_in_order_of_rank_however_many_each_has(ranks: list[dict[str, Any]]) -> None:
    expected = [side.tolist() for side in numbers_of(whole_batch())]
    for rank, first in ((0, 0), (1, 2)):
        rows, own, *numbers = ranks[rank]["gathered"]
        assert (rows.flatten().tolist(), own) == ([0, 1, 10, 11, 12, 13], first)
        assert numbers == expected


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradient_of_two_ranks_with_gathered_candidates_is_that_of_one_on_the_whole_batch(
    ranks: list[dict[str, Any]], name: str
) -> None:
    loss, expected = gradient(Towers(), LOSSES[name], whole_batch())
    found = [ranks[rank]["towers"][name] for rank in range(RANKS)]
    assert (found[0][0] + found[1][0]) / 2 == pytest.approx(loss, abs=1e-12)
    for _, gradients in found:
        assert_close(gradients, expected, 1e-10)


@pytest.mark.parametrize("name", ["plain", "cached_2", "cached_3", "cached_100"])
def test_training_on_two_ranks_has_the_gradient_of_one_process(
    ranks: list[dict[str, Any]], medi: Path, name: str
) -> None:
    expected, losses = first_step(Case(), medi, 1)
    found = [rank["training"][name] for rank in ranks]
    for gradients, _ in found:
        assert_close(gradients, expected, 1e-5)
    assert sum(own[0] for _, own in found) / RANKS == pytest.approx(losses[0], rel=1e-5)


def test_cached_gradient_with_dropout_and_accumulation_is_the_plain_one_of_the_same_chunks(
    ranks: list[dict[str, Any]],
) -> None:
    for rank in ranks:
        (cached, _), (plain, _) = rank["training"]["cached_dropout"], rank["training"]["plain_dropout"]
        assert_close(cached, plain, 1e-5)
    plain = ranks[0]["training"]["plain"][0]
    assert not torch.allclose(cached["encoder.backbone.shared.weight"], plain["encoder.backbone.shared.weight"])
    assert (
        ranks[0]["training"]["cached_dropout"][1] != ranks[1]["training"]["cached_dropout"][1]
    )  # own dropout, own rows


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.in_chunks is None])
def test_all_ranks_hold_the_same_gradient(ranks: list[dict[str, Any]], name: str) -> None:
    one, other = (rank["training"][name][0] for rank in ranks)
    assert all(torch.equal(one[weight], other[weight]) for weight in one)


def assert_close(ours: Gradients, theirs: Gradients, tolerance: float) -> None:
    """As close as ``tolerance`` times the largest number of each gradient, which must not be 0."""
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        largest = float(expected.abs().max())
        assert largest > 0, name
        torch.testing.assert_close(
            ours[name], expected, rtol=0, atol=tolerance * largest, msg=lambda m, n=name: f"{n}: {m}"
        )
