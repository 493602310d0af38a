"""The forms in which embeddings are handed out: shorter, quantised, as an array, a tensor or a list."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

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
