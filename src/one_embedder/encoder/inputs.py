"""What callers may pass to ``encode``, brought to one form: as many instructions as texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

from one_embedder.errors import DataError
from one_embedder.instruction import Instruction


def pair_up(
    sentences: str | Sequence[str] | Sequence[Sequence[str]],
    instruction: str | Instruction | Sequence[str | Instruction] | None,
) -> tuple[list[str], list[str]]:
    """Instructions and texts, row by row; ``""`` for no instruction.

    Raises:
        DataError: if an element is not a string (named by its index), a pair is not a pair, pairs come with another
            instruction, or the instructions are not as many as the texts.
    """
    if isinstance(sentences, str):
        sentences = [sentences]
    if _are_pairs(sentences):
        if instruction is not None:
            raise DataError("sentences are [instruction, text] pairs already; pass no other instruction")
        pairs = [_checked_pair(pair, index) for index, pair in enumerate(sentences)]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    texts = [_checked_text(text, f"sentences[{index}]") for index, text in enumerate(sentences)]
    return _one_each(instruction, len(texts)), texts


def _are_pairs(sentences: Sequence[Any]) -> TypeGuard[Sequence[Sequence[str]]]:
    return len(sentences) > 0 and isinstance(sentences[0], list | tuple)


def _checked_pair(pair: Any, index: int) -> tuple[str, str]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise DataError(f"sentences[{index}] is {_shown(pair)}, not an [instruction, text] pair like the first")
    instruction, text = pair
    return _written(instruction, f"sentences[{index}][0]"), _checked_text(text, f"sentences[{index}][1]")


def _one_each(instruction: str | Instruction | Sequence[str | Instruction] | None, count: int) -> list[str]:
    if instruction is None:
        return [""] * count
    if isinstance(instruction, str | Instruction):
        return [_written(instruction, "instruction")] * count
    written = [_written(each, f"instruction[{index}]") for index, each in enumerate(instruction)]
    if len(written) != count:
        raise DataError(f"{len(written)} instructions for {count} texts; pass one for all or one each")
    return written


def _written(instruction: Any, where: str) -> str:
    return instruction.render() if isinstance(instruction, Instruction) else _checked_text(instruction, where)


def _checked_text(text: Any, where: str) -> str:
    if not isinstance(text, str):
        raise DataError(f"{where} is {_shown(text)}, not a string; convert it or drop the row")
    return str(text)


def _shown(value: Any) -> str:
    return f"{value!r:.60} ({type(value).__name__})"
