"""InstructionEmbedder: the public way from texts to embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from one_embedder.encoder.batches import MAX_TOKENS_PER_BATCH, embed_in_batches
from one_embedder.encoder.checkpoint import load_encoder, weights_sha256
from one_embedder.encoder.device import find_device
from one_embedder.encoder.inputs import Instructions, Sentences, pair_up
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.output import Precision, check_output, quantize, truncate
from one_embedder.encoder.processes import EncoderPool
from one_embedder.errors import ConfigError, OneEmbedderError

Embeddings: TypeAlias = NDArray[Any] | Tensor | list[Any]

_DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_LONG_WORK = 2.0  # seconds after which a progress bar is worth its line


class InstructionEmbedder:
    """Turns texts, each with an instruction or without one, into embeddings of length 1.

    Args:
        name_or_path: ``"minilm"``, a local folder, a hub id, or an encoder that is already loaded; that one is moved
            to the device, cast and set to evaluation in place.
        device: a torch device or its name; a number is that GPU. None takes the GPU if there is one.
        dtype: of the transformer's weights: "float32", "bfloat16" or "float16"; pooling and dense layers keep float32.
            "float64" holds for these too, and only the embeddings are rounded to float32: what batches, threads and
            machines do to the last digits is rounded away (T5's norms take their variance in float32 all the same).
        joining, revision, max_length: as in ``load_encoder``; not for an encoder that is already loaded.

    Raises:
        CheckpointError: if the model cannot be loaded.
        ConfigError: if an argument is wrong.
    """

    def __init__(
        self,
        name_or_path: str | Path | InstructionEncoder,
        *,
        device: str | int | torch.device | None = None,
        dtype: str = "float32",
        joining: str = "pypi",
        revision: str | None = None,
        max_length: int | None = None,
    ) -> None:
        if dtype not in _DTYPES:
            raise ConfigError(f"dtype={dtype!r} is unknown; choose one of {', '.join(_DTYPES)}")
        self.device = find_device(device)  # first, so that a wrong name is told before weights are read
        if isinstance(name_or_path, InstructionEncoder):
            if (joining, revision, max_length) != ("pypi", None, None):
                raise ConfigError("joining, revision and max_length belong to load_encoder: the encoder is loaded")
            self.encoder = name_or_path
        else:
            self.encoder = load_encoder(name_or_path, revision=revision, joining=joining, max_length=max_length)
        _move(self.encoder.eval(), self.device)
        self.dtype = dtype
        _cast(self.encoder, _DTYPES[dtype])

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

    @overload
    def encode(
        self,
        sentences: Sentences,
        instruction: Instructions = ...,
        *,
        batch_size: int = ...,
        max_tokens_per_batch: int | None = ...,
        show_progress_bar: bool | None = ...,
        convert_to_numpy: Literal[True] = ...,
        convert_to_tensor: Literal[False] = ...,
        truncate_dim: int | None = ...,
        precision: Precision = ...,
        ranges: NDArray[np.float32] | None = ...,
        devices: Sequence[str] | None = ...,
        pool: EncoderPool | None = ...,
    ) -> NDArray[Any]: ...

    @overload
    def encode(
        self,
        sentences: Sentences,
        instruction: Instructions = ...,
        *,
        batch_size: int = ...,
        max_tokens_per_batch: int | None = ...,
        show_progress_bar: bool | None = ...,
        convert_to_numpy: bool = ...,
        convert_to_tensor: Literal[True],
        truncate_dim: int | None = ...,
        precision: Precision = ...,
        ranges: NDArray[np.float32] | None = ...,
        devices: Sequence[str] | None = ...,
        pool: EncoderPool | None = ...,
    ) -> Tensor: ...

    @overload
    def encode(
        self,
        sentences: Sentences,
        instruction: Instructions = ...,
        *,
        batch_size: int = ...,
        max_tokens_per_batch: int | None = ...,
        show_progress_bar: bool | None = ...,
        convert_to_numpy: Literal[False],
        convert_to_tensor: Literal[False] = ...,
        truncate_dim: int | None = ...,
        precision: Precision = ...,
        ranges: NDArray[np.float32] | None = ...,
        devices: Sequence[str] | None = ...,
        pool: EncoderPool | None = ...,
    ) -> list[Tensor]: ...

    def encode(
        self,
        sentences: Sentences,
        instruction: Instructions = None,
        *,
        batch_size: int = 32,
        max_tokens_per_batch: int | None = MAX_TOKENS_PER_BATCH,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        truncate_dim: int | None = None,
        precision: Precision = "float32",
        ranges: NDArray[np.float32] | None = None,
        devices: Sequence[str] | None = None,
        pool: EncoderPool | None = None,
    ) -> NDArray[Any] | Tensor | list[Tensor]:
        """Embed texts.

        Everything is read and checked before the first text is encoded, a generator too: its texts have to fit in
        memory. ``encoder.stream.encode_file`` reads, encodes and writes piece by piece.

        Args:
            sentences: one text, several in any ordered collection (list, array, pandas or ``datasets`` column,
                generator), or ``[[instruction, text], ...]`` as the InstructorEmbedding package takes.
            instruction: one for all texts, one each, or None. An empty text is embedded by its end token alone.
            batch_size: most texts a forward pass; texts of like length share one.
            max_tokens_per_batch: most padded tokens (texts times the longest of them) a forward pass, which is what
                its memory grows with; a text that alone has more goes alone. None: no bound.
            show_progress_bar: None shows it on a terminal, once the work has taken two seconds.
            convert_to_numpy: False gives a list of tensors, one a text.
            convert_to_tensor: True gives one tensor, on the embedder's device.
            truncate_dim: keep this many of the first dimensions and give them length 1 again; for encoders that were
                trained for it (Matryoshka).
            precision: "float32", "int8", "uint8" (each dimension's range in 256 steps), "binary" or "ubinary" (the
                sign of each dimension, eight a byte), as sentence-transformers makes them.
            ranges: (2, D), smallest and largest value of each dimension, for "int8" and "uint8". Without them they
                are measured on these very embeddings: rows of two calls are then not comparable.
            devices: encode in a process on each of these, started for this call; see ``start_pool``.
            pool: encode in processes that ``start_pool`` started.

        Returns:
            (N, D) in the order given; one text gives one row, no text none. float32 rows have length 1.

        Raises:
            DataError: if an element is not a string, named by its index, or the instructions are not one each.
            ConfigError: if an argument is out of range.
            OneEmbedderError: if an embedding is not finite, or a process fails.
        """
        _check_budgets(batch_size, max_tokens_per_batch)
        check_output(self.dimension, truncate_dim, precision, ranges)
        if devices is not None and pool is not None:
            raise ConfigError("devices and pool name the processes twice; pass one of them")
        if pool is not None and pool.encoder is not self.encoder:
            raise ConfigError("the pool holds another encoder; start one with this embedder's start_pool")
        instructions, texts = pair_up(sentences, instruction)
        with ExitStack() as stack:
            if devices is not None and texts:
                pool = stack.enter_context(self.start_pool(devices))
            progress = stack.enter_context(_progress_bar(len(texts), show_progress_bar))
            embed = partial(embed_in_batches, self.encoder) if pool is None else pool.embed
            embeddings = embed(
                instructions, texts, batch_size=batch_size, max_tokens=max_tokens_per_batch, report=progress.update
            )
        self._require_finite(embeddings)
        rows = quantize(truncate(embeddings, truncate_dim), precision, ranges)
        if convert_to_numpy and not convert_to_tensor:
            return rows
        tensor = torch.from_numpy(rows).to(self.device)
        return tensor if convert_to_tensor else list(tensor)

    def similarity(self, one: Embeddings, other: Embeddings) -> Tensor:
        """Cosine similarities (N, M) of N embeddings to M, by sentence-transformers' function."""
        from sentence_transformers.util import cos_sim  # seconds to import

        return cos_sim(one, other)

    def start_pool(self, devices: Sequence[str | int]) -> EncoderPool:
        """Start a process on each device, for many calls of ``encode(..., pool=...)``.

        Starting takes seconds: each process imports torch and reads the weights. Close the pool, or use it in a
        ``with`` block, in a script under ``if __name__ == "__main__":``.

        Args:
            devices: ``["cuda:0", "cuda:1"]``, or ``["cpu", "cpu"]`` to share the cores out.

        Raises:
            ConfigError: if there is no device or one has no such name.
        """
        return EncoderPool(self.encoder, devices)

    def _require_finite(self, embeddings: NDArray[np.float32]) -> None:
        broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if len(broken):
            raise OneEmbedderError(
                f"{len(broken)} embeddings are not finite, the first of text {broken[0]}, in {self.dtype}; "
                "T5 overflows in float16: use bfloat16 or float32"
            )


def _move(encoder: InstructionEncoder, device: torch.device) -> None:
    try:
        encoder.to(device)
    except RuntimeError as error:  # no room
        raise ConfigError(f"device={str(device)!r} cannot be used: {error}") from error


def _cast(encoder: InstructionEncoder, dtype: torch.dtype) -> None:
    torch.nn.Module.to(encoder.backbone, dtype=dtype)
    encoder.dense.to(dtype=torch.float64 if dtype == torch.float64 else torch.float32)


def _check_budgets(batch_size: int, max_tokens: int | None) -> None:
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size} must be at least 1")
    if max_tokens is not None and max_tokens < 1:
        raise ConfigError(f"max_tokens_per_batch={max_tokens} must be at least 1, or None for no bound")


def _progress_bar(total: int, show: bool | None) -> tqdm[Any]:
    hidden = None if show is None else not show  # None: tqdm hides it where the output is no terminal
    return tqdm(total=total, desc="encode", unit="text", disable=hidden, delay=_LONG_WORK if show is None else 0)
