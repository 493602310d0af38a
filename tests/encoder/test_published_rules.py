"""The corners of the published rules, in both joinings: the tokens that are pooled, and the embedding made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import InstructionTokenizer
from tests.reference.published_encoder import published_embedding, published_tokens

ASK = "represent the question: "
LONG = "the question " * 20  # fills the tiny tokenizer's 32 tokens
SPACES = "\xa0\u2003\u3000\x1c\x85\u2028\t \v\f\r\n"  # what str.strip() takes away

# What -> instruction, text, tokens that 1.0.1 pools, tokens that the repository's head pools.
QUIRKS = {
    "instruction of one token": ("the ", "cats", "▁the ▁cat s </s>", "c a t s </s>"),
    "instruction of two tokens": ("the: ", "cats", "▁cat s </s>", "c a t s </s>"),
    "empty text": (ASK, "", "</s>", "</s>"),
    "empty text, no instruction": ("", "", "</s>", "</s>"),
    "instruction of the maximum length": (LONG, "cats", "</s>", "</s>"),
    "text longer than the maximum": ("the: ", "dog " * 40, "▁dog " * 29 + "</s>", "d o g " + "▁dog " * 26 + "</s>"),
    "text continues the last word": ("represent the dog", "s", "s </s>", "s </s>"),
    "text continues the last word with a piece": ("represent the retriev", "ing", "ing </s>", "ing </s>"),
    "end token spelled out in the text": (ASK, "a </s> b", "▁ a ▁ </s> ▁ b </s>", "a ▁ </s> ▁ b </s>"),
    "padding token spelled out in the text": (ASK, "<pad> cats", "▁ <pad> ▁cat s </s>", "<pad> ▁cat s </s>"),
    "end token spelled out in the instruction": ("the </s> dog: ", "cats", "▁cat s </s>", "c a t s </s>"),
    "instruction of white space": (" \t\n", "cats", "▁cat s </s>", "▁cat s </s>"),
    "instruction ends with a line break": ("represent the question:\n", "cats", "<unk> c a t s </s>", "c a t s </s>"),
    "instruction within spaces": ("  represent   the question:  ", "cats", "▁ ▁cat s </s>", "c a t s </s>"),
    "text within white space of every kind": (ASK, SPACES + "cats" + SPACES, "▁cat s </s>", "c a t s </s>"),
    "text of white space of every kind": (ASK, SPACES, "</s>", "</s>"),
    "white space inside the text": (
        ASK,
        "dog\tcats  dog",
        "▁dog <unk> c a t s ▁ ▁dog </s>",
        "d o g <unk> c a t s ▁ ▁dog </s>",
    ),
    "spaces without width": (ASK, "\u200bcats\ufeff", "▁ <unk> c a t s <unk> </s>", "<unk> c a t s <unk> </s>"),
}
JOININGS = ("pypi", "head")


def joined(tiny: InstructionEncoder, joining: str) -> InstructionEncoder:
    """The tiny encoder with the other joining; weights are shared."""
    tokenizer = InstructionTokenizer(tiny.tokenizer.tokenizer, tiny.tokenizer.max_length, joining)
    return InstructionEncoder(tiny.backbone, tokenizer, list(tiny.dense)).eval()


@pytest.fixture(scope="module", params=JOININGS)
def embedder(request: pytest.FixtureRequest, tiny: InstructionEncoder) -> InstructionEmbedder:
    """The tiny encoder in each joining."""
    return InstructionEmbedder(joined(tiny, request.param), device="cpu")


@pytest.mark.parametrize("quirk", QUIRKS)
def test_the_pooled_tokens_of_every_quirk_are_the_published_ones(embedder: InstructionEmbedder, quirk: str) -> None:
    instruction, text, *pooled = QUIRKS[quirk]
    tokenizer = embedder.encoder.tokenizer
    batch = tokenizer([instruction], [text])
    kept = batch.input_ids[0][batch.pooling_mask[0].bool()].tolist()
    assert tokenizer.tokenizer.convert_ids_to_tokens(kept) == pooled[JOININGS.index(tokenizer.joining)].split()


@pytest.mark.parametrize("batch_size", [1, 5, 32])
def test_the_embedding_of_every_quirk_follows_the_published_rules(
    embedder: InstructionEmbedder, batch_size: int
) -> None:
    pairs = [(instruction, text) for instruction, text, *_ in QUIRKS.values()]
    ours = embedder.encode(pairs, batch_size=batch_size)
    np.testing.assert_allclose(ours, literal(embedder, pairs), atol=1e-6, rtol=0)


def literal(embedder: InstructionEmbedder, pairs: list[tuple[str, str]]) -> np.ndarray:
    """The published rules' embeddings, one pair at a time."""
    encoder = embedder.encoder
    rows = [published_embedding(encoder, *pair, joining=encoder.tokenizer.joining) for pair in pairs]
    return torch.stack(rows).numpy()


SPACE_PIECES = [" ", "  ", "\t", "\n", "\xa0", "\u2003", "\u200b"]
PIECES = st.sampled_from([*SPACE_PIECES, "the", " cat", "s", "document ", "é", "?", "</s>", "<pad>", "<unk>"])
WRITTEN = st.lists(PIECES, max_size=12).map("".join)


@settings(max_examples=100, deadline=None)
@given(pairs=st.lists(st.tuples(WRITTEN, WRITTEN), min_size=1, max_size=6), joining=st.sampled_from(JOININGS))
def test_whatever_is_written_is_embedded_by_the_published_rules_together_or_alone(
    tiny: InstructionEncoder, pairs: list[tuple[str, str]], joining: str
) -> None:
    embedder = InstructionEmbedder(joined(tiny, joining), device="cpu")
    backend, length = tiny.tokenizer.tokenizer, tiny.tokenizer.max_length
    for pair in pairs:
        ids, skipped = published_tokens(backend, *pair, joining=joining, max_length=length)
        assume(skipped < len(ids))  # else the package pools nothing; the tests of the tokenizer say what is done here
    ours = embedder.encode(pairs)
    np.testing.assert_allclose(ours, literal(embedder, pairs), atol=1e-6, rtol=0)
    np.testing.assert_allclose(ours[::-1], embedder.encode(pairs[::-1], batch_size=1), atol=1e-6, rtol=0)


def test_the_package_gives_a_zero_vector_where_the_joint_leaves_it_nothing_and_we_the_end_token(
    tiny: InstructionEncoder,
) -> None:
    pair = ("represent the docu", "ment")  # alone, the instruction has more tokens than both together
    assert not published_embedding(tiny, *pair, joining="pypi").any()
    alone = InstructionEmbedder(tiny, device="cpu").encode([pair])
    ids = published_tokens(tiny.tokenizer.tokenizer, *pair, joining="pypi", max_length=32)[0]
    with torch.no_grad():
        end = tiny.backbone(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
        expected = torch.nn.functional.normalize(tiny.dense(end), dim=-1)
    np.testing.assert_allclose(alone[0], expected, atol=1e-6, rtol=0)
