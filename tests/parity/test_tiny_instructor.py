"""Our embeddings against those of a literal implementation, on a committed folder in INSTRUCTOR's released format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_embedder.embedding.embedder import InstructionEmbedder
from tests.reference.literal_instructor import LiteralInstructor

FOLDER = Path(__file__).parent / "tiny_instructor"
TOLERANCE = 1e-6
PAIRS: list[list[str]] = json.loads((FOLDER / "pairs.json").read_text(encoding="utf-8"))
EXPECTED: np.ndarray = np.load(FOLDER / "reference_embeddings.npy")


@pytest.fixture(scope="module")
def embedder() -> InstructionEmbedder:
    return InstructionEmbedder(FOLDER, device="cpu")


def test_the_reference_is_what_the_literal_implementation_computes_today() -> None:
    literal = LiteralInstructor(FOLDER)
    np.testing.assert_allclose(np.stack([literal.embed(*pair) for pair in PAIRS]), EXPECTED, atol=1e-12, rtol=0)


def test_the_pairs_tell_texts_and_instructions_apart() -> None:
    """Else any encoder would agree with the reference."""
    distances = np.abs(EXPECTED[:, None] - EXPECTED[None]).max(axis=-1)
    joined = [(instruction + text.strip()).strip() for instruction, text in PAIRS]
    same = np.array([[one == other for other in joined] for one in joined])
    assert len(PAIRS) == 108
    assert np.median(distances[~same]) > 0.1


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_embeddings_equal_the_literal_implementations(
    embedder: InstructionEmbedder, batch_size: int, attention: str
) -> None:
    embedder.encoder.backbone.set_attn_implementation(attention)
    np.testing.assert_allclose(embedder.encode(PAIRS, batch_size=batch_size), EXPECTED, atol=TOLERANCE, rtol=0)


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.integers(0, len(PAIRS) - 1), min_size=1, max_size=12), batch_size=st.integers(1, 12))
def test_embeddings_equal_the_literal_implementations_in_any_company(
    embedder: InstructionEmbedder, rows: list[int], batch_size: int
) -> None:
    ours = embedder.encode([PAIRS[row] for row in rows], batch_size=batch_size)
    np.testing.assert_allclose(ours, EXPECTED[rows], atol=TOLERANCE, rtol=0)
