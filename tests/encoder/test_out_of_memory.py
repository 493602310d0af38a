"""A batch that does not fit in memory is tried once more in halves, and so is all that follows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.embedding.encode_file import encode_file
from one_embedder.embedding.records import RecordFile
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import TokenizedBatch
from one_embedder.errors import OneEmbedderError

TEXTS = [f"cats and {'dog ' * (row % 5)}{row}" for row in range(24)]
OF_THE_CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"


@pytest.fixture
def embedder(tiny: InstructionEncoder) -> InstructionEmbedder:
    return InstructionEmbedder(tiny, device="cpu")


@pytest.fixture
def holds(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, RuntimeError], list[int]]:
    """Let a device hold so many texts; returns how many were tried at once, as they come."""

    def limit(most: int, error: RuntimeError) -> list[int]:
        tried: list[int] = []
        plain = InstructionEncoder.forward

        def forward(encoder: InstructionEncoder, batch: TokenizedBatch) -> torch.Tensor:
            tried.append(len(batch))
            if len(batch) > most:
                raise error
            return plain(encoder, batch)

        monkeypatch.setattr(InstructionEncoder, "forward", forward)
        return tried

    return limit


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(OF_THE_CPU)])
def test_a_batch_that_does_not_fit_is_halved_once_with_one_warning_and_the_same_embeddings(
    embedder: InstructionEmbedder,
    holds: Callable[[int, RuntimeError], list[int]],
    error: RuntimeError,
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected = embedder.encode(TEXTS, batch_size=8)
    tried = holds(4, error)
    with caplog.at_level(logging.WARNING):
        found = embedder.encode(TEXTS, batch_size=8)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert tried == [8, 4, 4, 4, 4, 4, 4], "one try is lost, not one a batch"
    assert caplog.text.count("go in halves") == 1


def test_what_does_not_fit_in_halves_either_is_an_error_that_says_what_to_lower(
    embedder: InstructionEmbedder, holds: Callable[[int, RuntimeError], list[int]], tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    holds(1, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(OneEmbedderError, match=r"memory does not suffice.*--max-tokens-per-batch"):
        encode_file(embedder, RecordFile(tmp_path / "texts.txt"), tmp_path / "made.npy", batch_size=8)


def test_another_error_is_not_tried_again(
    embedder: InstructionEmbedder, holds: Callable[[int, RuntimeError], list[int]]
) -> None:
    tried = holds(4, RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        embedder.encode(TEXTS, batch_size=8)
    assert tried == [8]
