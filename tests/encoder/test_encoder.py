"""Pooling and the encoder: what an embedding depends on, and what it does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from one_embedder.encoder.dense import Dense
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.pooling import masked_mean
from one_embedder.encoder.tokenize import InstructionTokenizer
from one_embedder.errors import CheckpointError
from tests.reference.published_encoder import published_embedding

IDENTITY = "torch.nn.modules.linear.Identity"
TANH = "torch.nn.modules.activation.Tanh"
INSTRUCTION = "represent the question for retrieval: "
TEXTS = ["the cats", "", "dog", "cats and dogs? " * 20, "a document"]


@torch.no_grad()
@pytest.mark.parametrize("instruction", ["", "the ", INSTRUCTION])
@pytest.mark.parametrize("layers", [[], [(16, 24, False, IDENTITY)], [(16, 8, True, TANH), (8, 40, False, IDENTITY)]])
def test_a_padded_batch_equals_the_published_rules_taken_one_text_at_a_time(
    make_encoder: Callable[..., InstructionEncoder], layers: list[tuple[int, int, bool, str]], instruction: str
) -> None:
    encoder = make_encoder(*(Dense(i, o, bias=bias, activation=name) for i, o, bias, name in layers))
    ours = encoder(encoder.tokenizer([instruction] * len(TEXTS), TEXTS))
    literal = torch.stack([published_embedding(encoder, instruction, text, joining="pypi") for text in TEXTS])
    assert ours.shape == (len(TEXTS), encoder.dimension)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, literal, atol=1e-6, rtol=0)


@torch.no_grad()
def test_golden_embeddings_of_the_tiny_encoder(tiny: InstructionEncoder) -> None:
    embeddings = tiny(tiny.tokenizer([INSTRUCTION, "", INSTRUCTION], ["the cats", "the cats", ""]))
    torch.testing.assert_close(embeddings[:, :4], torch.tensor(GOLDEN), atol=2e-6, rtol=0)


GOLDEN = [
    [0.139396, 0.349352, 0.076843, -0.139455],
    [0.282744, 0.355806, -0.040921, -0.056608],
    [-0.032212, 0.145568, -0.116251, -0.271426],
]


@torch.no_grad()
def test_the_instruction_changes_the_embedding_although_it_is_not_pooled(tiny: InstructionEncoder) -> None:
    plain, instructed, other = tiny(tiny.tokenizer(["", INSTRUCTION, "represent the dog: "], ["cats"] * 3))
    assert (plain - instructed).abs().max() > 1e-3
    assert (other - instructed).abs().max() > 1e-3


@torch.no_grad()
def test_embeddings_have_length_one(tiny: InstructionEncoder) -> None:
    lengths = tiny(tiny.tokenizer([INSTRUCTION] * len(TEXTS), TEXTS)).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones(len(TEXTS)))


@settings(max_examples=40, deadline=None)
@given(
    hidden=hnp.arrays(np.float32, (3, 5, 2), elements=st.floats(-10, 10, width=32)),
    mask=hnp.arrays(np.int64, (3, 5), elements=st.integers(0, 1)),
    noise=st.floats(-100, 100),
)
def test_the_masked_mean_is_the_mean_of_what_is_kept_whatever_stands_elsewhere(
    hidden: np.ndarray, mask: np.ndarray, noise: float
) -> None:
    disturbed = np.where(mask[..., None] == 1, hidden, np.float32(noise))
    result = masked_mean(torch.tensor(disturbed), torch.tensor(mask)).numpy()
    for row in range(3):
        kept = hidden[row][mask[row] == 1]
        expected = kept.mean(axis=0) if len(kept) else np.zeros(2)
        np.testing.assert_allclose(result[row], expected, atol=1e-5)


def test_half_precision_is_summed_in_float32_and_double_in_float64() -> None:
    """The mean of 1 and 1 + 2 ** -n is one bit longer than either."""
    for half_or_double, bits, wanted in ((torch.bfloat16, 7, torch.float32), (torch.float64, 51, torch.float64)):
        hidden = torch.tensor([[[1.0], [1.0 + 2.0**-bits]]], dtype=half_or_double)
        mean = masked_mean(hidden, torch.ones(1, 2, dtype=torch.long))
        assert mean.dtype == wanted and mean.item() == 1.0 + 2.0 ** -(bits + 1)


def test_every_weight_of_the_encoder_receives_a_gradient(make_encoder: Callable[..., InstructionEncoder]) -> None:
    encoder = make_encoder(Dense(16, 24, bias=True, activation=TANH))
    encoder(encoder.tokenizer([INSTRUCTION, ""], ["cats", "dog"]))[:, 0].sum().backward()
    without = [name for name, weight in encoder.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_dense_layers_that_do_not_fit_are_refused(make_encoder: Callable[..., InstructionEncoder]) -> None:
    with pytest.raises(CheckpointError, match="dense layer 1 takes 17 features but is given 16"):
        make_encoder(Dense(17, 24, bias=False, activation=IDENTITY))


def test_a_tokenizer_of_a_larger_model_is_refused(
    make_encoder: Callable[..., InstructionEncoder], minilm: InstructionEncoder
) -> None:
    with pytest.raises(CheckpointError, match="different models"):
        InstructionEncoder(make_encoder().backbone, InstructionTokenizer(minilm.tokenizer.tokenizer, 32))
