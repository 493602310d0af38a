"""What the maximum length takes away is told, once a call."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.tokenize import InstructionTokenizer
from one_embedder.encoder.truncation import Cut, Truncation, TruncationWarning, cuts_kept

INSTRUCTION = "represent the question for retrieval: "
HUGE = "represent the question " * 100
LONG = "cats and dogs " * 30


def test_two_texts_that_their_instruction_leaves_nothing_of_are_equal_and_the_call_says_so(
    embedder: InstructionEmbedder,
) -> None:
    with pytest.warns(TruncationWarning) as told:
        rows = embedder.encode(["a cat", "the documents of the dog"], HUGE)
    np.testing.assert_array_equal(rows[0], rows[1])
    assert [str(warning.message) for warning in told] == [
        "2 of 2 texts are, with their instruction, longer than 32 tokens and were cut; of 2 the instruction left "
        "nothing: shorten it, or raise the maximum length"
    ]
    assert told[0].filename == __file__, "the warning must name the caller's line"


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_a_call_warns_once_and_counts_all_its_batches(embedder: InstructionEmbedder, batch_size: int) -> None:
    texts = ["cat", LONG, "dog", LONG, LONG, ""]
    instructions = ["", "", HUGE, INSTRUCTION, HUGE, HUGE]
    with pytest.warns(TruncationWarning) as told:
        embedder.encode(texts, instructions, batch_size=batch_size)
    assert len(told) == 1
    assert str(told[0].message).startswith("5 of 6 texts are")
    assert "of 2 the instruction left nothing" in str(told[0].message)


def test_a_call_whose_texts_all_fit_says_nothing(embedder: InstructionEmbedder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(embedder.encode(["cat", ""], INSTRUCTION)) == 2


def test_who_asks_for_the_cuts_gets_them_row_by_row_instead_of_a_warning(embedder: InstructionEmbedder) -> None:
    with warnings.catch_warnings(), cuts_kept() as kept:
        warnings.simplefilter("error")
        embedder.encode([LONG, "cat", LONG], [HUGE, "", INSTRUCTION])
        embedder.encode("cat")
    assert [cuts.tolist() for cuts in kept] == [[Cut.ALL, Cut.NONE, Cut.END], [Cut.NONE]]
    assert sum(map(Truncation.of, kept), Truncation()) == Truncation(texts=4, cut=2, lost=1)
    with pytest.warns(TruncationWarning):
        embedder.encode(LONG)


@pytest.mark.parametrize("name", ["tokenizer", "minilm"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    instruction=st.sampled_from(["", "the ", INSTRUCTION, "cat: " * 5]),
    text=st.text("abc dogs.?\n", max_size=80),
    max_length=st.integers(3, 40),
)
def test_tokens_are_those_of_the_library_and_what_is_cut_is_what_does_not_fit(
    request: pytest.FixtureRequest, name: str, instruction: str, text: str, max_length: int
) -> None:
    fixture = request.getfixturevalue(name)
    whole: InstructionTokenizer = fixture if name == "tokenizer" else fixture.tokenizer
    joined = (instruction + text.strip()).strip()
    row = whole.with_max_length(max_length).tokenize([instruction], [text])[0]
    assert row.input_ids == whole.tokenizer(joined, truncation=True, max_length=max_length)["input_ids"]
    all_of_it = whole.tokenizer(joined)["input_ids"]
    assert (row.cut != Cut.NONE) == (len(all_of_it) > max_length)
    pools_text = row.instruction_length < len(row.input_ids) - 1
    assert (row.cut == Cut.ALL) == (row.cut != Cut.NONE and bool(text.strip()) and not pools_text)
