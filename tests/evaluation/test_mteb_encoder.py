"""The encoder as tasks see it: each text once, our instructions and no others, no embedding that is not a number."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mteb.models.models_protocols import EncoderProtocol
from mteb.types import PromptType

from one_embedder.encoder.truncation import Truncation, tell
from one_embedder.errors import EvaluationError, OneEmbedderError
from one_embedder.evaluation.encoder import CachingEncoder, MtebEncoder
from one_embedder.evaluation.task_instructions import TaskInstructions


def test_each_text_is_encoded_once_under_each_instruction(encoder) -> None:
    caching = CachingEncoder(encoder, batch_size=2)
    first = caching.encode(["a b", "c d", "a b"], "ask: ", task="T1")
    again = caching.encode(["c d", "e f"], "ask: ", task="T2")
    other = caching.encode(["a b"], "tell: ", task="T2")
    assert encoder.calls == [("ask: ", ["a b", "c d"]), ("ask: ", ["e f"]), ("tell: ", ["a b"])]
    assert (caching.encoded, caching.hits) == (4, 2)
    assert np.array_equal(first[0], first[2]) and np.array_equal(first[1], again[0])
    assert not np.allclose(first[0], other[0])


def test_a_full_cache_forgets_but_answers_rightly(encoder) -> None:
    small, large = CachingEncoder(encoder, batch_size=2, max_entries=3), CachingEncoder(encoder, batch_size=2)
    for texts in (["a", "b", "c"], ["c", "d", "e", "f"], ["a", "f"]):
        assert np.array_equal(small.encode(texts, "", task="T"), large.encode(texts, "", task="T"))
    assert small.encoded > large.encoded


def test_what_is_asked_for_in_large_numbers_is_answered_rightly_and_not_kept(encoder) -> None:
    streaming, keeping = (CachingEncoder(encoder, batch_size=2, max_kept_at_once=most) for most in (3, 100))
    chunk = [f"word{number}" for number in range(8)]
    for texts in (chunk, [*chunk, "word1"], ["word1", "word2"], chunk):
        assert np.array_equal(streaming.encode(texts, "", task="T"), keeping.encode(texts, "", task="T"))
    assert len(streaming._embeddings) == 2 and len(keeping._embeddings) == 8
    assert (streaming.encoded, keeping.encoded) == (8 + 8 + 2 + 6, 8)


class CuttingEncoder:
    """Reports texts of three words as cut and of four as lost, as ``InstructionEmbedder`` does."""

    revision = "cutting"

    def encode(self, sentences, instruction, **_):
        tell(np.array([max(0, len(text.split()) - 2) for text in sentences], dtype=np.uint8), 2)
        return np.ones((len(sentences), 3), dtype=np.float32)


@pytest.mark.parametrize("limits", [{}, {"max_entries": 2}, {"max_kept_at_once": 1}])
def test_what_was_cut_is_counted_for_every_task_that_asks_for_it_whoever_asked_first(limits) -> None:
    caching = CachingEncoder(CuttingEncoder(), batch_size=2, **limits)
    texts = ["a", "a b c", "a b c d", "a b c"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for task in ("T1", "T2"):
            caching.encode(texts, "", task=task)
            caching.encode(texts[:3], "", task=task)
    assert caching.truncation == {task: Truncation(texts=7, cut=5, lost=2) for task in ("T1", "T2")}
    caching.encode(["a"], "", task="T3")
    assert caching.truncation["T3"] == Truncation(texts=1)


def test_an_embedding_that_is_not_finite_names_task_and_row() -> None:
    def encode(sentences, instruction, **_):
        return np.array([[np.nan if text == "bad text" else 1.0] for text in sentences], dtype=np.float32)

    caching = CachingEncoder(SimpleNamespace(encode=encode, revision="r"), batch_size=2)
    with pytest.raises(EvaluationError, match=r"task STS12: the embedding of row 3 .*bad text"):
        caching.encode(["fine", "fine", "bad text"], "", task="STS12")


def test_an_encoder_that_refuses_is_reported_with_the_task() -> None:
    def encode(sentences, instruction, **_):
        raise OneEmbedderError("overflow in float16")

    caching = CachingEncoder(SimpleNamespace(encode=encode, revision="r"), batch_size=2)
    with pytest.raises(EvaluationError, match=r"task STS12.*overflow in float16"):
        caching.encode(["x"], "", task="STS12")


@pytest.mark.parametrize(
    ("prompt_type", "expected"), [(PromptType.query, "ask: "), (PromptType.document, "tell: "), (None, "ask: ")]
)
def test_mteb_gets_the_tables_instruction_of_the_side(encoder, prompt_type, expected: str) -> None:
    model = MtebEncoder(CachingEncoder(encoder, batch_size=2), TaskInstructions("ask: ", "tell: "), name="local/hash")
    # A task that mteb knows and has prompts for: they must not be used.
    metadata = SimpleNamespace(name="SciFact", type="Retrieval", prompt={"query": "mteb's own"})
    model.encode(
        [{"text": ["a", "b"]}, {"text": ["c"]}],
        task_metadata=metadata,
        hf_split="test",
        hf_subset="",
        prompt_type=prompt_type,
    )
    assert encoder.calls == [(expected, ["a", "b", "c"])]


def test_it_is_an_mteb_encoder_with_our_revision(encoder) -> None:
    model = MtebEncoder(CachingEncoder(encoder, batch_size=2), TaskInstructions(), name="local/hash")
    assert isinstance(model, EncoderProtocol)
    assert model.mteb_model_meta.revision == encoder.revision
    assert float(model.similarity(torch.tensor([2.0, 0.0]), torch.tensor([3.0, 0.0]))) == pytest.approx(1.0)
