"""Folders that we write, loaded by plain sentence-transformers: the same embeddings, with and without a prompt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from one_embedder.encoder.checkpoint import load_encoder, save_encoder
from one_embedder.encoder.embedder import InstructionEmbedder
from one_embedder.encoder.locate import locate

INSTRUCTION = "Represent the Wikipedia question for retrieving supporting documents: "
TEXTS = [
    "who wrote the play Hamlet and when was it performed",
    "Return the cumulative sum of the elements along a given axis.",
    "cat",
    "Naïve café, 12 µm; e.g. `numpy.cumsum(a, axis=None)`",
    "A long text about nothing in particular, told again and again. " * 30,
    "one line\nand another",
]


def sentence_transformer(folder: Path):
    """Plain sentence-transformers, imported late: it takes seconds."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(params=["minilm", "parity"])
def name(request: pytest.FixtureRequest) -> str:
    """A BERT without dense layer, and INSTRUCTOR's own kind: a T5 with one."""
    if request.param == "minilm":
        return "minilm"
    folder = request.getfixturevalue("shared") / "parity"
    if not folder.is_dir():
        pytest.skip(f"no parity data in {folder}")
    return str(folder)


@pytest.mark.parametrize("max_length", [None, 48])
def test_a_saved_folder_gives_sentence_transformers_our_embeddings(
    name: str, max_length: int | None, tmp_path: Path
) -> None:
    ours = InstructionEmbedder(name, device="cpu", max_length=max_length)
    save_encoder(ours.encoder, tmp_path / "model", prompts={"question": INSTRUCTION})
    theirs = sentence_transformer(tmp_path / "model")
    np.testing.assert_allclose(theirs.encode(TEXTS), ours.encode(TEXTS), atol=1e-5, rtol=0)
    for prompt in ({"prompt": INSTRUCTION}, {"prompt_name": "question"}):
        np.testing.assert_allclose(theirs.encode(TEXTS, **prompt), ours.encode(TEXTS, INSTRUCTION), atol=1e-5, rtol=0)
    assert np.abs(ours.encode(TEXTS, INSTRUCTION) - ours.encode(TEXTS)).max() > 1e-2


def test_minilm_without_instruction_is_plain_all_minilm() -> None:
    theirs = sentence_transformer(locate("minilm")).encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(InstructionEmbedder("minilm", device="cpu").encode(TEXTS), theirs, atol=1e-6, rtol=0)


def test_a_folder_that_sentence_transformers_saved_loads_here(name: str, tmp_path: Path) -> None:
    theirs = sentence_transformer(locate(name))
    theirs.set_pooling_include_prompt(False)
    theirs.save(str(tmp_path / "model"), create_model_card=False)
    ours = InstructionEmbedder(tmp_path / "model", device="cpu")
    assert ours.encoder.tokenizer.max_length == load_encoder(name).tokenizer.max_length
    np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-5, rtol=0)
    expected = theirs.encode(TEXTS, prompt=INSTRUCTION)
    np.testing.assert_allclose(ours.encode(TEXTS, INSTRUCTION), expected, atol=1e-5, rtol=0)
