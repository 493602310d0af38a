"""The forms in which embeddings are handed out, against those of sentence-transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sentence_transformers.util import cos_sim, quantize_embeddings, truncate_embeddings

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.embedding.output import truncate
from one_embedder.errors import ConfigError

TEXTS = [f"{animal} {place}" for animal in ("cats", "dogs", "the dog", "") for place in ("in", "for the", "document")]
RANGES = np.stack([np.full(24, -0.4), np.full(24, 0.5)]).astype(np.float32)


def test_a_tensor_or_a_list_of_tensors_holds_the_same_numbers(embedder: InstructionEmbedder) -> None:
    array = embedder.encode(TEXTS)
    tensor = embedder.encode(TEXTS, convert_to_tensor=True)
    rows = embedder.encode(TEXTS, convert_to_numpy=False)
    assert isinstance(array, np.ndarray) and isinstance(tensor, torch.Tensor) and isinstance(rows, list)
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), array)
    np.testing.assert_array_equal(torch.stack(rows).numpy(), array)


def test_no_text_gives_an_empty_tensor_or_list(embedder: InstructionEmbedder) -> None:
    assert embedder.encode([], convert_to_tensor=True).shape == (0, 24)
    assert embedder.encode([], convert_to_numpy=False) == []


@pytest.mark.parametrize("width", [1, 7, 24])
def test_truncated_embeddings_are_sentence_transformers_made_unit_length(
    embedder: InstructionEmbedder, width: int
) -> None:
    cut = truncate_embeddings(embedder.encode(TEXTS, convert_to_tensor=True), width)
    expected = torch.nn.functional.normalize(cut, dim=-1)
    ours = embedder.encode(TEXTS, truncate_dim=width)
    assert ours.shape == (len(TEXTS), width) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_an_embedding_that_is_zero_where_it_is_kept_stays_zero() -> None:
    np.testing.assert_array_equal(truncate(np.eye(3, dtype=np.float32), 2), [[1, 0], [0, 1], [0, 0]])


@pytest.mark.parametrize("width", [None, 10])
@pytest.mark.parametrize(
    ("precision", "dtype"), [("int8", np.int8), ("uint8", np.uint8), ("binary", np.int8), ("ubinary", np.uint8)]
)
def test_quantised_embeddings_are_sentence_transformers(
    embedder: InstructionEmbedder, precision: Any, dtype: type, width: int | None
) -> None:
    ours = embedder.encode(TEXTS, precision=precision, truncate_dim=width)
    expected = quantize_embeddings(embedder.encode(TEXTS, truncate_dim=width), precision)
    assert ours.dtype == dtype
    np.testing.assert_array_equal(ours, expected)
    assert len(np.unique(ours, axis=0)) > 2
    assert embedder.encode([], precision=precision, truncate_dim=width).shape == (0, expected.shape[1])


def test_with_ranges_a_text_has_the_same_steps_alone_and_among_others(embedder: InstructionEmbedder) -> None:
    together = embedder.encode(TEXTS, precision="int8", ranges=RANGES)
    np.testing.assert_array_equal(embedder.encode(TEXTS[3], precision="int8", ranges=RANGES), together[3:4])
    assert not np.array_equal(together, embedder.encode(TEXTS, precision="int8"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"truncate_dim": 0}, "truncate_dim=0 must be between 1 and the embedding's 24"),
        ({"truncate_dim": 25}, "truncate_dim=25"),
        (
            {"truncate_dim": 12.0},
            "truncate_dim=12.0 must be between 1 and the embedding's 24 dimensions, and whole",
        ),
        ({"precision": "float16"}, "precision='float16' is unknown; choose one of float32, int8"),
        ({"ranges": RANGES}, "ranges belong to int8 and uint8"),
        ({"precision": "int8", "ranges": RANGES, "truncate_dim": 8}, r"shape \(2, 24\), not \(2, 8\)"),
        (
            {"precision": "uint8", "ranges": RANGES[::-1]},
            r"ranges\[0\] must be the smallest",
        ),
        ({"precision": "int8", "ranges": RANGES * np.nan}, r"ranges\[0\] must be the smallest"),
        ({"devices": []}, r"devices=\[\] must be a list"),
        ({"devices": "cpu"}, "devices='cpu' must be a list"),
        ({"devices": ["cpu", "gpu 1"]}, r"devices=\['cpu', 'gpu 1'\] must be torch devices"),
    ],
)
def test_what_cannot_be_handed_out_is_refused(
    embedder: InstructionEmbedder, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        embedder.encode(TEXTS, **arguments)


def test_the_ranges_of_a_single_text_are_not_invented(embedder: InstructionEmbedder) -> None:
    with pytest.raises(ConfigError, match="single text needs ranges"):
        embedder.encode("the cats", precision="int8")


def test_similarity_is_sentence_transformers_cosine(embedder: InstructionEmbedder) -> None:
    one, other = embedder.encode(TEXTS), embedder.encode(TEXTS[:4], "represent the question: ")
    similarities = embedder.similarity(one, other)
    assert isinstance(similarities, torch.Tensor) and similarities.shape == (len(TEXTS), 4)
    torch.testing.assert_close(similarities, cos_sim(one, other))
    torch.testing.assert_close(similarities, torch.from_numpy(one @ other.T), atol=1e-6, rtol=0)
    torch.testing.assert_close(embedder.similarity(list(one), torch.from_numpy(other)), similarities)


def test_similarity_compares_rows_of_any_float_type_and_of_a_table(embedder: InstructionEmbedder) -> None:
    rows = embedder.encode(TEXTS)
    expected = embedder.similarity(rows, rows[:4])
    for other in (rows[:4].astype(np.float64), pd.DataFrame(rows[:4]), list(rows[:4].astype(np.float64))):
        torch.testing.assert_close(embedder.similarity(rows, other), expected, check_dtype=False)
        torch.testing.assert_close(embedder.similarity(other, rows), expected.T, check_dtype=False)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.ones((2, 5), dtype=np.float32), "rows of 24 dimensions cannot be compared with rows of 5: .* truncate_dim"),
        (np.ones((1, 2, 24), dtype=np.float32), r"shape \(1, 2, 24\) cannot be compared; pass \(N, D\)"),
        ([np.ones(24), np.ones(5)], r"holds no rows of numbers \(.*pass embeddings, \(N, D\) or \(D,\)"),
        (["a cat"], "holds no rows of numbers"),
        (pd.DataFrame({"text": ["a cat"]}), "holds no rows of numbers"),
    ],
    ids=["width", "shape", "uneven", "texts", "table"],
)
def test_similarity_names_what_cannot_be_compared(embedder: InstructionEmbedder, other: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        embedder.similarity(embedder.encode(TEXTS), other)


@pytest.mark.parametrize("precision", ["int8", "uint8", "binary", "ubinary"])
def test_similarity_refuses_quantised_rows_whose_codes_are_no_vectors(
    embedder: InstructionEmbedder, precision: Any
) -> None:
    rows = embedder.encode(TEXTS, precision=precision)
    for given in (rows, list(rows), torch.from_numpy(rows)):
        with pytest.raises(ConfigError, match=r"are quantised; compare those of precision='float32'"):
            embedder.similarity(given, embedder.encode(TEXTS))
