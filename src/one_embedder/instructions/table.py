"""Entries of an instruction table: the parts of the template, or a text as it stands -> the instruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from one_embedder.errors import ConfigError
from one_embedder.instructions.template import Instruction

_PARTS = ("text_type", "domain", "objective")
_SPELLING = ("article", "preposition", "ending")


def written_out(table: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """A table as it stands in ``conf/instructions`` with every entry as the text that the encoder reads.

    Args:
        table: task -> side -> a text, taken as it is, or a mapping of ``text_type`` and, as needed, ``domain``,
            ``objective`` and what the published instructions spell in several ways: ``article`` ("the"),
            ``preposition`` ("for") and ``ending`` (": ").

    Raises:
        ConfigError: naming the entry that is neither.
    """
    return {task: _sides(f"instructions.table.{task}", sides) for task, sides in table.items()}


def _sides(where: str, sides: Any) -> dict[str, str]:
    if not isinstance(sides, Mapping):
        raise ConfigError(f"{where}={sides!r} must say which side: query and document, or text")
    return {str(side): _text(f"{where}.{side}", entry) for side, entry in sides.items()}


def _text(where: str, entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}={entry!r} must be a text ('' for no instruction) or parts such as text_type")
    known = (*_PARTS, *_SPELLING)
    unknown = sorted(set(entry) - set(known), key=str)
    if unknown or "text_type" not in entry:
        trouble = f"has the unknown part {unknown[0]!r}" if unknown else "lacks text_type"
        raise ConfigError(f"{where} {trouble}; the parts are {', '.join(known)}")
    no_text = [part for part, value in entry.items() if not isinstance(value, str)]
    if no_text:
        raise ConfigError(f"{where}.{no_text[0]}={entry[no_text[0]]!r} must be a text; leave the part out, or quote it")
    try:
        instruction = Instruction(**{part: entry[part] for part in _PARTS if part in entry})
        return instruction.render(**{part: entry[part] for part in _SPELLING if part in entry})
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
