"""A positive that tells its query from the same text under another instruction, row by row: slow on purpose."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from tests.reference.released_loss import paper_loss, released_loss


def loss_with_other_instructions(
    query: Tensor, positive: Tensor, negative: Tensor, other_query: Tensor, temperature: float, *, spelling: str
) -> Tensor:
    """(B, D) each -> scalar: the published loss whose reverse direction is summed up anew, one candidate longer."""
    published = {"released": released_loss, "paper": paper_loss}[spelling](query, positive, negative, temperature)
    return (
        published - _reverse(query, positive, None, temperature) + _reverse(query, positive, other_query, temperature)
    )


def _reverse(query: Tensor, positive: Tensor, other_query: Tensor | None, temperature: float) -> Tensor:
    losses = []
    for row in range(len(query)):
        candidates = [query[row], *(query[i] for i in range(len(query)) if i != row)]
        if other_query is not None:
            candidates.append(other_query[row])
        scores = [cosine_similarity(positive[row], candidate, dim=0) / temperature for candidate in candidates]
        losses.append(cross_entropy(torch.stack(scores)[None], torch.zeros(1, dtype=torch.long)))
    return torch.stack(losses).mean()
