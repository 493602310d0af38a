"""InstructionEmbedder: the public way from texts to embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from one_embedder.embedding.arguments import (
    OF_CONSTRUCTOR,
    OF_ENCODE,
    ArrayOptions,
    ListOptions,
    TensorOptions,
    devices_of,
    refuse_others,
)
from one_embedder.embedding.batches import MAX_TOKENS_PER_BATCH, check_budgets, embed_in_batches
from one_embedder.embedding.inputs import Instructions, Sentences, pair_up
from one_embedder.embedding.output import Precision, check_output, cosine, quantize, truncate
from one_embedder.embedding.processes import EncoderPool
from one_embedder.embedding.prompts import chosen, named, read_prompts
from one_embedder.encoder.backbone import beyond_weights
from one_embedder.encoder.checkpoint import check_positions, is_quantized, load_encoder, weights_sha256
from one_embedder.encoder.device import find_device
from one_embedder.encoder.locate import locate
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.truncation import tell
from one_embedder.errors import ConfigError, OneEmbedderError

Embeddings: TypeAlias = NDArray[Any] | Tensor | list[Any]

_DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_LONG_WORK = 2.0  # seconds after which a progress bar is worth its line
_SETTABLE = ("max_seq_length", "prompts", "default_prompt_name")


class InstructionEmbedder:
    """Turns texts, each with an instruction or without one, into embeddings of length 1.

    One embedder serves any number of threads.

    Args:
        name_or_path: ``"minilm"``, a local folder, a hub id, or an encoder that is already loaded; that one is moved
            to the device, cast and set to evaluation in place.
        device: a torch device or its name; a number is that GPU. None takes the GPU if there is one.
        dtype: of the transformer's weights: "float32", "bfloat16" or "float16"; pooling and dense layers keep float32.
            "float64" holds for these too, and only the embeddings are rounded to float32: what batches, threads and
            machines do to the last digits is rounded away (T5's norms take their variance in float32 all the same).
        joining, revision, max_length: as in ``load_encoder``; not for an encoder that is already loaded.
        prompts: instructions by name, for ``encode(..., prompt_name=...)``; None takes those of the folder.
        default_prompt_name: of the instruction of calls that name none; None takes what the folder says, usually none,
            if the prompts have it.
        cache_folder, token: where a model of the hub is kept, and by whose leave it is fetched; None leaves both to
            huggingface_hub.
        others: further arguments of sentence-transformers' constructor: accepted where they ask for what is done
            anyway (``trust_remote_code=False``), otherwise refused with a remedy.

    Attributes:
        encoder: what embeds.
        name: of the model, or its folder, as it was asked for; of an encoder that was loaded before, its folder.
        device: where it is.
        dtype: of the transformer's weights.
        max_seq_length: most tokens of a text with its instruction; may be set, for the calls from then on.
        prompts, default_prompt_name: may be set.

    Raises:
        CheckpointError: if the model cannot be loaded.
        ConfigError: if an argument is wrong, or an attribute is set that would have no effect.
    """

    encoder: InstructionEncoder
    name: str
    device: torch.device
    dtype: str

    def __init__(
        self,
        name_or_path: str | Path | InstructionEncoder,
        *,
        device: str | int | torch.device | None = None,
        dtype: str = "float32",
        joining: str = "pypi",
        revision: str | None = None,
        max_length: int | None = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | Path | None = None,
        token: str | bool | None = None,
        **others: Any,
    ) -> None:
        refuse_others("InstructionEmbedder", others, OF_CONSTRUCTOR)
        if dtype not in _DTYPES:
            raise ConfigError(f"dtype={dtype!r} is unknown; choose one of {', '.join(_DTYPES)}")
        # Nothing is moved first, so that a wrong name is told before weights are read.
        self.device = find_device(device)
        own: dict[str, str] = {}
        default: str | None = None
        if isinstance(name_or_path, InstructionEncoder):
            if (joining, revision, max_length) != ("pypi", None, None):
                raise ConfigError("joining, revision and max_length belong to load_encoder: the encoder is loaded")
            if dtype != "float32" and is_quantized(name_or_path):
                raise ConfigError(f"dtype={dtype!r}: the encoder is quantised, its weights keep their type; drop it")
            self.encoder, self.name = name_or_path, str(name_or_path.backbone.name_or_path)
        else:
            folder = locate(name_or_path, revision, cache_folder=cache_folder, token=token)
            self.name = str(name_or_path)
            self.encoder = load_encoder(folder, joining=joining, max_length=max_length)
            own, default = read_prompts(folder)
        self.prompts = dict(own if prompts is None else prompts)
        own_default = default if default in self.prompts else None
        self.default_prompt_name = own_default if default_prompt_name is None else default_prompt_name
        _move(self.encoder.eval(), self.device)
        self.dtype = dtype
        _cast(self.encoder, _DTYPES[dtype])

    def __setattr__(self, name: str, value: Any) -> None:
        """Set what has an effect; what would only be kept, and ignored, is refused."""
        if name in InstructionEmbedder.__annotations__:
            has_effect = name not in vars(self)  # it is being made
        else:
            own = type(self) is not InstructionEmbedder and not hasattr(InstructionEmbedder, name)  # a subclass's
            has_effect = own or name in _SETTABLE or name.startswith("_") or callable(getattr(type(self), name, None))
        if not has_effect:
            raise ConfigError(
                f"{name} of an embedder cannot be set: it would change nothing. max_seq_length, prompts and "
                "default_prompt_name can; the rest are arguments of InstructionEmbedder(...) and of encode"
            )
        super().__setattr__(name, value)

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return self.encoder.dimension

    @property
    def max_seq_length(self) -> int:
        """Most tokens of a text with its instruction, special ones included; the rest is cut off."""
        return self.encoder.tokenizer.max_length

    @max_seq_length.setter
    def max_seq_length(self, length: int) -> None:
        check_positions(self.encoder.backbone, length)
        self.encoder.tokenizer = self.encoder.tokenizer.with_max_length(length)

    @property
    def revision(self) -> str:
        """Hash of all that embeddings depend on: weights, settings of the layers, tokenizer, joining, maximum length.

        It is computed anew, since weights can change in place: about a second for each GB of them.
        """
        encoder, tokenizer = self.encoder, self.encoder.tokenizer
        rules = [tokenizer.joining, str(tokenizer.max_length), tokenizer.vocabulary()]
        facts = [weights_sha256(encoder), str(encoder.dense), *rules]
        if settings := beyond_weights(encoder.backbone.config):
            facts.append(json.dumps(settings, sort_keys=True))
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()

    @overload
    def encode(
        self, sentences: Sentences, instruction: Instructions = ..., **options: Unpack[ArrayOptions]
    ) -> NDArray[Any]: ...

    @overload
    def encode(
        self, sentences: Sentences, instruction: Instructions = ..., **options: Unpack[TensorOptions]
    ) -> Tensor: ...

    @overload
    def encode(
        self, sentences: Sentences, instruction: Instructions = ..., **options: Unpack[ListOptions]
    ) -> list[Tensor]: ...

    def encode(
        self,
        sentences: Sentences,
        instruction: Instructions = None,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        batch_size: int = 32,
        max_tokens_per_batch: int | None = MAX_TOKENS_PER_BATCH,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        normalize_embeddings: bool = True,
        truncate_dim: int | None = None,
        precision: Precision = "float32",
        ranges: NDArray[np.float32] | None = None,
        device: str | torch.device | Sequence[str] | None = None,
        devices: Sequence[str] | None = None,
        pool: EncoderPool | None = None,
        **others: Any,
    ) -> NDArray[Any] | Tensor | list[Tensor]:
        """Embed texts.

        Everything is read and checked before the first text is encoded, a generator too: its texts have to fit in
        memory. ``embedding.encode_file`` reads, encodes and writes piece by piece.

        Args:
            sentences: one text, several in any ordered collection (list, array, pandas or ``datasets`` column,
                generator), or ``[[instruction, text], ...]`` as the InstructorEmbedding package takes.
            instruction: one for all texts, one each, or None. An empty text is embedded by its end token alone.
            prompt: sentence-transformers' word for one instruction for all texts.
            prompt_name: of one of ``prompts``.
            batch_size: most texts a forward pass; texts of like length share one.
            max_tokens_per_batch: most padded tokens (texts times the longest of them) a forward pass, which is what
                its memory grows with; a text that alone has more goes alone. None: no bound.
            show_progress_bar: None shows it on a terminal, once the work has taken two seconds.
            convert_to_numpy: False gives a list of tensors, one a text.
            convert_to_tensor: True gives one tensor, on the embedder's device.
            normalize_embeddings: embeddings always have length 1; False is refused.
            truncate_dim: keep this many of the first dimensions and give them length 1 again; for encoders that were
                trained for it (Matryoshka).
            precision: "float32", "int8", "uint8" (each dimension's range in 256 steps), "binary" or "ubinary" (the
                sign of each dimension, eight a byte), as sentence-transformers makes them.
            ranges: (2, D), smallest and largest value of each dimension, for "int8" and "uint8". Without them they
                are measured on these very embeddings: rows of two calls are then not comparable.
            device: the embedder's own, or several as in ``devices``.
            devices: encode in a process on each of these, started for this call; see ``start_pool``.
            pool: encode in processes that ``start_pool`` started.
            others: further arguments of sentence-transformers' ``encode``: accepted where they ask for what is done
                anyway (``output_value="sentence_embedding"``), otherwise refused with a remedy.

        Returns:
            (N, D) in the order given; one text gives one row, no text none. float32 rows have length 1.

        Warns:
            TruncationWarning: once a call, if texts are longer than ``max_seq_length``, with how many were cut and of
                how many the instruction left nothing.

        Raises:
            DataError: if an element is not a string, named by its index, or the instructions are not one each.
            ConfigError: if an argument is out of range.
            OneEmbedderError: if an embedding is not finite, or a process fails.
        """
        refuse_others("encode", others, OF_ENCODE)
        check_budgets(batch_size, max_tokens_per_batch)
        check_output(self.dimension, truncate_dim, precision, ranges)
        if normalize_embeddings is not True:
            raise ConfigError("embeddings always have length 1, as INSTRUCTOR's do; leave normalize_embeddings out")
        devices = devices_of(device, devices, self.device)
        if devices is not None and pool is not None:
            raise ConfigError("devices and pool name the processes twice; pass one of them")
        if pool is not None:
            pool.require(self.encoder)
        instruction = chosen(self.prompts, instruction, prompt, prompt_name)
        default = named(self.prompts, self.default_prompt_name) if instruction is None else ""
        instructions, texts = pair_up(sentences, instruction, default)
        tokenizer = self.encoder.tokenizer
        with ExitStack() as stack:
            if devices is not None and texts:
                pool = stack.enter_context(self.start_pool(devices))
            progress = stack.enter_context(_progress_bar(len(texts), show_progress_bar))
            embed = partial(embed_in_batches, self.encoder) if pool is None else pool.embed
            embeddings, cuts = embed(
                instructions, texts, batch_size=batch_size, max_tokens=max_tokens_per_batch, report=progress.update
            )
        self._require_finite(embeddings)
        tell(cuts, tokenizer.max_length)
        rows = quantize(truncate(embeddings, truncate_dim), precision, ranges)
        if convert_to_numpy and not convert_to_tensor:
            return rows
        tensor = torch.from_numpy(rows).to(self.device)
        return tensor if convert_to_tensor else list(tensor)

    def similarity(self, one: Embeddings, other: Embeddings) -> Tensor:
        """Cosine similarities (N, M) of N embeddings to M.

        Args:
            one: (N, D), or one embedding (D,).
            other: (M, D), or one embedding (D,).

        Raises:
            ConfigError: if the embeddings are quantised, are no rows of numbers, or have other lengths than the others.
        """
        return cosine(one, other)

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


def _progress_bar(total: int, show: bool | None) -> tqdm[Any]:
    hidden = None if show is None else not show  # None: tqdm hides it where the output is no terminal
    return tqdm(total=total, desc="encode", unit="text", disable=hidden, delay=_LONG_WORK if show is None else 0)
