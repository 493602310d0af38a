"""The collections of texts that ``encode`` takes."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset

from one_embedder.embedding.inputs import pair_up
from one_embedder.errors import DataError
from one_embedder.instructions.template import Instruction

TEXTS = ["the cats", "", "naïve dog"]
DATASET = Dataset.from_dict({"text": TEXTS, "other": [1, 2, 3]})
COLLECTIONS = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "generator": lambda: (text for text in TEXTS),
    "numpy strings": np.array(TEXTS),
    "numpy objects": np.array(TEXTS, dtype=object),
    "numpy scalars": list(np.array(TEXTS)),
    "series": pd.Series(TEXTS, index=[7, 7, 9]),
    "datasets column": DATASET["text"],
    "datasets slice": DATASET[:]["text"],
    "values of a dictionary": dict(enumerate(TEXTS)).values(),
}


def given(collection: Any) -> Any:
    """The collection; a generator anew."""
    return collection() if callable(collection) else collection


@pytest.mark.parametrize("collection", COLLECTIONS.values(), ids=COLLECTIONS)
def test_any_ordered_collection_is_taken_for_texts_and_for_instructions(collection: Any) -> None:
    assert pair_up(given(collection), "i: ") == (["i: "] * 3, TEXTS)
    assert pair_up(["a", "b", "c"], given(collection)) == (TEXTS, ["a", "b", "c"])
    assert all(type(text) is str for text in pair_up(given(collection), None)[1])


class Prompt(str, Enum):  # noqa: UP042 - one whose str() is its name, as of older code
    """Instructions by name."""

    ASK = "Represent the question: "


def test_one_text_is_one_text_whatever_holds_it() -> None:
    for text in ("dog", np.str_("dog"), np.array("dog")):
        assert pair_up(text, Instruction("question")) == (["Represent the question: "], ["dog"])
    assert pair_up(Prompt.ASK, Prompt.ASK) == ([Prompt.ASK.value], [Prompt.ASK.value])


def test_pairs_are_taken_from_lists_arrays_and_generators() -> None:
    pairs = [["i", "a"], ["j", "b"]]
    for collection in (pairs, tuple(map(tuple, pairs)), np.array(pairs), (pair for pair in pairs)):
        assert pair_up(collection, None) == (["i", "j"], ["a", "b"])
    assert pair_up([(Instruction("question"), "a")], None)[0] == ["Represent the question: "]


@pytest.mark.parametrize(
    ("collection", "message"),
    [
        (pd.DataFrame({"text": TEXTS}), "sentences is a table (DataFrame); pass one of its columns"),
        (DATASET, "sentences is a table (Dataset)"),
        ({"text": TEXTS}, "ordered collection"),
        (set(TEXTS), "ordered collection"),
        (b"bytes", "sentences is b'bytes' (bytes)"),
        (7, "sentences is 7 (int)"),
        (None, "sentences is None"),
        (pd.Series(["a", None, "b"]), "sentences[1] is nan (float), not a string"),
        (np.array(["a", 2.5], dtype=object), "sentences[1] is 2.5 (float)"),
        ((text for text in ["a", "b", 3]), "sentences[2] is 3 (int)"),
        (["a", "b\ud800"], "sentences[1] holds half a character"),
    ],
)
def test_what_is_no_column_of_texts_is_refused(collection: Any, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        pair_up(collection, None)


def test_the_one_wrong_text_among_a_million_is_named() -> None:
    texts: list[Any] = ["text"] * 1_000_000
    texts[765_432] = 1.5
    with pytest.raises(DataError, match=r"sentences\[765432\] is 1.5 \(float\), not a string; convert it or drop"):
        pair_up(texts, "instruction")
