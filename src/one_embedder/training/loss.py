"""The contrastive losses, as pure functions of embeddings.

Two spellings exist. ``released`` is what the published training script computes, ``paper`` what the paper describes: in
the latter the other rows' positives are candidates too. Both add the same loss with the two sides swapped, in which a
positive looks for its own query among the batch's queries.

A batch of one task often holds candidates that are right too: the same label's name, a document that two queries share.
``SameText`` marks them, and the loss leaves them out where it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class SameText:
    """Candidates of a batch that are no negatives, because they are the same text as one that is right.

    Each (B, B), bool; row i is who asks, column j the candidate. A row's own query and positive are never marked.

    Attributes:
        queries: for positive i, query j is query i's text, or has positive i's text as its own positive.
        positives: for query i, positive j is positive i's text, or belongs to a query of the same text.
        negatives: for query i, negative j is positive i's text, or query i's own.
    """

    queries: Tensor
    positives: Tensor
    negatives: Tensor

    @classmethod
    def of(cls, query: Tensor, positive: Tensor, negative: Tensor) -> SameText:
        """Compare texts by their numbers, each (B,): equal numbers mean equal texts."""
        alike = (query[:, None] == query) | (positive[:, None] == positive)
        alike.fill_diagonal_(False)
        return cls(alike, alike, (positive[:, None] == negative) | (query[:, None] == negative))


class Loss(Protocol):
    """A loss over one same-task batch: three (B, D) matrices of unit-length rows -> a scalar."""

    def __call__(
        self, query: Tensor, positive: Tensor, negative: Tensor, *, temperature: float, same: SameText | None = None
    ) -> Tensor:
        """Scalar, natural-log units."""
        ...


def bidirectional_info_nce(
    query: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    temperature: float,
    in_batch_positives: bool = False,
    same: SameText | None = None,
) -> Tensor:
    """INSTRUCTOR's training loss over one same-task batch.

    The query direction ranks a row's own positive against every row's negative; other rows' positives are
    candidates there only with ``in_batch_positives``. The reverse direction ranks a positive's own query against the
    other queries.

    Args:
        query: unit-length embeddings, (B, D).
        positive: likewise, row i belonging to row i of ``query``.
        negative: likewise, the rows' hard negatives.
        temperature: similarity divisor, > 0. 0.01 in the paper, 0.1 in the released README since September 2023.
        in_batch_positives: False is the released script's spelling, True the paper's.
        same: candidates to leave out; None compares with all, as the released script and the paper do.

    Returns:
        Scalar, mean over rows of each direction, summed; natural-log units.

    Raises:
        ValueError: if temperature <= 0.

    Source: ``InstructorTrainer.compute_loss`` (xlang-ai/instructor-embedding), checked against a literal copy in
    tests/reference.
    """
    to_documents, to_queries = direction_losses(
        query, positive, negative, temperature=temperature, in_batch_positives=in_batch_positives, same=same
    )
    return to_documents + to_queries


def direction_losses(
    query: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    temperature: float,
    in_batch_positives: bool,
    same: SameText | None = None,
) -> tuple[Tensor, Tensor]:
    """Both directions' losses, query to documents first; arguments as in ``bidirectional_info_nce``."""
    if temperature <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    to_documents = document_similarity(query, positive, negative, in_batch_positives=in_batch_positives, same=same)
    to_queries = _without(positive @ query.T, same.queries if same else None)  # (B, B)
    rows = torch.arange(len(query), device=query.device)
    return (
        functional.cross_entropy(to_documents / temperature, torch.zeros_like(rows)),
        functional.cross_entropy(to_queries / temperature, rows),
    )


def document_similarity(
    query: Tensor, positive: Tensor, negative: Tensor, *, in_batch_positives: bool, same: SameText | None = None
) -> Tensor:
    """Similarity of each query to its candidates, its own positive in column 0; -inf for those in ``same``.

    Returns:
        (B, 1 + B), or (B, 1 + 2B) with ``in_batch_positives``, where a row's own positive is not counted twice (-inf).
    """
    own = (query * positive).sum(dim=-1, keepdim=True)  # (B, 1)
    hard_negatives = _without(query @ negative.T, same.negatives if same else None)  # (B, B)
    if not in_batch_positives:
        return torch.cat([own, hard_negatives], dim=1)
    itself = torch.eye(len(query), dtype=torch.bool, device=query.device)
    others = _without(query @ positive.T, itself | same.positives if same else itself)  # (B, B)
    return torch.cat([own, others, hard_negatives], dim=1)


def _without(similarity: Tensor, excluded: Tensor | None) -> Tensor:
    return similarity if excluded is None else similarity.masked_fill(excluded, float("-inf"))


@torch.no_grad()
def batch_metrics(
    query: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    temperature: float,
    in_batch_positives: bool,
    same: SameText | None = None,
) -> dict[str, Tensor]:
    """What is worth watching beside the loss: both directions and how often the own positive comes first (0-1)."""
    to_documents, to_queries = direction_losses(
        query, positive, negative, temperature=temperature, in_batch_positives=in_batch_positives, same=same
    )
    similarity = document_similarity(query, positive, negative, in_batch_positives=in_batch_positives, same=same)
    accuracy = (similarity.argmax(dim=1) == 0).float().mean()
    return {"loss_query_to_document": to_documents, "loss_document_to_query": to_queries, "accuracy": accuracy}


def candidates_per_query(rows: int, *, in_batch_positives: bool) -> int:
    """Documents that each query is compared with in a batch of ``rows``, its own positive included.

    The most there can be: ``SameText`` leaves some out.
    """
    return 2 * rows if in_batch_positives else 1 + rows


SPELLINGS: Mapping[str, bool] = MappingProxyType({"released": False, "paper": True})  # name -> in_batch_positives
LOSSES: Mapping[str, Loss] = MappingProxyType(
    {name: partial(bidirectional_info_nce, in_batch_positives=value) for name, value in SPELLINGS.items()}
)
