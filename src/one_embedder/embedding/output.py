"""The forms in which embeddings are handed out: shorter, quantised, as an array, a tensor or a list."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from one_embedder.errors import ConfigError

Precision: TypeAlias = Literal["float32", "int8", "uint8", "binary", "ubinary"]


def check_output(dimension: int, truncate_dim: int | None, precision: str, ranges: NDArray[np.float32] | None) -> None:
    """Refuse what cannot be handed out, before anything is encoded.

    Raises:
        ConfigError: if ``truncate_dim`` is not between 1 and the dimension, the precision is unknown, or the ranges
            are given for another precision than int8 and uint8 or are not of shape (2, dimension handed out).
    """
    if truncate_dim is not None and not 1 <= truncate_dim <= dimension:
        raise ConfigError(f"truncate_dim={truncate_dim} must be between 1 and the embedding's {dimension} dimensions")
    if precision not in get_args(Precision):
        raise ConfigError(f"precision={precision!r} is unknown; choose one of {', '.join(get_args(Precision))}")
    if ranges is None:
        return
    if not needs_ranges(precision):
        raise ConfigError(f"ranges belong to int8 and uint8; precision={precision!r} has no use for them")
    if np.shape(ranges) != (2, truncate_dim or dimension):
        raise ConfigError(
            f"ranges have shape {np.shape(ranges)}, not (2, {truncate_dim or dimension}): smallest and largest value "
            "of every dimension"
        )


def needs_ranges(precision: str) -> bool:
    """Whether a precision cuts each dimension's range into steps."""
    return precision in ("int8", "uint8")


def truncate(embeddings: NDArray[np.float32], truncate_dim: int | None) -> NDArray[np.float32]:
    """The first ``truncate_dim`` dimensions, of length 1 again; an embedding that is zero in all of them stays zero."""
    if truncate_dim is None or truncate_dim == embeddings.shape[1]:
        return embeddings
    short = embeddings[:, :truncate_dim]
    lengths = np.linalg.norm(short, axis=1, keepdims=True)
    return cast(NDArray[np.float32], short / np.maximum(lengths, np.finfo(np.float32).tiny))


def quantize(
    embeddings: NDArray[np.float32], precision: Precision, ranges: NDArray[np.float32] | None
) -> NDArray[np.generic]:
    """Embeddings in a lower precision, by sentence-transformers' function.

    Args:
        embeddings: (N, D).
        precision: see ``InstructionEmbedder.encode``.
        ranges: (2, D), for int8 and uint8; None measures them on these embeddings, and sentence-transformers warns
            if these are fewer than 100.

    Returns:
        (N, D), or (N, D / 8 rounded up) for "binary" and "ubinary", eight signs a byte.

    Raises:
        ConfigError: if ranges would have to be measured on a single embedding.
    """
    if precision == "float32":
        return embeddings
    if needs_ranges(precision) and ranges is None and len(embeddings) == 1:
        raise ConfigError(f"precision={precision!r} of a single text needs ranges, those of the others it is meant for")
    from sentence_transformers.util import quantize_embeddings  # seconds to import, and rarely wanted

    known = None if ranges is None else np.asarray(ranges, dtype=np.float32)
    return cast("NDArray[np.generic]", quantize_embeddings(embeddings, precision=precision, ranges=known))


def dequantize(rows: Any, precision: str, ranges: NDArray[np.float32] | None, dimension: int) -> Tensor:
    """What rows of a precision stand for.

    Args:
        rows: (N, D) as ``quantize`` gives them, or one of them (D,); an array, a tensor or a list of rows.
        precision: of the rows.
        ranges: that the rows were quantised with, for int8 and uint8.
        dimension: of the encoder; so many of the signs are embeddings', the rest fills the last byte.

    Returns:
        (N, D) floats as they are; the middles of the steps of int8 and uint8; the signs of "binary" and "ubinary", -1
        or 1. Where embeddings were truncated to another number of dimensions than a multiple of 8, the signs that fill
        the last byte are left in: -1.

    Raises:
        ConfigError: if the rows are not of this precision, or the ranges lack or are of another width.
    """
    if precision not in _STORED:
        raise ConfigError(f"precision={precision!r} is unknown; choose one of {', '.join(_STORED)}")
    values = _tensor(rows)
    values = values.unsqueeze(0) if values.dim() == 1 else values
    stored = _STORED[precision]
    if values.dtype != stored and (stored != torch.float32 or not values.is_floating_point()):
        raise ConfigError(
            f"rows of {values.dtype} are not of precision={precision!r}; pass the precision and the ranges that they "
            "were encoded with"
        )
    if stored == torch.float32:
        return values
    codes: NDArray[np.int16] = values.cpu().numpy().astype(np.int16) + (128 if stored == torch.int8 else 0)
    if needs_ranges(precision):
        return torch.from_numpy(_middles(codes, ranges))
    signs = np.unpackbits(codes.astype(np.uint8), axis=1).astype(np.float32) * 2 - 1
    return torch.from_numpy(signs[:, :dimension] if signs.shape[1] - dimension in range(8) else signs)


_STORED = {
    "float32": torch.float32,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "binary": torch.int8,
    "ubinary": torch.uint8,
}


def _tensor(rows: Any) -> Tensor:
    if isinstance(rows, list | tuple) and rows and not isinstance(rows[0], int | float):
        return torch.stack([torch.as_tensor(row) for row in rows])
    return torch.as_tensor(rows)


def _middles(codes: NDArray[np.int16], ranges: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if ranges is None or np.shape(ranges) != (2, codes.shape[1]):
        raise ConfigError(
            f"rows of int8 and uint8 are compared by the ranges that they were encoded with, of shape "
            f"(2, {codes.shape[1]}), not {None if ranges is None else np.shape(ranges)}; pass ranges="
        )
    start, end = np.asarray(ranges, dtype=np.float32)
    middles: NDArray[np.float32] = start + (codes.astype(np.float32) + np.float32(0.5)) * (end - start) / 255
    return middles
