"""A training that diverges ends with an error; of what is not finite no checkpoint is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import TokenizedBatch
from one_embedder.encoder.truncation import Truncation
from one_embedder.errors import OneEmbedderError
from one_embedder.files.disk import writing
from one_embedder.medi.batches.collate import ContrastiveBatch, LabelNumbers, TextNumbers

DIVERGED = "diverged.pt"
"""In the run folder: the batches of the step that was not finite; of several processes each has its own beside it."""

_REMEDY = "lower optimizer.learning_rate or raise loss.temperature"


class Finite:
    """Remembers the first step whose loss or gradient was not finite, on the device: looking makes the CPU wait."""

    def __init__(self) -> None:
        self._broken: Tensor | None = None  # (2,): number and loss of the first such step; -1 until there is one

    def watch(self, loss: Tensor, norm: Tensor, step: int) -> None:
        """Take note of a step.

        Args:
            loss: scalar.
            norm: of the gradient, scalar; it is not finite if any number of the gradient is not.
            step: its number, from 1.

        Raises:
            OneEmbedderError: as ``require``, where it has nothing to wait for.
        """
        loss, norm = loss.detach().float(), norm.detach().float()
        now = torch.stack([torch.full_like(loss, step), loss])
        if self._broken is None:
            self._broken = torch.full_like(now, -1)
        is_first = (self._broken[0] < 0) & ~(torch.isfinite(loss) & torch.isfinite(norm))
        self._broken = torch.where(is_first, now, self._broken)
        if _is_at_hand(norm):
            self.require()

    @property
    def first_broken(self) -> int | None:
        """Number of the first step that was not finite; waits for the device."""
        step = -1 if self._broken is None else int(self._broken[0])
        return step if step >= 0 else None

    def require(self) -> None:
        """Raise OneEmbedderError, naming the step, if one was not finite. Waits for the device."""
        step, loss = (-1, 0.0) if self._broken is None else self._broken.tolist()
        if step >= 0:
            gradient = "the gradient is not finite and " if math.isfinite(loss) else ""
            raise OneEmbedderError(f"{gradient}the loss is {loss:.6g} at step {step:.0f}; {_REMEDY}")


def keep_batches(path: Path, step: int, batches: Sequence[ContrastiveBatch]) -> None:
    """Write what a step was trained on, to look at it and to compute its loss again."""
    with writing(path), path.open("wb") as file:
        torch.save({"step": step, "batches": list(map(_plain, batches))}, file)


def read_batches(path: Path) -> list[ContrastiveBatch]:
    """The batches that ``keep_batches`` wrote, on the CPU."""
    kept = torch.load(path, map_location="cpu", weights_only=True)
    return [_batch(fields) for fields in kept["batches"]]


def _plain(batch: ContrastiveBatch) -> dict[str, Any]:
    """Without classes of ours, which a reader of tensors alone would refuse."""
    return {**asdict(batch), "texts": list(batch.texts), "labels": list(batch.labels)}


def _batch(fields: dict[str, Any]) -> ContrastiveBatch:
    sides = {name: TokenizedBatch(**fields[name]) for name in ("query", "positive", "negative", "other_query")}
    numbers = {"texts": TextNumbers(*fields["texts"]), "labels": LabelNumbers(*fields["labels"])}
    return ContrastiveBatch(**{**fields, **sides, **numbers, "truncation": Truncation(**fields["truncation"])})


def _is_at_hand(number: Tensor) -> bool:
    """Whether a look at it costs nothing."""
    return number.device.type == "cpu"


def require_finite_weights(weights: Mapping[str, Tensor], where: str) -> None:
    """Raise OneEmbedderError, naming the first weight that is not finite and where."""
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise OneEmbedderError(f"weight {name} is not finite at {where}; {_REMEDY}")


def require_usable(encoder: InstructionEncoder, where: str) -> None:
    """Refuse an encoder whose weights or embeddings are of no use.

    The last update can spoil what its own step still found in order, and weights of 1e30 are finite.

    Args:
        encoder: left in evaluation mode.
        where: when or where these weights are, for the message.

    Raises:
        OneEmbedderError: a weight or an embedding is not finite, or an embedding has no length.
    """
    require_finite_weights(encoder.state_dict(), where)
    try:
        embedding = InstructionEmbedder(encoder, device=encoder.device).encode("text")
    except OneEmbedderError as error:
        raise OneEmbedderError(f"embeddings are not finite at {where}; {_REMEDY}") from error
    length = float(np.linalg.norm(embedding))
    if not math.isclose(length, 1.0, abs_tol=1e-3):
        raise OneEmbedderError(f"embeddings have length {length:.3g} instead of 1 at {where}; {_REMEDY}")
