"""One embedder, several threads: the embeddings of one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import InstructionTokenizer

THREADS, CALLS = 16, 800
LONG = "cats and dogs, the question for retrieval " * 10
pytestmark = pytest.mark.filterwarnings("ignore::one_embedder.encoder.truncation.TruncationWarning")


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    """Let another thread go on every few microseconds."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def new_instruction(number: int) -> str:
    """An instruction of its own for each call, as a web server is sent them."""
    letters = "abcdefghij"
    return f"represent {letters[number % 10]}{letters[number // 10 % 10]} {'the ' * (number // 100)}question: "


def in_threads(call: Callable[[int], object], count: int) -> list[object]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(call, range(count)))


def test_sixteen_threads_with_ever_new_instructions_get_the_embeddings_of_one(
    make_encoder: Callable[..., InstructionEncoder],
) -> None:
    shared, alone = (InstructionEmbedder(make_encoder(), device="cpu") for _ in range(2))
    got = in_threads(lambda number: shared.encode([LONG, "cat"], new_instruction(number)), CALLS)
    expected = [alone.encode([LONG, "cat"], new_instruction(number)) for number in range(CALLS)]
    np.testing.assert_array_equal(np.array(got), np.array(expected))


def test_threads_that_cut_at_different_lengths_share_a_tokenizer(tokenizer: InstructionTokenizer) -> None:
    short = tokenizer.with_max_length(7)

    def length(number: int) -> int:
        chosen = short if number % 2 else tokenizer
        return len(chosen.tokenize([new_instruction(number % 500)], [LONG])[0].input_ids)

    assert in_threads(length, 2 * CALLS) == [32, 7] * CALLS


def test_the_callers_tokenizer_is_left_as_it_is_and_what_it_is_set_to_changes_nothing(
    tokenizer: InstructionTokenizer,
) -> None:
    theirs = tokenizer.tokenizer
    before = theirs.backend_tokenizer.to_str()
    expected = tokenizer.tokenize(["the: "], [LONG])
    assert theirs.backend_tokenizer.to_str() == before
    theirs([LONG, "cat"], truncation=True, max_length=3, padding=True)
    assert tokenizer.tokenize(["the: "], [LONG]) == expected


def test_an_embedder_does_not_remember_every_instruction_that_it_was_ever_sent(
    tokenizer: InstructionTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("one_embedder.encoder.tokenize._MEASURED", 10)
    expected = [tokenizer.tokenize([new_instruction(number)], ["cat"])[0] for number in range(30)]
    assert len(tokenizer._instruction_lengths) == 10
    assert tokenizer.tokenize([new_instruction(number) for number in range(30)], ["cat"] * 30) == expected
    assert len(tokenizer._instruction_lengths) == 10
