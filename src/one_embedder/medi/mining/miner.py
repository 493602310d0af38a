"""The encoder with which rows are mined; what it has embedded is kept on disk while the build lasts."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from one_embedder.config.schema import EncoderConfig
from one_embedder.encoder.truncation import cuts_kept
from one_embedder.medi.sources.build_key import build_key, file_states

if TYPE_CHECKING:
    from one_embedder.embedding.embedder import InstructionEmbedder

logger = logging.getLogger(__name__)

MAX_LENGTH = 32
"""Tokens of a text that are read; beyond that, similarity hardly changes and time does."""
CHUNK = 2048
"""Texts embedded between two writes."""
EMBEDDINGS = ".embeddings"
MODEL_FILES = frozenset({".safetensors", ".bin", ".json", ".txt", ".model"})
"""Of a local encoder; a card beside them is no part of it."""


MINING_KEYS = ("encoder.name_or_path", "encoder.revision", "encoder.joining", "medi.mining")
"""Settings of a build with mining."""


def mining_settings(encoder: EncoderConfig) -> dict[str, Any]:
    """What of an encoder a mined row depends on, as JSON values; of a local folder also when its files were changed."""
    folder = Path(encoder.name_or_path).expanduser()
    files = sorted(path for path in folder.rglob("*") if path.suffix in MODEL_FILES) if folder.is_dir() else []
    settings = {"name_or_path": encoder.name_or_path, "revision": encoder.revision, "joining": encoder.joining}
    return {**settings, "max_length": MAX_LENGTH, "files": file_states(files)}


class Miner:
    """Embeds texts without instructions, each chunk only once over all tries of a build.

    It computes in float64 and rounds to float32, so that the order of additions, which depends on the CPU and on
    the number of threads, does not show: in float32 it does in the last digits, and near-ties between candidates would
    then be decided by the machine. T5's norms stay in float32 whatever the weights are, so that for T5 encoders
    this holds but for the closest ties.
    """

    def __init__(self, encoder: EncoderConfig, work: Path) -> None:
        """Remember what to load when the first text comes.

        Args:
            encoder: which one; what ``mining_settings`` leaves out is not used.
            work: the build's folder for parts.
        """
        self._encoder, self._settings = encoder, mining_settings(encoder)
        self._folder = work / EMBEDDINGS

    @cached_property
    def _embedder(self) -> InstructionEmbedder:
        from one_embedder.embedding import embedder

        settings = self._encoder
        return embedder.InstructionEmbedder(
            settings.name_or_path,
            dtype="float64",
            revision=settings.revision,
            joining=settings.joining,
            max_length=MAX_LENGTH,
        )

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit-length embeddings (N, D), float32, row i of text i."""
        self._folder.mkdir(exist_ok=True)
        chunks = []
        for start in range(0, len(texts), CHUNK):
            chunks.append(self._chunk(texts[start : start + CHUNK]))
            logger.info("mining: %d of %d texts embedded", min(start + CHUNK, len(texts)), len(texts))
        return np.concatenate(chunks)

    def forget(self) -> None:
        """Free the disk of what was embedded so far."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _chunk(self, texts: Sequence[str]) -> np.ndarray:
        found = hashlib.sha256(chr(0).join(texts).encode()).hexdigest()
        path = self._folder / f"{build_key('embeddings', encoder=self._settings, texts=found)[:16]}.npy"
        if not path.is_file():
            partial = path.with_suffix(".tmp")
            with partial.open("wb") as file, cuts_kept():  # MAX_LENGTH is meant to cut
                np.save(
                    file, self._embedder.encode(list(texts), instruction="", batch_size=64, show_progress_bar=False)
                )
            partial.replace(path)
        return np.asarray(np.load(path))
