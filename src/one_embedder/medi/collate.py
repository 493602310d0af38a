"""Rows -> one tokenized batch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from one_embedder.encoder.tokenize import InstructionTokenizer, TokenizedBatch
from one_embedder.errors import DataError
from one_embedder.medi.record import RELEASED_KEYS


@dataclass(frozen=True)
class ContrastiveBatch:
    """B rows of one task; row i of each side belongs to row i of the others.

    Each side is padded to its own longest text.

    Attributes:
        query: (B, L_query).
        positive: (B, L_positive).
        negative: (B, L_negative), the rows' hard negatives.
        texts: (3, B) int64, the texts of query, positive and negative as numbers; equal texts, equal numbers.
        task_id: the one task of all rows.
        tokens: tokens of all three sides, padding not counted.
    """

    query: TokenizedBatch
    positive: TokenizedBatch
    negative: TokenizedBatch
    texts: torch.Tensor
    task_id: int
    tokens: int

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
            texts=self.texts.to(device),
        )


class ContrastiveCollator:
    """Tokenizes the three sides of a batch, with or without their instructions."""

    def __init__(self, tokenizer: InstructionTokenizer, with_instructions: bool) -> None:
        """Set what the batches are made with.

        Args:
            tokenizer: joins and truncates; a text longer than its ``max_length`` loses its end.
            with_instructions: False trains on the texts alone, the paper's ablation.
        """
        self.tokenizer = tokenizer
        self.with_instructions = with_instructions

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> ContrastiveBatch:
        """Make a batch of rows as ``load_medi`` gives them.

        Raises:
            DataError: rows of several tasks, which the loss must never see.
        """
        tasks = {int(row["task_id"]) for row in rows}
        if len(tasks) != 1:
            raise DataError(f"a batch must hold one task, this one holds {sorted(tasks)}: use SameTaskBatchSampler")
        sides = {side: self._side(rows, key) for side, key in RELEASED_KEYS.items()}
        tokens = sum(int(side.attention_mask.sum()) for side in sides.values())
        texts = torch.tensor([[_number(row[f"{key}_text"]) for row in rows] for key in RELEASED_KEYS.values()])
        return ContrastiveBatch(**sides, texts=texts, task_id=tasks.pop(), tokens=tokens)

    def _side(self, rows: Sequence[Mapping[str, Any]], key: str) -> TokenizedBatch:
        instructions = [row[f"{key}_instruction"] if self.with_instructions else "" for row in rows]
        return self.tokenizer(instructions, [row[f"{key}_text"] for row in rows])


def _number(text: str) -> int:
    """63 bits of the text's hash: the same on every rank."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
