"""What the maximum length takes away: counted for every text, told once a call."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Cuts = NDArray[np.uint8]
"""(N,): one ``Cut`` a text."""


class Cut(IntEnum):
    """What the maximum length took away of one text.

    Attributes:
        NONE: nothing.
        END: its end, or the end of its instruction where the text is empty.
        ALL: the instruction fills the maximum length, and no token of the text is left: under one instruction all such
            texts have the same embedding.
    """

    NONE = 0
    END = 1
    ALL = 2


class TruncationWarning(UserWarning):
    """Some texts of a call were longer than the encoder's maximum length."""


@dataclass(frozen=True)
class Truncation:
    """Counts of texts.

    Attributes:
        texts: all of them.
        cut: those that were longer, with their instruction, than the maximum length; the lost ones included.
        lost: those of which the instruction left nothing.
    """

    texts: int = 0
    cut: int = 0
    lost: int = 0

    @classmethod
    def of(cls, cuts: Sequence[int] | Cuts) -> Truncation:
        """Counts of what ``Cuts`` say."""
        found = np.asarray(cuts, dtype=np.uint8)
        return cls(len(found), int((found != Cut.NONE).sum()), int((found == Cut.ALL).sum()))

    def __add__(self, other: Truncation) -> Truncation:
        return Truncation(self.texts + other.texts, self.cut + other.cut, self.lost + other.lost)

    def sentence(self, max_length: int | None = None) -> str:
        """The counts in words: "3 of 10 texts are longer than 16 tokens and were cut; ..."."""
        limit = "the maximum length" if max_length is None else f"{max_length} tokens"
        told = f"{self.cut:,} of {self.texts:,} texts are, with their instruction, longer than {limit} and were cut"
        if not self.lost:
            return told
        return f"{told}; of {self.lost:,} the instruction left nothing: shorten it, or raise the maximum length"


_listener: ContextVar[list[Cuts] | None] = ContextVar("listener", default=None)


@contextmanager
def cuts_kept() -> Iterator[list[Cuts]]:
    """Inside the block, calls of ``encode`` in this thread put the cuts of their texts here instead of warning."""
    kept: list[Cuts] = []
    token = _listener.set(kept)
    try:
        yield kept
    finally:
        _listener.reset(token)


def tell(cuts: Cuts, max_length: int) -> None:
    """Hand the cuts of a call to who asked for them, or else warn of them where the embedder was called."""
    kept = _listener.get()
    if kept is not None:
        kept.append(cuts)
    elif cuts.any():
        warnings.warn(Truncation.of(cuts).sentence(max_length), TruncationWarning, stacklevel=3)
