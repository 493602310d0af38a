from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from one_embedder.training.loss import (
    LOSSES,
    SPELLINGS,
    SameText,
    batch_metrics,
    candidates_per_query,
    document_similarity,
)
from tests.reference.released_loss import paper_loss, released_loss

REFERENCES: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "released": released_loss,
    "paper": paper_loss,
}
EXACT = {"rtol": 0.0, "atol": 1e-10}


def sides(rows: int = 6, width: int = 5, seed: int = 0) -> list[Tensor]:
    """Query, positive, negative in float64, leaves that take a gradient, not yet of unit length."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, width, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3)]


def gradients(
    loss: Callable[..., Tensor], leaves: list[Tensor], **settings: float | SameText
) -> tuple[Tensor, tuple[Tensor, ...]]:
    value = loss(*(normalize(leaf, dim=-1) for leaf in leaves), **settings)
    return value.detach(), torch.autograd.grad(value, leaves)


def test_every_spelling_has_a_reference() -> None:
    assert set(LOSSES) == set(REFERENCES) == set(SPELLINGS)


@pytest.mark.parametrize("spelling", sorted(LOSSES))
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_value_and_gradient_equal_the_literal_loops(spelling: str, temperature: float, rows: int) -> None:
    leaves = sides(rows)
    value, ours = gradients(LOSSES[spelling], leaves, temperature=temperature)
    expected, theirs = gradients(lambda *s: REFERENCES[spelling](*s, temperature), leaves)
    torch.testing.assert_close(value, expected, **EXACT)
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-10)
    if rows > 1 and temperature > 0.01:
        assert all(gradient.abs().max() > 1e-6 for gradient in ours)


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_loss_does_not_depend_on_the_order_of_rows(spelling: str) -> None:
    query, positive, negative = (normalize(side, dim=-1) for side in sides())
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = LOSSES[spelling](query[order], positive[order], negative[order], temperature=0.1)
    torch.testing.assert_close(shuffled, LOSSES[spelling](query, positive, negative, temperature=0.1), **EXACT)


def test_released_spelling_ignores_other_rows_positives_in_the_query_direction() -> None:
    query, positive, negative = (normalize(side, dim=-1).detach() for side in sides(rows=3))
    moved = positive.clone()
    moved[1] = -moved[1]
    before = document_similarity(query, positive, negative, in_batch_positives=False)
    after = document_similarity(query, moved, negative, in_batch_positives=False)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    paper = [document_similarity(query, side, negative, in_batch_positives=True) for side in (positive, moved)]
    assert not torch.equal(paper[0][[0, 2]], paper[1][[0, 2]])


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_candidates_are_counted_as_the_loss_compares_them(spelling: str) -> None:
    rows = 6
    similarity = document_similarity(*sides(rows), in_batch_positives=SPELLINGS[spelling])
    finite = torch.isfinite(similarity).sum(dim=1)
    assert (finite == candidates_per_query(rows, in_batch_positives=SPELLINGS[spelling])).all()


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_identical_embeddings_cost_the_logarithm_of_the_candidates(spelling: str) -> None:
    same = torch.ones(4, 1, dtype=torch.float64)
    candidates = candidates_per_query(4, in_batch_positives=SPELLINGS[spelling])
    loss = LOSSES[spelling](same, same, same, temperature=0.05)
    assert loss.item() == pytest.approx(math.log(candidates) + math.log(4))


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_metrics_add_up_to_the_loss_and_carry_no_graph(spelling: str) -> None:
    unit = [normalize(side, dim=-1) for side in sides()]
    metrics = batch_metrics(*unit, temperature=0.1, in_batch_positives=SPELLINGS[spelling])
    total = metrics["loss_query_to_document"] + metrics["loss_document_to_query"]
    torch.testing.assert_close(total, LOSSES[spelling](*unit, temperature=0.1).detach(), **EXACT)
    assert not any(metric.requires_grad for metric in metrics.values())
    assert 0.0 <= metrics["accuracy"] <= 1.0


def test_accuracy_counts_queries_whose_own_positive_is_nearest() -> None:
    query = torch.eye(4)
    negative = query.roll(1, dims=0)
    positive = torch.stack([query[0], query[1], -query[2], query[3]])  # row 2 misses
    metrics = batch_metrics(query, positive, -negative, temperature=0.1, in_batch_positives=False)
    assert metrics["accuracy"] == 0.75


@pytest.mark.parametrize("temperature", [0.0, -0.1])
def test_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be > 0"):
        LOSSES["released"](*sides(), temperature=temperature)


# Texts as numbers: rows 0 and 3 share their query, rows 1 and 2 their positive; row 0's negative is row 1's positive,
# and row 2's negative is row 3's own query.
QUERIES = torch.tensor([10, 11, 12, 10])
POSITIVES = torch.tensor([20, 21, 21, 22])
NEGATIVES = torch.tensor([21, 31, 10, 32])


def test_same_text_marks_every_candidate_that_is_also_right_and_no_other() -> None:
    same = SameText.of(QUERIES, POSITIVES, NEGATIVES)
    for i in range(4):
        for j in range(4):
            alike = i != j and (QUERIES[i] == QUERIES[j] or POSITIVES[i] == POSITIVES[j])
            assert same.queries[i, j] == same.positives[i, j] == bool(alike)
            assert same.negatives[i, j] == bool(NEGATIVES[j] in (POSITIVES[i], QUERIES[i]))
    assert same.queries.sum() == 4 and same.negatives.sum() == 4


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_loss_and_gradient_with_same_text_left_out_equal_the_loops_over_the_remaining_candidates(spelling: str) -> None:
    leaves = sides(rows=4)
    same = SameText.of(QUERIES, POSITIVES, NEGATIVES)
    value, ours = gradients(LOSSES[spelling], leaves, temperature=0.1, same=same)

    def loops(query: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i in range(4):
            documents, queries = [positive[i]], [query[i]]
            for j in range(4):
                if not same.negatives[i, j]:
                    documents.append(negative[j])
                if spelling == "paper" and j != i and not same.positives[i, j]:
                    documents.append(positive[j])
                if j != i and not same.queries[i, j]:
                    queries.append(query[j])
            total += _log_share_of_first(query[i], documents) + _log_share_of_first(positive[i], queries)
        return total / 4

    expected, theirs = gradients(loops, leaves)
    torch.testing.assert_close(value, expected, **EXACT)
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-10)
    assert value != gradients(LOSSES[spelling], leaves, temperature=0.1)[0]


def _log_share_of_first(anchor: Tensor, candidates: list[Tensor], temperature: float = 0.1) -> Tensor:
    logits = torch.stack([anchor @ candidate for candidate in candidates]) / temperature
    return logits.logsumexp(0) - logits[0]


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_distinct_texts_give_the_same_loss_with_and_without_the_comparison_of_texts(spelling: str) -> None:
    unit = [normalize(side, dim=-1) for side in sides(rows=4)]
    same = SameText.of(torch.arange(4), torch.arange(4, 8), torch.arange(8, 12))
    torch.testing.assert_close(
        LOSSES[spelling](*unit, temperature=0.1, same=same), LOSSES[spelling](*unit, temperature=0.1), **EXACT
    )
