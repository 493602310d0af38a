"""The contrastive losses: similarities of a batch, compared once, for the loss and for what is logged beside it.

Two spellings exist. ``released`` is what the published training script computes, ``paper`` what the paper describes: in
the latter the other rows' positives are candidates too. Both add the same loss with the two sides swapped, in which a
positive looks for its own query among the batch's queries; ``bidirectional=False`` leaves that out.

A batch of one task often holds candidates that are right too: a text of the same class, the same label's name, a
document that two queries share, a paraphrase. Three guards leave such candidates out: equal classes, equal texts, and a
similarity above that of the own positive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from one_embedder.config.schema import LossConfig
from one_embedder.medi.batches.collate import LabelNumbers, TextNumbers
from one_embedder.training.right_answers import AlsoRight, own_columns

SPELLINGS: Mapping[str, bool] = MappingProxyType({"released": False, "paper": True})  # name -> in_batch_positives


@dataclass(frozen=True)
class Sides:
    """A same-task batch's embeddings, rows of unit length, and its texts.

    Attributes:
        query: (B, D).
        positive: (B, D), row i belonging to row i of ``query``.
        negative: (N, D), the hard negatives of all rows. A row may have any number of them: each is a candidate of
            every query, so that whose it is makes no difference.
        texts: the texts as numbers; needed to leave out equal ones.
        labels: the classes as numbers; needed to leave out candidates of the own class.
        other_query: (B, D), the text of row i of ``query`` under another task's instruction; needed where instructions
            are told apart.
    """

    query: Tensor
    positive: Tensor
    negative: Tensor
    texts: TextNumbers | None = None
    labels: LabelNumbers | None = None
    other_query: Tensor | None = None

    def also_right(self) -> AlsoRight:
        """Which other rows and negatives are no wrong answers, by their texts and classes.

        Raises:
            ValueError: texts or classes are not given.
        """
        if self.texts is None or self.labels is None:
            raise ValueError("also_right needs the batch's texts and labels")
        return AlsoRight.by_text(self.texts, self.texts) | AlsoRight.by_label(self.labels, self.labels)


@dataclass(frozen=True)
class Comparison:
    """The similarities of a batch; -inf for candidates that are left out.

    Attributes:
        to_documents: (B, 1 + C), each query's similarity to its own positive, then to the other candidates.
        to_queries: (B, Q), each positive's similarity to the queries; None for a loss of one direction.
        first: the column of ``to_queries`` that is row 0's own query; row i's is i further.
        to_other_query: (B, 1), each positive's similarity to its query's text under another instruction; None where
            instructions are not contrasted.
    """

    to_documents: Tensor
    to_queries: Tensor | None
    first: int
    to_other_query: Tensor | None

    def loss(self, temperature: float | Tensor) -> Tensor:
        """Cross entropy of finding the own one, the mean over rows of each direction, summed; natural-log units.

        Args:
            temperature: similarity divisor, > 0. 0.01 in the paper, 0.1 in the released README since September 2023.

        Raises:
            ValueError: if a temperature given as a number is not above 0.
        """
        return torch.stack(list(self.directions(temperature).values())).sum()

    def directions(self, temperature: float | Tensor) -> dict[str, Tensor]:
        """The loss of each direction, under its name; arguments as in ``loss``."""
        if not isinstance(temperature, Tensor) and temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {temperature}")
        rows = torch.arange(len(self.to_documents), device=self.to_documents.device)
        losses = {
            "loss_query_to_document": functional.cross_entropy(
                _divided(self.to_documents, temperature), torch.zeros_like(rows)
            )
        }
        if self.to_queries is not None:
            others = [] if self.to_other_query is None else [self.to_other_query]
            to_queries = _divided(torch.cat([self.to_queries, *others], dim=1), temperature)
            losses["loss_document_to_query"] = functional.cross_entropy(to_queries, rows + self.first)
        return losses

    @torch.no_grad()
    def similarities(self) -> dict[str, Tensor]:
        """How similar queries are to their own positives, (B,), and to their other candidates; what is left out is not.

        Cosines, one-dimensional.
        """
        others = self.to_documents[:, 1:]
        return {"positives": self.to_documents[:, 0].detach(), "negatives": others[others > float("-inf")].detach()}

    @torch.no_grad()
    def metrics(self, temperature: float | Tensor) -> dict[str, Tensor]:
        """What is worth watching: the loss, each direction, and how often the own positive comes first, alone (0-1).

        With other instructions also how often the own one comes before the other (0-1): near 0.5 they are not read.
        """
        directions = self.directions(temperature)
        own, others = self.to_documents[:, :1], self.to_documents[:, 1:]
        accuracy = {"accuracy": (own > others).all(dim=1).float().mean()}
        if self.to_queries is not None and self.to_other_query is not None:
            positives = self.to_queries.diagonal(self.first)
            accuracy["instruction_accuracy"] = (positives > self.to_other_query.squeeze(1)).float().mean()
        return {"loss": torch.stack(list(directions.values())).sum(), **directions, **accuracy}


@dataclass(frozen=True)
class ContrastiveLoss:
    """INSTRUCTOR's training loss over one same-task batch: who is compared with whom.

    The query direction ranks a row's own positive against every row's negatives; other rows' positives are
    candidates there only with ``in_batch_positives``. The reverse direction ranks a positive's own query against the
    other queries.

    With ``other_instruction_negatives`` the reverse direction has one candidate more, in its own row only: the own
    query's text under another task's instruction. There the text asks for something else, so that the positive is a
    wrong answer, and such pairs meet in use, where one collection is searched for several purposes. A query against its
    own text under another instruction would part two embeddings of one text, whatever is right for either; against its
    positive under another instruction, documents that no search tells apart. Neither text nor class leaves the
    candidate out, which has those of a right answer on purpose; a margin does.

    Attributes:
        in_batch_positives: False is the released script's spelling, True the paper's.
        hard_negatives: False: the rows' own negatives are no candidates, and without ``in_batch_positives`` there are
            none in the query direction.
        bidirectional: whether the reverse direction is added, as the released script and the paper do.
        other_instruction_negatives: see above. Ours, in neither published spelling.
        mask_same_text: leave out candidates whose text is also right. False compares with all, as both published
            spellings do.
        mask_same_label: leave out candidates of the own class.
        mask_margin: leave out candidates more similar to who asks than its own right answer is, by more than this. The
            encoder judges itself, where GISTEmbed (arXiv:2402.16829) asks a second model. None: none are left out.

    Source: ``InstructorTrainer.compute_loss`` (xlang-ai/instructor-embedding), checked against a literal copy in
    tests/reference.
    """

    in_batch_positives: bool = False
    hard_negatives: bool = True
    bidirectional: bool = True
    other_instruction_negatives: bool = False
    mask_same_text: bool = False
    mask_same_label: bool = False
    mask_margin: float | None = None

    @classmethod
    def of(cls, settings: LossConfig) -> ContrastiveLoss:
        """The configured loss; the other settings are called there as here."""
        others = {each.name: getattr(settings, each.name) for each in fields(cls) if hasattr(settings, each.name)}
        return cls(SPELLINGS[settings.spelling], **others)

    def compare(self, own: Sides, candidates: Sides | None = None, first: int = 0) -> Comparison:
        """Similarities of each row to its candidates.

        Args:
            own: the rows that ask.
            candidates: all rows that answer, of which ``own`` are part; None: the rows themselves.
            first: row 0 of ``own`` is this row of ``candidates``.

        Raises:
            ValueError: texts, classes or other instructions are to be compared, but they are not given.
        """
        candidates = candidates or own
        right_too = self._also_right(own, candidates, first)
        right = (own.query * own.positive).sum(dim=-1, keepdim=True)  # (B, 1)
        documents = [right]
        if self.in_batch_positives:
            positives = own.query @ candidates.positive.T  # (B, Q)
            others = self._wrong(positives, right, right_too.positives if right_too else None)
            others = others.masked_fill(own_columns(positives, first), float("-inf"))  # stands in column 0
            documents.append(others)
        if self.hard_negatives:
            negatives = own.query @ candidates.negative.T  # (B, N)
            documents.append(self._wrong(negatives, right, right_too.negatives if right_too else None))
        to_queries = to_other = None
        if self.bidirectional:
            queries = own.positive @ candidates.query.T  # (B, Q)
            others = self._wrong(queries, right, right_too.queries if right_too else None)
            to_queries = torch.where(own_columns(queries, first), queries, others)
            if self.other_instruction_negatives:
                to_other = self._wrong(_to_other_query(own), right, None)
        return Comparison(torch.cat(documents, dim=1), to_queries, first, to_other)

    def candidates_per_query(self, rows: int, negatives_per_row: int = 1) -> int:
        """Documents that each query is compared with among ``rows`` rows, its own positive included.

        The most there can be: the guards leave some out.
        """
        hard = rows * negatives_per_row if self.hard_negatives else 0
        return (rows if self.in_batch_positives else 1) + hard

    def _also_right(self, own: Sides, candidates: Sides, first: int) -> AlsoRight | None:
        marked: AlsoRight | None = None
        if self.mask_same_text:
            if own.texts is None or candidates.texts is None:
                raise ValueError("mask_same_text needs the batch's texts")
            marked = AlsoRight.by_text(own.texts, candidates.texts, first)
        if self.mask_same_label:
            if own.labels is None or candidates.labels is None:
                raise ValueError("mask_same_label needs the batch's labels")
            by_label = AlsoRight.by_label(own.labels, candidates.labels, first)
            marked = by_label if marked is None else marked | by_label
        return marked

    def _wrong(self, similarity: Tensor, right: Tensor, right_too: Tensor | None) -> Tensor:
        """-inf for candidates that are right too and, with a margin, for those too similar to be wrong."""
        if self.mask_margin is not None:
            too_similar = similarity.detach() > right.detach() + self.mask_margin
            right_too = too_similar if right_too is None else right_too | too_similar
        return similarity if right_too is None else similarity.masked_fill(right_too, float("-inf"))


def _to_other_query(own: Sides) -> Tensor:
    """(B, 1)."""
    if own.other_query is None:
        raise ValueError("other_instruction_negatives needs the queries under other instructions")
    return (own.positive * own.other_query).sum(dim=-1, keepdim=True)


def _divided(similarity: Tensor, temperature: float | Tensor) -> Tensor:
    """Similarities over the temperature; what is left out stays -inf and gives a learned one no gradient (no NaN)."""
    if not isinstance(temperature, Tensor):
        return similarity / temperature
    left_out = similarity == float("-inf")
    return (similarity.masked_fill(left_out, 0.0) / temperature).masked_fill(left_out, float("-inf"))
