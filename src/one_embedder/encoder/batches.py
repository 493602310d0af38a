"""Which texts share a forward pass: texts of like length, within a budget of texts and of padded tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import TokenizedText

# 32 texts of 512 tokens, the published checkpoints' full length: short texts fill a large batch, long ones a small one.
MAX_TOKENS_PER_BATCH = 16_384
# Tokenised together: enough to sort well, few enough to fit in memory (the tokenizer takes some 35 bytes a character).
WINDOW_BATCHES = 64
WINDOW_CHARACTERS = 4_000_000


def embed_in_batches(
    encoder: InstructionEncoder,
    instructions: Sequence[str],
    texts: Sequence[str],
    *,
    batch_size: int,
    max_tokens: int | None,
    report: Callable[[int], Any],
) -> NDArray[np.float32]:
    """Embed texts, the longest first, so that too large a batch fails at once.

    Args:
        encoder: on its device, in evaluation mode.
        instructions: N of them, empty for none.
        texts: N of them.
        batch_size: most texts a forward pass.
        max_tokens: most padded tokens (rows times the longest of them) a forward pass; a text that alone has more
            goes alone. None leaves only the batch size.
        report: told after every forward pass how many texts it had.

    Returns:
        (N, dimension) float32 in the order given.
    """
    embeddings = np.empty((len(texts), encoder.dimension), dtype=np.float32)
    characters = [len(instruction) + len(text) for instruction, text in zip(instructions, texts, strict=True)]
    for window in windows(characters, WINDOW_BATCHES * batch_size):
        tokens = encoder.tokenizer.tokenize([instructions[row] for row in window], [texts[row] for row in window])
        for places in token_batches([len(each.input_ids) for each in tokens], batch_size, max_tokens):
            embeddings[[window[place] for place in places]] = _forward(encoder, [tokens[place] for place in places])
            report(len(places))
    return embeddings


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


@torch.inference_mode()
def _forward(encoder: InstructionEncoder, tokens: Sequence[TokenizedText]) -> NDArray[np.float32]:
    embeddings: NDArray[np.float32] = encoder(encoder.tokenizer.pad(tokens).to(encoder.device)).cpu().numpy()
    return embeddings
