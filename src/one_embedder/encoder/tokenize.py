"""The one place where instruction and text are joined and where the instruction is masked out of pooling.

The rules are those of the published checkpoints' package (InstructorEmbedding 1.0.1), odd corners included:

- instruction and text are joined with nothing between them, and the end of the joined text is cut off at the maximum
  length, before the end token;
- the instruction's length is the number of tokens that ``instruction.strip()`` has alone, less its end token;
- a length of 1 counts as 0: an instruction of one T5 token is pooled too (the repository's head dropped this rule);
- the end token is always pooled, and it alone when the text is empty or the instruction fills the maximum length.

The same rules serve tokenizers that also put a token in front, such as BERT's: the length then covers ``[CLS]`` and the
instruction, ``[SEP]`` is pooled, and the empty instruction masks nothing at all, so that an encoder used without
instructions is exactly its mean-pooled self. sentence-transformers masks alike with ``include_prompt: false``.

Where the joint merges tokens until the instruction alone has as many as the joined text, the package pools nothing
and returns a zero vector; here the end token stays.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from one_embedder.encoder.truncation import Cut
from one_embedder.errors import CheckpointError, ConfigError

_STRIP = {"type": "Strip", "strip_left": True, "strip_right": True}
_MEASURED = 65_536  # instructions whose length is remembered, so that a server may be sent ever new ones


@dataclass(frozen=True)
class Joining:
    """One published way of joining.

    Attributes:
        strip_instruction: drop the space that an instruction ends with: ``"...: " + text`` becomes ``"...:text"``.
        shortest_masked: instructions of fewer tokens are pooled.
    """

    strip_instruction: bool
    shortest_masked: int

    def __call__(self, instruction: str, text: str) -> str:
        """Instruction and text as the encoder reads them."""
        return (self.prompt(instruction) + text.strip()).strip()

    def prompt(self, instruction: str) -> str:
        """What comes in front of the text."""
        return instruction.strip() if self.strip_instruction else instruction


JOININGS = {
    "pypi": Joining(strip_instruction=False, shortest_masked=2),  # InstructorEmbedding 1.0.1, which users install
    "head": Joining(strip_instruction=True, shortest_masked=1),  # the repository since January 2024
}


class TokenizedText(NamedTuple):
    """Token ids of one joined text, how many of the first ones are left out of pooling, and what was cut off."""

    input_ids: list[int]
    instruction_length: int
    cut: Cut = Cut.NONE


@dataclass(frozen=True)
class TokenizedBatch:
    """Joined texts, padded on the right to the longest of them.

    Attributes:
        input_ids, attention_mask, pooling_mask: (B, L) int64. The encoder attends to the instruction; pooling
            leaves it out.
    """

    input_ids: Tensor
    attention_mask: Tensor
    pooling_mask: Tensor

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, rows: slice) -> TokenizedBatch:
        """Some of the rows, padded as they are."""
        return TokenizedBatch(self.input_ids[rows], self.attention_mask[rows], self.pooling_mask[rows])

    @classmethod
    def stacked(cls, batches: Sequence[TokenizedBatch]) -> TokenizedBatch:
        """The rows of all, in order, padded to the longest."""
        length = max(batch.input_ids.shape[1] for batch in batches)

        def stack(name: str) -> Tensor:
            sides = [getattr(batch, name) for batch in batches]
            return torch.cat([functional.pad(side, (0, length - side.shape[1])) for side in sides])

        return cls(stack("input_ids"), stack("attention_mask"), stack("pooling_mask"))

    def distinct(self) -> tuple[TokenizedBatch, Tensor]:
        """Each different row once, in no order that means anything, and for each row which of them it is, (B,)."""
        rows = 4 * self.input_ids + 2 * self.attention_mask + self.pooling_mask
        found, which = torch.unique(rows, dim=0, return_inverse=True)
        return TokenizedBatch(found >> 2, found >> 1 & 1, found & 1), which

    def to(self, device: torch.device | str) -> TokenizedBatch:
        """The same batch on another device."""
        return TokenizedBatch(
            input_ids=self.input_ids.to(device, non_blocking=True),
            attention_mask=self.attention_mask.to(device, non_blocking=True),
            pooling_mask=self.pooling_mask.to(device, non_blocking=True),
        )


class InstructionTokenizer:
    """Joins, tokenises, pads and masks; from as many threads at once as you like.

    The tokenizer is copied and the copy never changed: setting a tokenizer's truncation for one call is seen by another
    that runs beside it. What is too long is cut here instead.

    Args:
        tokenizer: a fast tokenizer that ends every text with a special token (T5, BERT and their kin).
        max_length: tokens per text, instruction and special tokens included; the rest of a longer text is cut off.
        joining: ``"pypi"`` or ``"head"``, the two published ways.

    Raises:
        ConfigError: if the joining is unknown or no token of the text would fit in the maximum length.
        CheckpointError: if the tokenizer ends texts with no special token, has no padding token, or cuts texts at their
            beginning, where the instruction is.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, max_length: int, joining: str = "pypi") -> None:
        if joining not in JOININGS:
            raise ConfigError(f"encoder.joining={joining!r} is unknown; choose one of {', '.join(JOININGS)}")
        self.tokenizer = tokenizer
        self.joining = joining
        self._backend = _unlimited(tokenizer)
        self._ending = _checked_ending(tokenizer, self._backend)
        self.max_length = _checked_max_length(tokenizer, max_length)
        self._instruction_lengths: dict[str, int] = {}

    def with_max_length(self, max_length: int) -> InstructionTokenizer:
        """A copy that cuts elsewhere; the underlying tokenizer is shared."""
        twin = copy.copy(self)
        twin.max_length = _checked_max_length(self.tokenizer, max_length)
        return twin

    def __call__(self, instructions: Sequence[str], texts: Sequence[str]) -> TokenizedBatch:
        """Tokenise one batch, text i with instruction i (``""`` for none)."""
        return self.pad(self.tokenize(instructions, texts))

    def tokenize(self, instructions: Sequence[str], texts: Sequence[str]) -> list[TokenizedText]:
        """Join and tokenise without padding, in the given order.

        Raises:
            ValueError: if there are not as many instructions as texts.
        """
        join = JOININGS[self.joining]
        joined = [join(instruction, text) for instruction, text in zip(instructions, texts, strict=True)]
        lengths = self._measured(instructions)
        return [
            self._limited(ids, lengths[instruction], text)
            for ids, instruction, text in zip(self._token_ids(joined), instructions, texts, strict=True)
        ]

    def pad(self, rows: Sequence[TokenizedText]) -> TokenizedBatch:
        """Pad tokenised texts to the longest of them and make both masks."""
        lengths = torch.tensor([len(row.input_ids) for row in rows])
        instruction_lengths = torch.tensor([row.instruction_length for row in rows])
        positions = torch.arange(int(lengths.max()))
        attended = positions < lengths.unsqueeze(1)  # (B, L)
        pooled = attended & (positions >= instruction_lengths.unsqueeze(1))
        input_ids = torch.full(attended.shape, self.tokenizer.pad_token_id, dtype=torch.long)
        input_ids[attended] = torch.tensor([token for row in rows for token in row.input_ids], dtype=torch.long)
        return TokenizedBatch(input_ids, attended.long(), pooled.long())

    def vocabulary(self) -> str:
        """The tokenizer as JSON, without truncation and padding."""
        return str(self._backend.to_str())

    def vocabulary_for_others(self) -> str:
        """The tokenizer as JSON for programs that do not strip texts and instructions, such as sentence-transformers.

        Where white space at the ends of a text makes tokens (in byte-level vocabularies), it is taken off there.
        """
        if self._token_ids([" a "]) == self._token_ids(["a"]):
            return self.vocabulary()
        content = json.loads(self.vocabulary())
        own = content["normalizer"]
        inner = {"type": "Sequence", "normalizers": [] if own is None else [own]}
        content["normalizer"] = {"type": "Sequence", "normalizers": [inner, _STRIP]}
        return json.dumps(content, ensure_ascii=False)

    def _limited(self, ids: list[int], instruction_length: int, text: str) -> TokenizedText:
        """The first tokens and the special ones of the end, at most ``max_length`` in all."""
        if len(ids) <= self.max_length:
            return TokenizedText(ids, min(instruction_length, len(ids) - 1))
        kept = ids[: self.max_length - self._ending] + ids[-self._ending :]
        lost = instruction_length >= self.max_length - self._ending and bool(text.strip())
        return TokenizedText(kept, min(instruction_length, len(kept) - 1), Cut.ALL if lost else Cut.END)

    def _measured(self, instructions: Iterable[str]) -> dict[str, int]:
        """Instructions -> how many tokens are left out of pooling. Each is tokenised when it is first met."""
        known = self._instruction_lengths
        lengths = {instruction: known.get(instruction, -1) for instruction in dict.fromkeys(instructions)}
        new = [instruction for instruction, length in lengths.items() if length < 0]
        for instruction, ids in zip(new, self._token_ids([text.strip() for text in new]), strict=True):
            length = len(ids) - 1  # without the end token
            masked = bool(instruction.strip()) and length >= JOININGS[self.joining].shortest_masked
            lengths[instruction] = length if masked else 0
        if len(known) + len(new) > _MEASURED:
            known = self._instruction_lengths = {}
        known.update((instruction, lengths[instruction]) for instruction in new[:_MEASURED])
        return lengths

    def _token_ids(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._backend.encode_batch_fast(texts)] if texts else []


def _unlimited(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """A copy of the underlying tokenizer that neither truncates nor pads."""
    backend = Tokenizer.from_str(_without_strip(tokenizer.backend_tokenizer.to_str()))
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend


def _without_strip(vocabulary: str) -> str:
    """Without what ``vocabulary_for_others`` added: texts come stripped here, and it acts beside special tokens too."""
    content = json.loads(vocabulary)
    match content["normalizer"]:
        case {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": own}, added]} if added == _STRIP:
            content["normalizer"] = own[0] if own else None
            return json.dumps(content, ensure_ascii=False)
    return vocabulary


def _checked_ending(tokenizer: PreTrainedTokenizerFast, backend: Tokenizer) -> int:
    """How many special tokens the tokenizer puts at the end of a text."""
    if tokenizer.pad_token_id is None:
        raise CheckpointError("the tokenizer has no padding token; set pad_token in its tokenizer_config.json")
    if tokenizer.truncation_side != "right":
        raise CheckpointError(
            "the tokenizer cuts texts at their beginning, where the instruction is; set truncation_side to 'right' in "
            "its tokenizer_config.json"
        )
    encoded = backend.encode("a")
    added = encoded.special_tokens_mask
    ending = added[::-1].index(0) if 0 in added else 0
    if not ending or encoded.ids[-1] not in tokenizer.all_special_ids:
        raise CheckpointError(
            "tokenizer.json or tokenizer_config.json puts no special token at the end of a text, so an empty text "
            "would have nothing to pool; "
            "use an encoder whose tokenizer adds one (T5, BERT, RoBERTa, MPNet, ...)"
        )
    return ending


def _checked_max_length(tokenizer: PreTrainedTokenizerFast, max_length: int) -> int:
    special = tokenizer.num_special_tokens_to_add()
    if max_length <= special:
        raise ConfigError(
            f"max_length={max_length} leaves no room for text: this tokenizer adds {special} special "
            f"token{'s' if special > 1 else ''} to every text; use at least {special + 1}"
        )
    return max_length
