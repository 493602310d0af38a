"""Which candidates of a batch are right answers too, and so no negatives: by their texts, and by their classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from one_embedder.medi.batches.collate import NO_CLASS, LabelNumbers, TextNumbers


@dataclass(frozen=True)
class AlsoRight:
    """Candidates of a batch that are no negatives, because they are right answers like the own one.

    Bool; row i is who asks, column j the candidate. The other side of the own row is never marked: it is the answer.

    Attributes:
        positives: (B, Q); query i asks, positive j is right too.
        queries: (B, Q); positive i asks, query j is right too.
        negatives: (B, N); query i asks, negative j is right too.
    """

    positives: Tensor
    queries: Tensor
    negatives: Tensor

    @classmethod
    def by_text(cls, own: TextNumbers, candidates: TextNumbers, first: int = 0) -> AlsoRight:
        """Candidates whose text is that of who asks, or stands beside it in a row of the batch.

        Row i of ``own`` is row ``first + i`` of ``candidates``. Which side a text stands on makes no difference: of the
        rows a -> b and b -> c, the second's query is not compared with the first's positive, nor the other way round.
        """
        positives = _right_texts(own.query, candidates.positive, candidates)
        queries = _right_texts(own.positive, candidates.query, candidates)
        others = ~own_columns(positives, first)
        return cls(positives & others, queries & others, _right_texts(own.query, candidates.negative, candidates))

    @classmethod
    def by_label(cls, own: LabelNumbers, candidates: LabelNumbers, first: int = 0) -> AlsoRight:
        """Rows and negatives of the own class; rows without one are as any other. Arguments as in ``by_text``."""
        label = own.row[:, None]
        has_class = label != NO_CLASS
        alike = has_class & (label == candidates.row)
        alike &= ~own_columns(alike, first)
        return cls(alike, alike, has_class & (label == candidates.negative))

    def __or__(self, other: AlsoRight) -> AlsoRight:
        """What either marks."""
        return AlsoRight(
            self.positives | other.positives, self.queries | other.queries, self.negatives | other.negatives
        )


def own_columns(table: Tensor, first: int) -> Tensor:
    """Bool, of the shape of ``table``: True in row i at column ``first + i``."""
    rows = torch.arange(len(table), device=table.device)
    columns = torch.arange(table.shape[1], device=table.device)
    return columns == rows[:, None] + first


def _right_texts(asks: Tensor, texts: Tensor, batch: TextNumbers) -> Tensor:
    """Bool, (B, C): whether text j is the asking text i, or its other side in a row of the batch.

    Args:
        asks: (B,), texts as numbers.
        texts: (C,), the candidates.
        batch: the rows, Q of them.
    """
    sides = ((batch.query, batch.positive), (batch.positive, batch.query))
    # (B, Q) @ (Q, C) counts the rows with the one text on this side and the other on that.
    rows = sum((asks[:, None] == this).float() @ (that[:, None] == texts).float() for this, that in sides)
    return (asks[:, None] == texts) | (rows > 0)
