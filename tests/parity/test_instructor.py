"""Our embeddings against those of InstructorEmbedding 1.0.1, on its own checkpoint format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import load_encoder
from tests.reference.published_encoder import published_embedding

TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    """The folder of the tiny INSTRUCTOR checkpoint, its pairs and what the package made of them."""
    folder = shared / "parity"
    if not (folder / "pairs.json").is_file():
        pytest.skip(f"no parity data in {folder}")
    return folder


@pytest.fixture(scope="module")
def pairs(reference: Path) -> list[list[str]]:
    """The 65 [instruction, text] pairs."""
    found = json.loads((reference / "pairs.json").read_text(encoding="utf-8"))
    assert len(found) == 65
    return found


@pytest.fixture(scope="module")
def embedder(reference: Path) -> InstructionEmbedder:
    """The tiny checkpoint, joined as the package joins."""
    return InstructionEmbedder(reference, device="cpu")


def published(reference: Path, name: str) -> np.ndarray:
    """One array of the package's results."""
    with np.load(reference / "reference_embeddings.npz") as arrays:
        return arrays[name]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_embeddings_equal_the_published_packages_for_every_pair(
    embedder: InstructionEmbedder, reference: Path, pairs: list[list[str]], batch_size: int, attention: str
) -> None:
    embedder.encoder.backbone.set_attn_implementation(attention)
    ours = embedder.encode(pairs, batch_size=batch_size)
    np.testing.assert_allclose(ours, published(reference, "embeddings"), atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(ours, published(reference, "embeddings_bs1"), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_embeddings_equal_the_published_packages_in_any_order(
    embedder: InstructionEmbedder, reference: Path, pairs: list[list[str]], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(pairs))
    ours = embedder.encode([pairs[row] for row in order], batch_size=16)
    np.testing.assert_allclose(ours, published(reference, "embeddings")[order], atol=TOLERANCE, rtol=0)


def test_plain_strings_equal_the_published_packages(
    embedder: InstructionEmbedder, reference: Path, pairs: list[list[str]]
) -> None:
    ours = embedder.encode([text for _, text in pairs])
    np.testing.assert_allclose(ours, published(reference, "plain_string_embeddings"), atol=TOLERANCE, rtol=0)


def test_token_ids_and_masked_lengths_equal_the_published_packages(
    embedder: InstructionEmbedder, reference: Path, pairs: list[list[str]]
) -> None:
    expected = json.loads((reference / "reference_tokens.json").read_text(encoding="utf-8"))
    ours = embedder.encoder.tokenizer.tokenize([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    assert [row.input_ids for row in ours] == [row["input_ids"] for row in expected]
    assert [row.instruction_length for row in ours] == [row["context_mask"] for row in expected]


@pytest.mark.parametrize("joining", ["pypi", "head"])
def test_every_pair_is_embedded_by_the_published_rules_written_out(
    reference: Path, pairs: list[list[str]], joining: str
) -> None:
    embedder = InstructionEmbedder(load_encoder(reference, joining=joining), device="cpu")
    literal = torch.stack([published_embedding(embedder.encoder, *pair, joining=joining) for pair in pairs]).numpy()
    np.testing.assert_allclose(embedder.encode(pairs), literal, atol=TOLERANCE, rtol=0)
    distance = np.abs(literal - published(reference, "embeddings")).max(axis=1)
    if joining == "pypi":
        assert distance.max() < TOLERANCE
    else:
        assert (distance > 1e-4).sum() == 39


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.integers(0, 64), min_size=1, max_size=12), batch_size=st.integers(1, 12))
def test_embeddings_equal_the_published_packages_in_any_company(
    embedder: InstructionEmbedder, reference: Path, pairs: list[list[str]], rows: list[int], batch_size: int
) -> None:
    ours = embedder.encode([pairs[row] for row in rows], batch_size=batch_size)
    np.testing.assert_allclose(ours, published(reference, "embeddings")[rows], atol=TOLERANCE, rtol=0)
