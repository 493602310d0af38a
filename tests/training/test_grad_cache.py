from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import TokenizedBatch
from one_embedder.training.grad_cache import cached_backward, cut
from one_embedder.training.loss import ContrastiveLoss, Sides
from one_embedder.training.temperature import LearnedTemperature
from tests.training.tiny import tiny_encoder

ROWS = (6, 6, 11)  # queries, positives, and several negatives a row
CHUNKS = [1, 2, 4, 5, 100]  # divide all, some or none of the sides, or exceed them
WORDS = 20


class Towers(nn.Module):
    """An encoder in float64 with much dropout."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(WORDS, 8, dtype=torch.float64)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(8, 5, dtype=torch.float64)
        self.calls: list[tuple[int, bool]] = []  # rows, and whether a graph was kept

    def forward(self, batch: TokenizedBatch) -> Tensor:
        self.calls.append((len(batch), torch.is_grad_enabled()))
        words = self.dropout(self.words(batch.input_ids)) * batch.pooling_mask.unsqueeze(-1)
        return normalize(self.linear(words.sum(dim=1)), dim=-1)


def sides() -> list[TokenizedBatch]:
    generator = torch.Generator().manual_seed(1)
    batches = []
    for rows in ROWS:
        ids = torch.randint(WORDS, (rows, 7), generator=generator)
        mask = (torch.arange(7) < torch.randint(2, 8, (rows, 1), generator=generator)).long()
        batches.append(TokenizedBatch(ids, mask, mask))
    return batches


def contrast(embeddings: Sequence[Tensor], temperature: LearnedTemperature) -> Tensor:
    return ContrastiveLoss(in_batch_positives=True).compare(Sides(*embeddings)).loss(temperature())


Result = tuple[Tensor, list[Tensor], Tensor]  # loss, gradients, the next random number


def plain(encoder: nn.Module, temperature: LearnedTemperature, batches: list[TokenizedBatch], chunk: int) -> Result:
    """One backward pass through everything, embedded in the same chunks."""
    torch.manual_seed(3)
    parts: list[list[Tensor]] = [[] for _ in batches]
    for piece in cut(batches, chunk):
        parts[piece.number].append(encoder(piece.texts))
    loss = contrast([torch.cat(part) for part in parts], temperature)
    loss.backward()
    return loss.detach(), collect(encoder, temperature), torch.rand(())


def cached(encoder: nn.Module, temperature: LearnedTemperature, batches: list[TokenizedBatch], chunk: int) -> Result:
    torch.manual_seed(3)
    loss = cached_backward(
        cast(InstructionEncoder, encoder),
        batches,
        chunk,
        loss=lambda embeddings: contrast(embeddings, temperature),
        backward=lambda share, is_last: share.backward(),
        parameters=list(temperature.parameters()),
    )
    return loss, collect(encoder, temperature), torch.rand(())


def collect(*modules: nn.Module) -> list[Tensor]:
    """The gradients, which are then forgotten."""
    found = []
    for weight in (weight for module in modules for weight in module.parameters()):
        assert weight.grad is not None
        found.append(weight.grad)
        weight.grad = None
    return found


def assert_equal(ours: Result, theirs: Result, **tolerance: Any) -> None:
    torch.testing.assert_close(ours[0], theirs[0], **tolerance)
    for mine, its in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(mine, its, **tolerance)
        assert its.abs().max() > 1e-6
    assert torch.equal(ours[2], theirs[2])


@pytest.mark.parametrize("chunk", CHUNKS)
def test_gradient_with_dropout_equals_that_of_the_same_chunks_at_once(chunk: int) -> None:
    encoder, temperature = Towers(dropout=0.5), LearnedTemperature(0.1)
    batches = sides()
    expected = plain(encoder, temperature, batches, chunk)
    assert_equal(cached(encoder, temperature, batches, chunk), expected, rtol=1e-9, atol=1e-12)
    with torch.no_grad():
        assert not torch.equal(encoder(batches[0]), encoder(batches[0]))  # dropout is active


@pytest.mark.parametrize("chunk", CHUNKS)
def test_gradient_without_dropout_does_not_depend_on_the_chunks(chunk: int) -> None:
    encoder, temperature = Towers(dropout=0.0), LearnedTemperature(0.1)
    expected = plain(encoder, temperature, sides(), 1000)
    assert_equal(cached(encoder, temperature, sides(), chunk), expected, rtol=1e-9, atol=1e-12)


def test_a_replay_with_other_dropout_would_be_another_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the test above against a replay that changes nothing."""
    encoder, temperature = Towers(dropout=0.5), LearnedTemperature(0.1)
    expected = plain(encoder, temperature, sides(), 4)
    monkeypatch.setattr("one_embedder.training.generators.torch.set_rng_state", lambda state: None)
    _, gradients, _ = cached(encoder, temperature, sides(), 4)
    assert not torch.allclose(gradients[0], expected[1][0])


class OnMps(Tensor):
    """A tensor of the CPU that says it is on Apple's GPU."""

    device = torch.device("mps")  # type: ignore[assignment]


class TowersOnMps(Towers):
    """Drops out with a generator of its own, as an accelerator does."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(dropout=0.0)
        self.generator = generator

    def forward(self, batch: TokenizedBatch) -> Tensor:
        kept = torch.rand(len(batch), 5, generator=self.generator, dtype=torch.float64) > 0.5
        plain = TokenizedBatch(batch.input_ids.as_subclass(Tensor), batch.attention_mask, batch.pooling_mask)
        return normalize(super().forward(plain) * kept + 0.1, dim=-1)


def test_dropout_on_mps_is_replayed_from_its_own_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator()
    monkeypatch.setattr("torch.mps.get_rng_state", lambda device="mps": generator.get_state())
    monkeypatch.setattr("torch.mps.set_rng_state", lambda state, device="mps": generator.set_state(state))
    batches = [
        TokenizedBatch(side.input_ids.as_subclass(OnMps), side.attention_mask, side.pooling_mask) for side in sides()
    ]
    encoder, temperature, results = TowersOnMps(generator), LearnedTemperature(0.1), []
    for step in (plain, cached):
        generator.manual_seed(7)
        results.append(step(encoder, temperature, batches, 4))
        results[-1] = (*results[-1][:2], torch.rand((), generator=generator))
    assert_equal(results[1], results[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_each_side_is_cut_by_its_own_rows_and_a_graph_is_kept_for_one_chunk_at_a_time(chunk: int) -> None:
    batches = sides()
    pieces = cut(batches, chunk)
    for side, batch in enumerate(batches):
        ids = [piece.texts.input_ids for piece in pieces if piece.number == side]
        assert torch.equal(torch.cat(ids), batch.input_ids)
        assert [len(part) for part in ids[:-1]] == [chunk] * (len(ids) - 1) and 0 < len(ids[-1]) <= chunk
    encoder, flags, calls_at = Towers(dropout=0.0), [], []
    cached_backward(
        cast(InstructionEncoder, encoder),
        batches,
        chunk,
        loss=lambda embeddings: contrast(embeddings, LearnedTemperature(0.1)),
        backward=lambda share, is_last: (share.backward(), flags.append(is_last), calls_at.append(len(encoder.calls))),
    )
    sizes = [len(piece.texts) for piece in pieces]
    assert encoder.calls == [(size, False) for size in sizes] + [(size, True) for size in sizes]
    assert calls_at == [len(pieces) + number for number in range(1, len(pieces) + 1)]  # backward after each
    assert flags == [False] * (len(pieces) - 1) + [True]


def test_gradient_under_bf16_autocast_equals_that_of_the_same_chunks_at_once() -> None:
    """Weights that autocast casts in the pass without a graph must not serve the pass with one."""
    encoder, temperature = tiny_encoder(dropout=0.2).train(), LearnedTemperature(0.1)
    words = ["q0_0 q1_1 q2_0", "d1_0 d0_2", "q3_1", "d2_2 d1_1 d0_0 d0_1", "q4_0"]
    batches = [encoder.tokenizer([""] * 5, words[first:] + words[:first]) for first in range(3)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = plain(encoder, temperature, batches, 2)
        torch.clear_autocast_cache()
        ours = cached(encoder, temperature, batches, 2)
    for mine, its in zip(ours[1], expected[1], strict=True):
        assert its.abs().max() > 0
        torch.testing.assert_close(mine, its, rtol=0.02, atol=0.02 * float(its.abs().max()))
    assert torch.equal(ours[0], expected[0])
