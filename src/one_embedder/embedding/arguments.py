"""Arguments that users of sentence-transformers and InstructorEmbedding type: accepted, or refused with a remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from one_embedder.embedding.output import Precision
from one_embedder.embedding.processes import EncoderPool
from one_embedder.errors import ConfigError


class Options(TypedDict, total=False):
    """The options of ``InstructionEmbedder.encode`` that leave its result's type alone."""

    prompt: str | None
    prompt_name: str | None
    batch_size: int
    max_tokens_per_batch: int | None
    show_progress_bar: bool | None
    truncate_dim: int | None
    normalize_embeddings: Literal[True]
    precision: Precision
    ranges: NDArray[np.float32] | None
    device: str | torch.device | Sequence[str] | None
    devices: Sequence[str] | None
    pool: EncoderPool | None
    output_value: Literal["sentence_embedding"]
    chunk_size: None


class ArrayOptions(Options, total=False):
    """Give an array."""

    convert_to_numpy: Literal[True]
    convert_to_tensor: Literal[False]


class TensorOptions(Options):
    """Give one tensor."""

    convert_to_numpy: NotRequired[bool]
    convert_to_tensor: Literal[True]


class ListOptions(Options):
    """Give a list of tensors."""

    convert_to_numpy: Literal[False]
    convert_to_tensor: NotRequired[Literal[False]]


class Elsewhere(NamedTuple):
    """An argument that others have and this package has not: values that change nothing here, and what else to do."""

    same: tuple[Any, ...]
    instead: str


OF_ENCODE: Mapping[str, Elsewhere] = {
    "inputs": Elsewhere((), "the texts are called sentences"),
    "output_value": Elsewhere(
        ("sentence_embedding",), "vectors of single tokens are what embedder.encoder.backbone gives"
    ),
    "chunk_size": Elsewhere((None,), "what a process is sent at a time follows from batch_size; leave it out"),
}
OF_CONSTRUCTOR: Mapping[str, Elsewhere] = {
    "model_name_or_path": Elsewhere((), "the model is called name_or_path, the first argument"),
    "modules": Elsewhere((None,), "pass an InstructionEncoder as the first argument"),
    "similarity_fn_name": Elsewhere((None, "cosine"), "similarity is the cosine"),
    "trust_remote_code": Elsewhere((None, False), "no code of a model folder is run here; leave it out"),
    "local_files_only": Elsewhere((None, False), "set the environment variable HF_HUB_OFFLINE=1"),
    "use_auth_token": Elsewhere((None,), "it is called token"),
    "truncate_dim": Elsewhere((None,), "pass it to encode"),
    "model_kwargs": Elsewhere((None, {}), "use dtype= and device="),
    "tokenizer_kwargs": Elsewhere((None, {}), "use max_length="),
    "processor_kwargs": Elsewhere((None, {}), "use max_length="),
    "config_kwargs": Elsewhere((None, {}), "change the config.json of a copy of the folder"),
    "model_card_data": Elsewhere((None,), "training writes the model card"),
    "backend": Elsewhere(("torch",), "models run in torch only"),
}


def refuse_others(function: str, given: Mapping[str, Any], elsewhere: Mapping[str, Elsewhere]) -> None:
    """Refuse arguments that are not this package's, unless they ask for what is done anyway.

    Raises:
        ConfigError: if others' packages have such an argument; it says what to use instead.
        TypeError: if none has, as Python does.
    """
    for name, value in given.items():
        if name not in elsewhere:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
        if not any(value is same or (type(value) is type(same) and value == same) for same in elsewhere[name].same):
            raise ConfigError(f"{name}={value!r:.60} is not an argument of {function}: {elsewhere[name].instead}")


def devices_of(
    device: str | torch.device | Sequence[str] | None, devices: Sequence[str] | None, own: torch.device
) -> Sequence[str] | None:
    """The devices of the processes to start, if any.

    Args:
        device: as sentence-transformers takes it: one, or several that get a process each.
        devices: as we spell the latter.
        own: where the embedder is.

    Raises:
        ConfigError: if one device is asked for and it is another than the embedder's, or several are named twice.
    """
    if device is None:
        return devices
    if isinstance(device, list | tuple):
        if devices is not None:
            raise ConfigError("device and devices name the processes twice; pass one of them")
        return device
    if not _same(device, own):
        raise ConfigError(
            f"device={str(device)!r}: this embedder is on {own}, and a call moves it nowhere; make another with "
            f"InstructionEmbedder(..., device={str(device)!r})"
        )
    return devices


def _same(device: Any, own: torch.device) -> bool:
    try:
        asked = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"device={device!r} is no torch device; 'cpu' and 'cuda:0' are") from error
    return (asked.type, asked.index or 0) == (own.type, own.index or 0)
