"""The forms in which embeddings are handed out: shorter, quantised, as an array, a tensor or a list."""

from __future__ import annotations

import logging
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from one_embedder.encoder.pooling import at_least_float32
from one_embedder.errors import ConfigError

log = logging.getLogger(__name__)

Precision: TypeAlias = Literal["float32", "int8", "uint8", "binary", "ubinary"]

_STEADY_ROWS = 100


def check_output(dimension: int, truncate_dim: int | None, precision: str, ranges: NDArray[np.float32] | None) -> None:
    """Refuse what cannot be handed out, before anything is encoded.

    Raises:
        ConfigError: if ``truncate_dim`` is no whole number between 1 and the dimension, the precision is unknown, or
            the ranges are given for another precision than int8 and uint8, are not of shape (2, dimension handed out)
            or no ranges.
    """
    if truncate_dim is not None and (
        not isinstance(truncate_dim, int | np.integer) or not 1 <= truncate_dim <= dimension
    ):
        raise ConfigError(
            f"truncate_dim={truncate_dim!r} must be between 1 and the embedding's {dimension} dimensions, and whole"
        )
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
    if not np.less_equal(*ranges).all():  # of a NaN neither
        raise ConfigError("ranges[0] must be the smallest and ranges[1] the largest value of every dimension")


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
    """Embeddings in a lower precision, with the numbers that sentence-transformers gives.

    Args:
        embeddings: (N, D).
        precision: see ``InstructionEmbedder.encode``.
        ranges: (2, D), for int8 and uint8; None measures them on these embeddings.

    Returns:
        (N, D), or (N, D / 8 rounded up) for "binary" and "ubinary", eight signs a byte.

    Raises:
        ConfigError: if ranges would have to be measured on a single embedding.
    """
    if precision == "float32":
        return embeddings
    if not needs_ranges(precision):
        codes = np.packbits(embeddings > 0, axis=1)
    elif not len(embeddings):
        codes = np.zeros(embeddings.shape, dtype=np.uint8)
    else:
        start, end = np.asarray(measured(embeddings) if ranges is None else ranges, dtype=np.float32)
        step = np.where(end == start, 1, (end - start) / 255)
        codes = np.clip(np.floor((embeddings - start) / step), 0, 255).astype(np.uint8)
    return codes if precision.startswith("u") else (codes.astype(np.int16) - 128).astype(np.int8)


def measured(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Smallest and largest value of each dimension, (2, D); steady steps take a hundred embeddings.

    Raises:
        ConfigError: if there is a single embedding, whose ranges would be of width 0 and all of its codes the same.
    """
    if len(embeddings) == 1:
        raise ConfigError(
            "int8 or uint8 of a single text needs ranges, those of the others it is meant for; a file needs more texts "
            "in its first chunk (--chunk-size), or another --precision"
        )
    if len(embeddings) < _STEADY_ROWS:
        log.warning("int8 steps are measured on only %d texts; more make them steadier", len(embeddings))
    return np.stack([embeddings.min(axis=0), embeddings.max(axis=0)])


def cosine(one: Any, other: Any) -> Tensor:
    """Cosine similarities (N, M) of rows (N, D) to rows (M, D); a single row may be (D,).

    Raises:
        ConfigError: if the rows are quantised (the codes of int8 say nothing of angles without their ranges), are no
            rows of numbers, or are of unequal lengths.
    """
    left, right = _unit_rows(one), _unit_rows(other)
    if left.shape[1] != right.shape[1]:
        raise ConfigError(
            f"rows of {left.shape[1]} dimensions cannot be compared with rows of {right.shape[1]}: embed both with the "
            "same model and truncate_dim"
        )
    dtype = torch.promote_types(left.dtype, right.dtype)
    return left.to(dtype) @ right.to(dtype).T


def _unit_rows(given: Any) -> Tensor:
    rows = _tensor(given)
    if not rows.is_floating_point():
        raise ConfigError(f"rows of {rows.dtype} are quantised; compare those of precision='float32'")
    return functional.normalize(at_least_float32(rows if rows.dim() > 1 else rows[None]))


def _tensor(given: Any) -> Tensor:
    """(N, D) or (D,), of a tensor, an array, a table of numbers, or a list of numbers or of rows."""
    try:
        if isinstance(given, list | tuple) and given and not isinstance(given[0], int | float):
            rows = torch.stack([torch.as_tensor(row) for row in given])
        else:
            rows = torch.as_tensor(np.array(given) if hasattr(given, "columns") else given)
    except (RuntimeError, TypeError, ValueError) as error:  # rows of unequal lengths, values that are no numbers
        raise ConfigError(
            f"a {type(given).__name__} that holds no rows of numbers ({error}) cannot be compared; pass embeddings, "
            "(N, D) or (D,)"
        ) from error
    if rows.dim() not in (1, 2):
        raise ConfigError(f"embeddings of shape {tuple(rows.shape)} cannot be compared; pass (N, D) or (D,)")
    return rows
