"""InstructionEmbedder: the public way from texts to embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from one_embedder.encoder.checkpoint import load_encoder, weights_sha256
from one_embedder.encoder.inputs import pair_up
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import TokenizedText
from one_embedder.errors import ConfigError, OneEmbedderError
from one_embedder.instruction import Instruction

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_WINDOW = 64  # batches tokenised together: enough to sort well, few enough that a large corpus' tokens fit in memory
_LONG_WORK = 2.0  # seconds after which a progress bar is worth its line


class InstructionEmbedder:
    """Turns texts, each with an instruction or without one, into embeddings of length 1.

    Args:
        name_or_path: ``"minilm"``, a local folder, a hub id, or an encoder that is already loaded; that one is moved
            to the device, cast and set to evaluation in place.
        device: a torch device; None takes the GPU if there is one.
        dtype: of the transformer's weights: "float32", "bfloat16" or "float16"; pooling and dense layers keep float32.
        joining, revision, max_length: as in ``load_encoder``; not for an encoder that is already loaded.

    Raises:
        CheckpointError: if the model cannot be loaded.
        ConfigError: if an argument is wrong.
    """

    def __init__(
        self,
        name_or_path: str | Path | InstructionEncoder,
        *,
        device: str | torch.device | None = None,
        dtype: str = "float32",
        joining: str = "pypi",
        revision: str | None = None,
        max_length: int | None = None,
    ) -> None:
        if dtype not in _DTYPES:
            raise ConfigError(f"dtype={dtype!r} is unknown; choose one of {', '.join(_DTYPES)}")
        if isinstance(name_or_path, InstructionEncoder):
            if (joining, revision, max_length) != ("pypi", None, None):
                raise ConfigError("joining, revision and max_length belong to load_encoder: the encoder is loaded")
            self.encoder = name_or_path
        else:
            self.encoder = load_encoder(name_or_path, revision=revision, joining=joining, max_length=max_length)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = dtype
        self.encoder.to(self.device).eval()
        torch.nn.Module.to(self.encoder.backbone, dtype=_DTYPES[dtype])

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return self.encoder.dimension

    @cached_property
    def revision(self) -> str:
        """Hash of all that embeddings depend on: weights, tokenizer, joining, maximum length and dense activations."""
        tokenizer = self.encoder.tokenizer
        rules = [tokenizer.joining, str(tokenizer.max_length), tokenizer.vocabulary()]
        facts = [weights_sha256(self.encoder), str(self.encoder.dense), *rules]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()

    def encode(
        self,
        sentences: str | Sequence[str] | Sequence[Sequence[str]],
        instruction: str | Instruction | Sequence[str | Instruction] | None = None,
        *,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
    ) -> NDArray[np.float32]:
        """Embed texts.

        Args:
            sentences: one text, several, or ``[[instruction, text], ...]`` as the InstructorEmbedding package takes.
            instruction: one for all texts, one each, or None. An empty text is embedded by its end token alone.
            batch_size: texts per forward pass; texts of like length share one.
            show_progress_bar: None shows it on a terminal, once the work has taken two seconds.

        Returns:
            (N, dimension) float32 in the order given, rows of length 1; one text gives one row, no text none.

        Raises:
            DataError: if an element is not a string, named by its index, or the instructions are not one each.
            ConfigError: if ``batch_size`` is less than 1.
            OneEmbedderError: if an embedding is not finite.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size} must be at least 1")
        instructions, texts = pair_up(sentences, instruction)
        embeddings = np.empty((len(texts), self.dimension), dtype=np.float32)
        with _progress_bar(len(texts), show_progress_bar) as progress:
            for rows, tokens in self._batches(instructions, texts, batch_size):
                embeddings[rows] = self._embed(tokens)
                progress.update(len(rows))
        self._require_finite(embeddings)
        return embeddings

    def _batches(
        self, instructions: list[str], texts: list[str], batch_size: int
    ) -> Iterator[tuple[list[int], list[TokenizedText]]]:
        """Row numbers and tokens of each batch, longest first, so that too large a batch fails at once."""
        by_characters = sorted(range(len(texts)), key=lambda row: -len(texts[row]) - len(instructions[row]))
        for start in range(0, len(texts), _WINDOW * batch_size):
            window = by_characters[start : start + _WINDOW * batch_size]
            tokens = self.encoder.tokenizer.tokenize(
                [instructions[row] for row in window], [texts[row] for row in window]
            )
            order = sorted(range(len(window)), key=lambda place: -len(tokens[place].input_ids))
            for first in range(0, len(order), batch_size):
                places = order[first : first + batch_size]
                yield [window[place] for place in places], [tokens[place] for place in places]

    @torch.inference_mode()
    def _embed(self, tokens: list[TokenizedText]) -> NDArray[Any]:
        batch = self.encoder.tokenizer.pad(tokens).to(self.device)
        embeddings: NDArray[Any] = self.encoder(batch).cpu().numpy()
        return embeddings

    def _require_finite(self, embeddings: NDArray[np.float32]) -> None:
        broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if len(broken):
            raise OneEmbedderError(
                f"{len(broken)} embeddings are not finite, the first of text {broken[0]}, in {self.dtype}; "
                "T5 overflows in float16: use bfloat16 or float32"
            )


def _progress_bar(total: int, show: bool | None) -> tqdm[Any]:
    hidden = None if show is None else not show  # None: tqdm hides it where the output is no terminal
    return tqdm(total=total, desc="encode", unit="text", disable=hidden, delay=_LONG_WORK if show is None else 0)
