from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from one_embedder.config.checks import choices_of
from one_embedder.config.schema import LossConfig
from one_embedder.medi.batches.collate import NO_CLASS, LabelNumbers, TextNumbers
from one_embedder.training.loss import SPELLINGS, Comparison, ContrastiveLoss, Sides
from one_embedder.training.right_answers import AlsoRight
from tests.reference.released_loss import paper_loss, released_loss
from tests.reference.right_answers import right_texts, same_class

REFERENCES: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "released": released_loss,
    "paper": paper_loss,
}
LOSSES = {name: ContrastiveLoss(in_batch_positives=value) for name, value in SPELLINGS.items()}
EXACT = {"rtol": 0.0, "atol": 1e-10}


def sides(rows: int = 6, width: int = 5, seed: int = 0, negatives: int = 1) -> list[Tensor]:
    """Query, positive, negative in float64, leaves that take a gradient, not yet of unit length."""
    generator = torch.Generator().manual_seed(seed)
    counts = (rows, rows, negatives * rows)
    return [torch.randn(n, width, generator=generator, dtype=torch.float64).requires_grad_() for n in counts]


def unit(leaves: Sequence[Tensor], texts: TextNumbers | None = None, labels: LabelNumbers | None = None) -> Sides:
    query, positive, negative = (normalize(leaf, dim=-1) for leaf in leaves)
    return Sides(query, positive, negative, texts, labels)


def gradients(value: Tensor, leaves: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    return value.detach(), torch.autograd.grad(value, leaves)


def assert_same(ours: tuple[Tensor, Sequence[Tensor]], theirs: tuple[Tensor, Sequence[Tensor]]) -> None:
    """Value and gradients."""
    torch.testing.assert_close(ours[0], theirs[0], **EXACT)
    for mine, its in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-10)


def test_every_spelling_that_can_be_chosen_has_a_reference() -> None:
    assert set(SPELLINGS) == set(REFERENCES) == set(choices_of(LossConfig, "spelling"))


def test_every_setting_of_the_loss_reaches_it() -> None:
    settings = LossConfig("paper", bidirectional=False, hard_negatives=False, other_instruction_negatives=True)
    settings = replace(settings, mask_same_text=True, mask_same_label=True, mask_margin=0.3)
    assert ContrastiveLoss.of(settings) == ContrastiveLoss(True, False, False, True, True, True, 0.3)
    assert ContrastiveLoss.of(LossConfig()) == ContrastiveLoss()


@pytest.mark.parametrize("spelling", sorted(LOSSES))
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("negatives", [1, 3])
def test_value_and_gradient_equal_the_literal_loops(
    spelling: str, temperature: float, rows: int, negatives: int
) -> None:
    leaves = sides(rows, negatives=negatives)
    ours = gradients(LOSSES[spelling].compare(unit(leaves)).loss(temperature), leaves)
    literal = REFERENCES[spelling](*(normalize(leaf, dim=-1) for leaf in leaves), temperature)
    assert_same(ours, gradients(literal, leaves))
    if rows > 1 and temperature > 0.01:
        assert all(gradient.abs().max() > 1e-6 for gradient in ours[1])


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_one_direction_is_the_two_less_the_reverse_one(spelling: str) -> None:
    leaves = sides()
    query, positive, _ = (normalize(leaf, dim=-1) for leaf in leaves)
    forward = ContrastiveLoss(SPELLINGS[spelling], bidirectional=False).compare(unit(leaves))
    shares = [_log_share_of_first(positive[i], [query[i], *_others(query, i)]) for i in range(6)]
    reverse = torch.stack(shares).mean()
    both = LOSSES[spelling].compare(unit(leaves)).loss(0.1)
    assert set(forward.metrics(0.1)) == {"loss", "loss_query_to_document", "accuracy"}
    assert_same(gradients(forward.loss(0.1), leaves), gradients(both - reverse, leaves))


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_loss_does_not_depend_on_the_order_of_rows_or_of_negatives(spelling: str) -> None:
    leaves = sides(negatives=2)
    order, of_negatives = torch.tensor([3, 1, 5, 0, 2, 4]), torch.arange(12).roll(5)
    shuffled = [leaves[0][order], leaves[1][order], leaves[2][of_negatives]]
    losses = [LOSSES[spelling].compare(unit(each)).loss(0.1) for each in (leaves, shuffled)]
    torch.testing.assert_close(*losses, **EXACT)


def test_released_spelling_ignores_other_rows_positives_in_the_query_direction() -> None:
    leaves = sides(rows=3)
    moved = [leaves[0], leaves[1].clone().index_fill(0, torch.tensor([1]), 1.0), leaves[2]]
    released, paper = ([LOSSES[name].compare(unit(s)).to_documents for s in (leaves, moved)] for name in LOSSES)
    assert torch.equal(released[0][[0, 2]], released[1][[0, 2]])
    assert not torch.equal(paper[0][[0, 2]], paper[1][[0, 2]])


@pytest.mark.parametrize("spelling", sorted(LOSSES))
@pytest.mark.parametrize("negatives", [1, 3])
def test_candidates_are_counted_as_the_loss_compares_them(spelling: str, negatives: int) -> None:
    loss = LOSSES[spelling]
    finite = torch.isfinite(loss.compare(unit(sides(6, negatives=negatives))).to_documents).sum(dim=1)
    assert (finite == loss.candidates_per_query(6, negatives)).all()


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_identical_embeddings_cost_the_logarithm_of_the_candidates(spelling: str) -> None:
    same = torch.ones(4, 1, dtype=torch.float64)
    loss = LOSSES[spelling].compare(Sides(same, same, same)).loss(0.05)
    assert loss.item() == pytest.approx(math.log(LOSSES[spelling].candidates_per_query(4)) + math.log(4))


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_metrics_add_up_to_the_loss_and_carry_no_graph(spelling: str) -> None:
    compared = LOSSES[spelling].compare(unit(sides()))
    metrics = compared.metrics(0.1)
    total = metrics["loss_query_to_document"] + metrics["loss_document_to_query"]
    torch.testing.assert_close(total, compared.loss(0.1).detach(), **EXACT)
    assert metrics["loss"] == compared.loss(0.1)
    assert not any(metric.requires_grad for metric in metrics.values())


def test_accuracy_counts_queries_whose_own_positive_is_nearest() -> None:
    query = torch.eye(4)
    positive = torch.stack([query[0], query[1], -query[2], query[3]])  # row 2 misses
    metrics = ContrastiveLoss().compare(Sides(query, positive, -query.roll(1, dims=0))).metrics(0.1)
    assert metrics["accuracy"] == 0.75
    alike = torch.ones(4, 2)
    assert ContrastiveLoss().compare(Sides(alike, alike, alike)).metrics(0.1)["accuracy"] == 0  # all at the same place


def test_similarities_leave_out_what_the_loss_leaves_out() -> None:
    torch.manual_seed(0)
    query, positive, negative = normalize(torch.randn(3, 4, 8), dim=-1)
    compared = ContrastiveLoss(in_batch_positives=True).compare(Sides(query, positive, negative))
    similarities = compared.similarities()
    assert similarities["positives"].tolist() == (query * positive).sum(dim=1).tolist()
    assert similarities["negatives"].shape == (4 * 3 + 4 * 4,)  # other rows' positives, and all negatives
    assert similarities["negatives"].isfinite().all()


@pytest.mark.parametrize("temperature", [0.0, -0.1])
def test_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be > 0"):
        LOSSES["released"].compare(unit(sides())).loss(temperature)


@pytest.mark.parametrize("spelling", sorted(LOSSES))
@pytest.mark.parametrize("mask", [False, True])
def test_the_losses_of_parts_of_a_batch_against_all_its_candidates_average_to_the_loss_of_the_whole(
    spelling: str, mask: bool
) -> None:
    """What each process computes once the candidates of all are gathered."""
    guards = {"mask_same_text": mask, "mask_same_label": mask, "mask_margin": 0.2 if mask else None}
    loss = ContrastiveLoss(SPELLINGS[spelling], **guards)
    leaves = sides(rows=4)
    parts = [_part(loss, unit(leaves, TEXTS, LABELS), first).loss(0.1) for first in (0, 2)]
    expected = loss.compare(unit(leaves, TEXTS, LABELS)).loss(0.1)
    assert_same(gradients((parts[0] + parts[1]) / 2, leaves), gradients(expected, leaves))


def _part(loss: ContrastiveLoss, whole: Sides, first: int) -> Comparison:
    rows = slice(first, first + 2)
    assert whole.texts is not None and whole.labels is not None
    texts = TextNumbers(*(numbers[rows] for numbers in whole.texts))
    labels = LabelNumbers(*(numbers[rows] for numbers in whole.labels))
    own = Sides(whole.query[rows], whole.positive[rows], whole.negative[rows], texts, labels)
    return loss.compare(own, whole, first)


# Texts as numbers: rows 0 and 3 share their query, rows 1 and 2 their positive; row 0's negative is row 1's positive,
# row 2's negative is row 3's own query, and row 3's positive is row 1's query.
TEXTS = TextNumbers(torch.tensor([10, 11, 12, 10]), torch.tensor([20, 21, 21, 11]), torch.tensor([21, 31, 10, 32]))

# Classes as numbers: rows 0 and 2 share theirs, which is that of negative 1; row 3 has none, nor has its negative.
LABELS = LabelNumbers(torch.tensor([5, 6, 5, NO_CLASS]), torch.tensor([6, 5, 7, NO_CLASS]))


def test_a_rows_own_text_on_the_other_side_of_another_row_is_no_negative() -> None:
    """Rows a -> b and b -> c: b must meet b in neither direction."""
    texts = TextNumbers(torch.tensor([1, 2]), torch.tensor([2, 3]), torch.tensor([8, 9]))
    right = AlsoRight.by_text(texts, texts)
    assert right.positives.tolist() == [[False, False], [True, False]]
    assert right.queries.tolist() == [[False, True], [False, False]]
    assert not right.negatives.any()


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=6), st.data())
def test_same_text_marks_every_candidate_that_is_also_right_and_no_other(
    rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(rows) - 1))
    everyone = TextNumbers(*torch.tensor(rows).T)
    right = AlsoRight.by_text(TextNumbers(*(numbers[first:] for numbers in everyone)), everyone, first)
    pairs = [(query, positive) for query, positive, _ in rows]
    for i, (query, positive, _) in enumerate(rows[first:]):
        for j, (other_query, other_positive, other_negative) in enumerate(rows):
            another = j != first + i
            assert right.positives[i, j] == (another and other_positive in right_texts(query, pairs))
            assert right.queries[i, j] == (another and other_query in right_texts(positive, pairs))
            assert right.negatives[i, j] == (other_negative in right_texts(query, pairs))


def test_same_label_marks_rows_and_negatives_of_the_own_class_and_nothing_where_there_is_none() -> None:
    right = AlsoRight.by_label(LABELS, LABELS)
    assert right.positives.nonzero().tolist() == right.queries.nonzero().tolist() == [[0, 2], [2, 0]]
    assert right.negatives.nonzero().tolist() == [[0, 1], [1, 0], [2, 1]]


@pytest.mark.parametrize("spelling", sorted(LOSSES))
@pytest.mark.parametrize("margin", [None, 0.0, 0.3])
@pytest.mark.parametrize("same_text", [False, True])
@pytest.mark.parametrize("same_label", [False, True])
def test_loss_and_gradient_with_guards_equal_the_loops_over_the_remaining_candidates(
    spelling: str, margin: float | None, same_text: bool, same_label: bool
) -> None:
    leaves = sides(rows=4, seed=2)
    guards = {"mask_same_text": same_text, "mask_same_label": same_label, "mask_margin": margin}
    loss = ContrastiveLoss(SPELLINGS[spelling], **guards)
    ours = gradients(loss.compare(unit(leaves, TEXTS, LABELS)).loss(0.1), leaves)
    query, positive, negative = (normalize(leaf, dim=-1) for leaf in leaves)
    texts, (of_rows, of_negatives) = [side.tolist() for side in TEXTS], [side.tolist() for side in LABELS]
    pairs = list(zip(texts[0], texts[1], strict=True))
    left_out = 0

    def keeps(
        asks: Tensor, candidate: Tensor, right: Tensor, its_texts: tuple[int, int], its_classes: tuple[int, int]
    ) -> bool:
        nonlocal left_out
        too_similar = margin is not None and bool(asks @ candidate > right + margin)
        alike = (same_text and its_texts[1] in right_texts(its_texts[0], pairs)) or (
            same_label and same_class(*its_classes)
        )
        left_out += too_similar or alike
        return not (too_similar or alike)

    total = torch.zeros((), dtype=torch.float64)
    for i in range(4):
        documents, queries, right = [positive[i]], [query[i]], query[i] @ positive[i]
        for j in range(4):
            as_negative = (texts[0][i], texts[2][j]), (of_rows[i], of_negatives[j])
            as_positive = (texts[0][i], texts[1][j]), (of_rows[i], of_rows[j])
            as_query = (texts[1][i], texts[0][j]), (of_rows[i], of_rows[j])
            if keeps(query[i], negative[j], right, *as_negative):
                documents.append(negative[j])
            if j == i:
                continue
            if spelling == "paper" and keeps(query[i], positive[j], right, *as_positive):
                documents.append(positive[j])
            if keeps(positive[i], query[j], right, *as_query):
                queries.append(query[j])
        total += _log_share_of_first(query[i], documents) + _log_share_of_first(positive[i], queries)
    assert_same(ours, gradients(total / 4, leaves))
    assert bool(left_out) == (same_text or same_label or margin is not None)
    assert 0.0 < ours[0] < float("inf")


def test_a_margin_that_leaves_out_everything_but_the_right_answer_costs_nothing() -> None:
    leaves = sides()
    loss = ContrastiveLoss(in_batch_positives=True, mask_margin=-2.1).compare(unit(leaves)).loss(0.1)
    assert loss == 0.0
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in torch.autograd.grad(loss, leaves))


def test_equal_texts_cannot_be_left_out_without_the_texts() -> None:
    with pytest.raises(ValueError, match="needs the batch's texts"):
        ContrastiveLoss(mask_same_text=True).compare(unit(sides()))


def test_equal_classes_cannot_be_left_out_without_the_classes() -> None:
    with pytest.raises(ValueError, match="needs the batch's labels"):
        ContrastiveLoss(mask_same_label=True).compare(unit(sides()))


@pytest.mark.parametrize("spelling", sorted(LOSSES))
def test_distinct_texts_give_the_same_loss_with_and_without_the_comparison_of_texts(spelling: str) -> None:
    texts = TextNumbers(torch.arange(4), torch.arange(4, 8), torch.arange(8, 12))
    whole = unit(sides(rows=4), texts)
    masked = ContrastiveLoss(SPELLINGS[spelling], mask_same_text=True).compare(whole).loss(0.1)
    torch.testing.assert_close(masked, LOSSES[spelling].compare(whole).loss(0.1), **EXACT)


def _others(rows: Tensor, own: int) -> list[Tensor]:
    return [row for number, row in enumerate(rows) if number != own]


def _log_share_of_first(anchor: Tensor, candidates: list[Tensor], temperature: float = 0.1) -> Tensor:
    logits = torch.stack([anchor @ candidate for candidate in candidates]) / temperature
    return logits.logsumexp(0) - logits[0]


def test_without_hard_negatives_the_paper_spelling_compares_positives_only() -> None:
    leaves = sides()
    with_none = unit(leaves)
    loss = ContrastiveLoss(in_batch_positives=True, hard_negatives=False)
    compared = loss.compare(with_none)
    similarity = with_none.query @ with_none.positive.T
    expected = torch.nn.functional.cross_entropy(similarity / 0.1, torch.arange(len(similarity)))
    assert torch.allclose(compared.directions(0.1)["loss_query_to_document"], expected, **EXACT)
    assert loss.candidates_per_query(6) == 6
    _, _, of_negatives = torch.autograd.grad(compared.loss(0.1), leaves, allow_unused=True)
    assert of_negatives is None, "the negatives have no part in it"
