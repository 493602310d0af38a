"""Which texts share a forward pass: texts of like length, within a budget of texts and of padded tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import InstructionTokenizer, TokenizedText
from one_embedder.encoder.truncation import Cuts
from one_embedder.errors import ConfigError

log = logging.getLogger(__name__)

# 32 texts of 512 tokens, the published checkpoints' full length: short texts fill a large batch, long ones a small one.
MAX_TOKENS_PER_BATCH = 16_384
# Tokenised together: enough to sort well, few enough to fit in memory (the tokenizer takes some 35 bytes a character).
WINDOW_BATCHES = 64
WINDOW_CHARACTERS = 4_000_000


class Embedded(NamedTuple):
    """What became of N texts.

    Attributes:
        embeddings: (N, dimension) float32.
        cuts: (N,), what the maximum length took away of each text.
    """

    embeddings: NDArray[np.float32]
    cuts: Cuts

    @classmethod
    def empty(cls, count: int, dimension: int) -> Embedded:
        """Room for ``count`` texts."""
        return cls(np.empty((count, dimension), dtype=np.float32), np.zeros(count, dtype=np.uint8))


def embed_in_batches(
    encoder: InstructionEncoder,
    instructions: Sequence[str],
    texts: Sequence[str],
    *,
    batch_size: int,
    max_tokens: int | None,
    report: Callable[[int], Any],
) -> Embedded:
    """Embed texts, the longest first, so that too large a batch fails at once.

    The first that does not fit in memory is tried again in halves, as are all after it; a warning says so.

    Args:
        encoder: on its device, in evaluation mode.
        instructions: N of them, empty for none.
        texts: N of them.
        batch_size: most texts a forward pass.
        max_tokens: most padded tokens (rows times the longest of them) a forward pass; a text that alone has more
            goes alone. None leaves only the batch size.
        report: told after every forward pass how many texts it had.

    Returns:
        Rows in the order given.
    """
    made = Embedded.empty(len(texts), encoder.dimension)
    tokenizer = encoder.tokenizer  # the same to the end, whatever else is done with the encoder meanwhile
    forward = _Forward(encoder, tokenizer)
    characters = [len(instruction) + len(text) for instruction, text in zip(instructions, texts, strict=True)]
    for window in windows(characters, WINDOW_BATCHES * batch_size):
        tokens = tokenizer.tokenize([instructions[row] for row in window], [texts[row] for row in window])
        made.cuts[window] = [each.cut for each in tokens]
        for places in token_batches([len(each.input_ids) for each in tokens], batch_size, max_tokens):
            rows = [window[place] for place in places]
            made.embeddings[rows] = forward([tokens[place] for place in places])
            report(len(places))
    return made


def windows(characters: Sequence[int], most: int) -> Iterator[list[int]]:
    """Row numbers, longest first, in groups of at most ``most`` rows and ``WINDOW_CHARACTERS`` (or one text)."""
    window: list[int] = []
    total = 0
    for row in sorted(range(len(characters)), key=lambda row: -characters[row]):
        if window and (len(window) == most or total + characters[row] > WINDOW_CHARACTERS):
            yield window
            window, total = [], 0
        window.append(row)
        total += characters[row]
    if window:
        yield window


def token_batches(lengths: Sequence[int], batch_size: int, max_tokens: int | None) -> Iterator[list[int]]:
    """Places of texts of like length, longest first, in batches within both budgets."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    first = 0
    while first < len(order):
        fitting = batch_size if max_tokens is None else max_tokens // lengths[order[first]]
        size = max(1, min(batch_size, fitting))
        yield order[first : first + size]
        first += size


def check_budgets(batch_size: int, max_tokens: int | None) -> None:
    """Raise ConfigError if a batch could hold nothing, or not a whole number."""
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ConfigError(f"batch_size={batch_size!r} must be a whole number, at least 1")
    if max_tokens is not None and (not isinstance(max_tokens, int | np.integer) or max_tokens < 1):
        raise ConfigError(
            f"max_tokens_per_batch={max_tokens!r} must be a whole number, at least 1, or None for no bound"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device's memory did not suffice; for the CPU's torch has no error of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


class _Forward:
    """Forward passes: in one piece, until one does not fit in memory."""

    def __init__(self, encoder: InstructionEncoder, tokenizer: InstructionTokenizer) -> None:
        self.encoder, self.tokenizer, self.pieces = encoder, tokenizer, 1

    def __call__(self, tokens: Sequence[TokenizedText]) -> NDArray[np.float32]:
        try:
            return self._embedded(tokens)
        except RuntimeError as error:
            if self.pieces > 1 or len(tokens) < 2 or not is_out_of_memory(error):
                raise
        self.pieces = 2  # outside of the handler, whose error holds on to what the pass had
        log.warning(
            "the memory does not suffice for %d texts of up to %d tokens at once: they and the rest go in halves; a "
            "smaller batch_size or max_tokens_per_batch spares the try",
            len(tokens),
            max(len(each.input_ids) for each in tokens),
        )
        return self._embedded(tokens)

    def _embedded(self, tokens: Sequence[TokenizedText]) -> NDArray[np.float32]:
        size = -(-len(tokens) // self.pieces)
        return np.concatenate([self._pass(tokens[first : first + size]) for first in range(0, len(tokens), size)])

    @torch.inference_mode()
    def _pass(self, tokens: Sequence[TokenizedText]) -> NDArray[np.float32]:
        embeddings: NDArray[np.float32] = self.encoder(self.tokenizer.pad(tokens).to(self.encoder.device)).cpu().numpy()
        return embeddings
