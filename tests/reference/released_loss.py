"""The published training script's loss, spelled out loop by loop as it computes it: slow on purpose, never used in src.

Direction one, for each query: its similarity to its own positive, then to the negative of every row of the batch, its
own included. Direction two, for each positive: its similarity to its own query, then to every other row's query. In
both the own one stands first, all are divided by the temperature, and cross entropy with label 0 averages over rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy


def released_loss(query: Tensor, positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """(B, D) each -> scalar."""
    rows = len(query)
    return _first_is_right([_documents(query[i], positive[i], list(negative)) for i in range(rows)], temperature) + (
        _first_is_right([_queries(i, query, positive) for i in range(rows)], temperature)
    )


def paper_loss(query: Tensor, positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """As the paper has it: the other rows' positives are candidates of a query too."""
    rows = len(query)
    documents = [
        _documents(query[i], positive[i], [positive[j] for j in range(rows) if j != i] + list(negative))
        for i in range(rows)
    ]
    return _first_is_right(documents, temperature) + _first_is_right(
        [_queries(i, query, positive) for i in range(rows)], temperature
    )


def _documents(query: Tensor, own: Tensor, others: list[Tensor]) -> Tensor:
    scores = cosine_similarity(query, own, dim=0).reshape(1)
    for other in others:
        scores = torch.cat([scores, cosine_similarity(query, other, dim=0).reshape(1)])
    return scores


def _queries(row: int, query: Tensor, positive: Tensor) -> Tensor:
    scores = cosine_similarity(positive[row], query[row], dim=0).reshape(1)
    for other in range(len(query)):
        if other != row:
            scores = torch.cat([scores, cosine_similarity(positive[row], query[other], dim=0).reshape(1)])
    return scores


def _first_is_right(scores: list[Tensor], temperature: float) -> Tensor:
    logits = torch.stack(scores) / temperature
    return cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
