"""The encoder with which rows are mined; what it has embedded is kept on disk while the build lasts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from one_embedder.config.schema import EncoderConfig

logger = logging.getLogger(__name__)

MAX_LENGTH = 32
"""Tokens of a text that are read; beyond that, similarity hardly changes and time does."""
CHUNK = 2048
"""Texts embedded between two writes."""
EMBEDDINGS = ".embeddings"


class Miner:
    """Embeds texts without instructions, each chunk only once over all tries of a build."""

    def __init__(self, encoder: EncoderConfig, work: Path) -> None:
        """Load the encoder.

        Args:
            encoder: which one; its ``max_length`` is not used.
            work: the build's folder for parts.
        """
        from one_embedder.encoder.embedder import InstructionEmbedder

        self._embedder = InstructionEmbedder(
            encoder.name_or_path, revision=encoder.revision, joining=encoder.joining, max_length=MAX_LENGTH
        )
        self._folder = work / EMBEDDINGS

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit-length embeddings (N, D), float32, row i of text i."""
        self._folder.mkdir(exist_ok=True)
        chunks = []
        for start in range(0, len(texts), CHUNK):
            chunks.append(self._chunk(texts[start : start + CHUNK]))
            logger.info("mining: %d of %d texts embedded", min(start + CHUNK, len(texts)), len(texts))
        return np.concatenate(chunks)

    def _chunk(self, texts: Sequence[str]) -> np.ndarray:
        path = self._folder / f"{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()[:16]}.npy"
        if not path.is_file():
            partial = path.with_suffix(".tmp")
            with partial.open("wb") as file:
                np.save(file, self._embedder.encode(list(texts), batch_size=64, show_progress_bar=False))
            partial.replace(path)
        return np.asarray(np.load(path))
