"""The contrastive losses, as pure functions of embeddings.

Two spellings exist. ``released`` is what the published training script computes, ``paper`` what the paper describes: in
the latter the other rows' positives are candidates too. Both add the same loss with the two sides swapped, in which a
positive looks for its own query among the batch's queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Loss(Protocol):
    """A loss over one same-task batch: three (B, D) matrices of unit-length rows -> a scalar."""

    def __call__(self, query: Tensor, positive: Tensor, negative: Tensor, *, temperature: float) -> Tensor:
        """Scalar, natural-log units."""
        ...


def bidirectional_info_nce(
    query: Tensor, positive: Tensor, negative: Tensor, *, temperature: float, in_batch_positives: bool = False
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

    Returns:
        Scalar, mean over rows of each direction, summed; natural-log units.

    Raises:
        ValueError: if temperature <= 0.

    Source: ``InstructorTrainer.compute_loss`` (xlang-ai/instructor-embedding), checked against a literal copy in
    tests/reference.
    """
    to_documents, to_queries = direction_losses(
        query, positive, negative, temperature=temperature, in_batch_positives=in_batch_positives
    )
    return to_documents + to_queries


def direction_losses(
    query: Tensor, positive: Tensor, negative: Tensor, *, temperature: float, in_batch_positives: bool
) -> tuple[Tensor, Tensor]:
    """Both directions' losses, query to documents first; arguments as in ``bidirectional_info_nce``."""
    if temperature <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    to_documents = document_similarity(query, positive, negative, in_batch_positives=in_batch_positives)
    to_queries = positive @ query.T  # (B, B)
    rows = torch.arange(len(query), device=query.device)
    return (
        functional.cross_entropy(to_documents / temperature, torch.zeros_like(rows)),
        functional.cross_entropy(to_queries / temperature, rows),
    )


def document_similarity(query: Tensor, positive: Tensor, negative: Tensor, *, in_batch_positives: bool) -> Tensor:
    """Similarity of each query to its candidates, its own positive in column 0.

    Returns:
        (B, 1 + B), or (B, 1 + 2B) with ``in_batch_positives``, where a row's own positive is not counted twice (-inf).
    """
    own = (query * positive).sum(dim=-1, keepdim=True)  # (B, 1)
    hard_negatives = query @ negative.T  # (B, B)
    if not in_batch_positives:
        return torch.cat([own, hard_negatives], dim=1)
    itself = torch.eye(len(query), dtype=torch.bool, device=query.device)
    others = (query @ positive.T).masked_fill(itself, float("-inf"))  # (B, B)
    return torch.cat([own, others, hard_negatives], dim=1)


@torch.no_grad()
def batch_metrics(
    query: Tensor, positive: Tensor, negative: Tensor, *, temperature: float, in_batch_positives: bool
) -> dict[str, Tensor]:
    """What is worth watching beside the loss: both directions and how often the own positive comes first (0-1)."""
    to_documents, to_queries = direction_losses(
        query, positive, negative, temperature=temperature, in_batch_positives=in_batch_positives
    )
    similarity = document_similarity(query, positive, negative, in_batch_positives=in_batch_positives)
    accuracy = (similarity.argmax(dim=1) == 0).float().mean()
    return {"loss_query_to_document": to_documents, "loss_document_to_query": to_queries, "accuracy": accuracy}


def candidates_per_query(rows: int, *, in_batch_positives: bool) -> int:
    """Documents that each query is compared with in a batch of ``rows``, its own positive included."""
    return 2 * rows if in_batch_positives else 1 + rows


SPELLINGS: Mapping[str, bool] = MappingProxyType({"released": False, "paper": True})  # name -> in_batch_positives
LOSSES: Mapping[str, Loss] = MappingProxyType(
    {name: partial(bidirectional_info_nce, in_batch_positives=value) for name, value in SPELLINGS.items()}
)
