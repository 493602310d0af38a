"""What callers may pass to ``encode``, brought to one form: as many instructions as texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from one_embedder.errors import DataError
from one_embedder.files.text import fault, shown
from one_embedder.instructions.template import Instruction

Sentences: TypeAlias = str | Iterable[str] | Iterable[Sequence[str]]
Instructions: TypeAlias = str | Instruction | Iterable[str | Instruction] | None


def pair_up(sentences: Sentences, instruction: Instructions, default: str = "") -> tuple[list[str], list[str]]:
    """Instructions and texts, row by row; plain texts without an instruction get the default one.

    Any iterable in order will do: list, tuple, array, pandas or ``datasets`` column, generator. It is read to its end
    and checked before anything is returned.

    Raises:
        DataError: if an element is not a string (named by its index), a pair is not a pair, pairs come with another
            instruction, the instructions are not as many as the texts, or the whole is no column of texts.
    """
    rows = listed(sentences, "sentences")
    if _are_pairs(rows):
        if instruction is not None:
            raise DataError("sentences are [instruction, text] pairs already; pass no other instruction")
        pairs = [_checked_pair(pair, index) for index, pair in enumerate(rows)]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    texts = [_checked_text(text, "sentences[{}]", index) for index, text in enumerate(rows)]
    return _one_each(default if instruction is None else instruction, len(texts)), texts


def listed(values: Any, name: str) -> list[Any]:
    """The rows of an ordered collection; of a text, that text.

    Raises:
        DataError: if it is no column of texts; the message calls it by the name.
    """
    if isinstance(values, str):
        return [values]
    if isinstance(values, np.ndarray):
        return list(np.atleast_1d(values).tolist())
    # A table iterates over its column names or rows, a dictionary over its keys, a set in no order.
    if hasattr(values, "columns") or hasattr(values, "column_names"):
        raise DataError(f"{name} is a table ({type(values).__name__}); pass one of its columns")
    if isinstance(values, Mapping | Set | bytes) or not isinstance(values, Iterable):
        raise DataError(f"{name} is {shown(values)}; pass a text or an ordered collection of texts")
    return list(values)


def _are_pairs(rows: list[Any]) -> TypeGuard[list[Sequence[str]]]:
    return len(rows) > 0 and isinstance(rows[0], list | tuple)


def _checked_pair(pair: Any, index: int) -> tuple[str, str]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise DataError(f"sentences[{index}] is {shown(pair)}, not an [instruction, text] pair like the first")
    instruction, text = pair
    return _written(instruction, "sentences[{}][0]", index), _checked_text(text, "sentences[{}][1]", index)


def _one_each(instruction: str | Instruction | Iterable[str | Instruction], count: int) -> list[str]:
    if isinstance(instruction, str | Instruction):
        return [_written(instruction, "instruction")] * count
    rows = listed(instruction, "instruction")
    written = [_written(each, "instruction[{}]", index) for index, each in enumerate(rows)]
    if len(written) != count:
        raise DataError(f"{len(written)} instructions for {count} texts; pass one for all or one each")
    return written


def _written(instruction: Any, place: str, index: int = 0) -> str:
    return instruction.render() if isinstance(instruction, Instruction) else _checked_text(instruction, place, index)


def _checked_text(text: Any, place: str, index: int) -> str:
    """The text as a plain string. The place is only spelled out if there is something wrong with it."""
    if (wrong := fault(text)) is not None:
        raise DataError(f"{place.format(index)} {wrong}; convert it or drop the row")
    return str.__str__(text)  # str() of an Enum's member is its name
