"""Rows -> one tokenized batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from one_embedder.encoder.tokenize import InstructionTokenizer, TokenizedBatch, TokenizedText
from one_embedder.encoder.truncation import Truncation
from one_embedder.errors import DataError
from one_embedder.instructions.detail import at_detail
from one_embedder.medi.row import LABEL_KEYS, RELEASED_KEYS
from one_embedder.medi.store import further_negatives, negative_labels

NO_CLASS = -1


class TextNumbers(NamedTuple):
    """The texts of a batch as numbers, int64: equal texts have equal numbers, on every rank.

    Attributes:
        query: (B,).
        positive: (B,).
        negative: (N,), the hard negatives of all rows.
    """

    query: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor


class LabelNumbers(NamedTuple):
    """The classes of a batch as numbers, int64: equal classes of one task have equal numbers, on every rank.

    Attributes:
        row: (B,), of a row's query and positive; -1 where there is none.
        negative: (N,), of the hard negatives of all rows; -1 where there is none.
    """

    row: torch.Tensor
    negative: torch.Tensor


@dataclass(frozen=True)
class ContrastiveBatch:
    """B rows of one task; row i of the positives belongs to row i of the queries.

    Each side is padded to its own longest text.

    Attributes:
        query: (B, L_query).
        positive: (B, L_positive).
        negative: (N, L_negative), the hard negatives of row 0, then those of row 1, and so on; B where each has one,
            none where the loss has no use for them.
        other_query: (B, L_other), the queries' texts under another task's instruction; none where the loss has no use
            for them.
        texts: the texts of the three sides as numbers.
        labels: the classes of rows and negatives as numbers.
        task_id: the one task of all rows; None in a batch of several tasks.
        tokens: tokens of all sides, padding not counted.
        truncation: how many texts of all sides were cut.
    """

    query: TokenizedBatch
    positive: TokenizedBatch
    negative: TokenizedBatch
    other_query: TokenizedBatch
    texts: TextNumbers
    labels: LabelNumbers
    task_id: int | None
    tokens: int
    truncation: Truncation

    def __len__(self) -> int:
        """B."""
        return len(self.query)

    def to(self, device: torch.device | str, *_: Any, **__: Any) -> ContrastiveBatch:
        """The batch on a device. Lightning also passes ``non_blocking``, which changes nothing here."""
        return replace(
            self,
            query=self.query.to(device),
            positive=self.positive.to(device),
            negative=self.negative.to(device),
            other_query=self.other_query.to(device),
            texts=TextNumbers(*(numbers.to(device) for numbers in self.texts)),
            labels=LabelNumbers(*(numbers.to(device) for numbers in self.labels)),
        )


class ContrastiveCollator:
    """Tokenizes the sides of a batch, with or without their instructions."""

    def __init__(
        self,
        tokenizer: InstructionTokenizer,
        with_instructions: bool,
        *,
        mixed_tasks: bool = False,
        instruction_detail: str = "detailed",
        hard_negatives: bool = True,
        other_instructions: Callable[[Mapping[str, Any]], str] | None = None,
    ) -> None:
        """Set what the batches are made with.

        Args:
            tokenizer: joins and truncates; a text longer than its ``max_length`` loses its end.
            with_instructions: False trains on the texts alone, the paper's ablation.
            mixed_tasks: True allows rows of several tasks in a batch, for the ablation of same-task batches.
            instruction_detail: how much of an instruction is read, one of ``detail.DETAILS``.
            hard_negatives: False leaves the rows' own negatives out of the batches.
            other_instructions: row -> another task's instruction; None leaves the queries under such out of them.
        """
        self.tokenizer = tokenizer
        self.with_instructions = with_instructions
        self.mixed_tasks = mixed_tasks
        self.instruction_detail = instruction_detail
        self.hard_negatives = hard_negatives
        self.other_instructions = other_instructions

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> ContrastiveBatch:
        """Make a batch of rows as ``load_medi`` gives them.

        Raises:
            DataError: rows of several tasks where they are not wanted.
        """
        tasks = {int(row["task_id"]) for row in rows}
        if len(tasks) != 1 and not self.mixed_tasks:
            raise DataError(f"a batch must hold one task, this one holds {sorted(tasks)}: use SameTaskBatchSampler")
        pairs = {side: self._pairs(rows, key) for side, key in RELEASED_KEYS.items()}
        if self.other_instructions is not None:
            pairs["other_query"] = [(self.other_instructions(row), row["query_text"]) for row in rows]
        tokenized = {side: self._tokenized(of_side) for side, of_side in pairs.items()}
        sides = {side: self.tokenizer.pad(rows_of_side) for side, rows_of_side in tokenized.items()}
        sides.setdefault("other_query", sides["query"][:0])
        texts, labels = TextNumbers(*(_numbers(pairs[side]) for side in TextNumbers._fields)), _labels(rows)
        if not self.hard_negatives:
            tokenized["negative"], sides["negative"] = [], sides["negative"][:0]
            texts, labels = texts._replace(negative=texts.negative[:0]), labels._replace(negative=labels.negative[:0])
        return ContrastiveBatch(
            **sides,
            texts=texts,
            labels=labels,
            task_id=tasks.pop() if len(tasks) == 1 else None,
            tokens=sum(len(text.input_ids) for of_side in tokenized.values() for text in of_side),
            truncation=Truncation.of([text.cut for of_side in tokenized.values() for text in of_side]),
        )

    def _tokenized(self, pairs: Sequence[tuple[str, str]]) -> list[TokenizedText]:
        return self.tokenizer.tokenize([instruction for instruction, _ in pairs], [text for _, text in pairs])

    def _pairs(self, rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[str, str]]:
        """(instruction, text) of one side; a row's further negatives stand behind its first."""
        pairs: list[tuple[str, str]] = []
        for row in rows:
            side = [(row[f"{key}_instruction"], row[f"{key}_text"])]
            if key == RELEASED_KEYS["negative"]:
                side.extend(further_negatives(row))
            pairs.extend((self.read(instruction, row), text) for instruction, text in side)
        return pairs

    def read(self, instruction: str, row: Mapping[str, Any]) -> str:
        """What the encoder reads of a row's instruction."""
        if not self.with_instructions:
            return ""
        if self.instruction_detail == "detailed":
            return instruction
        return at_detail(instruction, self.instruction_detail, row["task_name"])


def _labels(rows: Sequence[Mapping[str, Any]]) -> LabelNumbers:
    of_rows, of_negatives = [], []
    for row in rows:
        of_rows.append(_class_number(row["task_id"], row[LABEL_KEYS["label"]]))
        of_negatives += [_class_number(row["task_id"], label) for label in negative_labels(row)]
    return LabelNumbers(torch.tensor(of_rows), torch.tensor(of_negatives))


def _class_number(task_id: int, label: str | None) -> int:
    return NO_CLASS if label is None else _number(f"{task_id} {label}")


def _numbers(pairs: Sequence[tuple[str, str]]) -> torch.Tensor:
    return torch.tensor([_number(text) for _, text in pairs])


def _number(text: str) -> int:
    """63 bits of the text's hash, at least 0: the same on every rank."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
