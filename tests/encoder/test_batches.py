"""Which texts share a forward pass, and that the embeddings do not tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_embedder.embedding import batches
from one_embedder.embedding.batches import token_batches, windows
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import TokenizedBatch
from one_embedder.errors import ConfigError, DataError

TEXTS = ["cats and dogs? " * repeats for repeats in (0, 1, 1, 9, 2, 3, 1, 0, 5, 1, 1, 2)]


@pytest.fixture
def shapes(tiny: InstructionEncoder) -> Iterator[list[tuple[int, int]]]:
    """The shape of every batch that goes through the encoder, in order."""
    seen: list[tuple[int, int]] = []

    def look(module: InstructionEncoder, arguments: tuple[TokenizedBatch]) -> None:
        seen.append(tuple(arguments[0].input_ids.shape))

    hook = tiny.register_forward_pre_hook(look)
    yield seen
    hook.remove()


@pytest.mark.parametrize("budget", [1, 20, 33, 64, 100])
def test_no_forward_pass_has_more_padded_tokens_than_the_budget_but_for_a_single_text(
    embedder: InstructionEmbedder, shapes: list[tuple[int, int]], budget: int
) -> None:
    embedder.encode(TEXTS, max_tokens_per_batch=budget)
    assert sum(rows for rows, _ in shapes) == len(TEXTS)
    assert all(rows * longest <= budget or rows == 1 for rows, longest in shapes)
    assert max(longest for _, longest in shapes) == 32  # a text that is cut off


def test_without_a_budget_the_batch_size_alone_counts(
    embedder: InstructionEmbedder, shapes: list[tuple[int, int]]
) -> None:
    embedder.encode(TEXTS, batch_size=5, max_tokens_per_batch=None)
    assert [rows for rows, _ in shapes] == [5, 5, 2]


def test_short_texts_fill_larger_batches_than_long_ones(
    embedder: InstructionEmbedder, shapes: list[tuple[int, int]]
) -> None:
    embedder.encode(TEXTS, max_tokens_per_batch=64)
    assert shapes[0][0] == 2
    assert shapes[-1][0] > 2


@pytest.mark.parametrize("wrap", [list, iter])
def test_a_wrong_text_is_named_before_any_other_is_encoded(
    embedder: InstructionEmbedder, shapes: list[tuple[int, int]], wrap: Callable[[list[object]], Iterable[str]]
) -> None:
    with pytest.raises(DataError, match=r"sentences\[12\] is 7 \(int\)"):
        embedder.encode(wrap([*TEXTS, 7]))
    assert shapes == []
    embedder.encode(TEXTS)
    assert shapes


@pytest.mark.parametrize("budget", [0, -1, 64.0])
def test_a_budget_that_is_no_number_of_tokens_is_refused(embedder: InstructionEmbedder, budget: Any) -> None:
    with pytest.raises(ConfigError, match=f"max_tokens_per_batch={budget}"):
        embedder.encode(TEXTS, max_tokens_per_batch=budget)


@settings(max_examples=200, deadline=None)
@given(lengths=st.lists(st.integers(1, 50)), batch_size=st.integers(1, 9), budget=st.none() | st.integers(1, 200))
def test_batches_hold_every_text_once_within_both_budgets(
    lengths: list[int], batch_size: int, budget: int | None
) -> None:
    made = list(token_batches(lengths, batch_size, budget))
    assert sorted(place for batch in made for place in batch) == list(range(len(lengths)))
    for batch in made:
        assert 1 <= len(batch) <= batch_size
        assert budget is None or len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= budget


@settings(max_examples=200, deadline=None)
@given(characters=st.lists(st.integers(0, 50)), most=st.integers(1, 9), limit=st.integers(1, 100))
def test_windows_hold_every_text_once_longest_first_and_few_characters(
    characters: list[int], most: int, limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "WINDOW_CHARACTERS", limit)
        made = list(windows(characters, most))
    rows = [row for window in made for row in window]
    assert sorted(rows) == list(range(len(characters)))
    assert [characters[row] for row in rows] == sorted(characters, reverse=True)
    for window in made:
        assert 1 <= len(window) <= most
        assert len(window) == 1 or sum(characters[row] for row in window) <= limit
