"""What a text is, decided once: for training rows, task folders, prompt retrieval and whatever is to be embedded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LongNumber:
    """A whole number in a file that has more digits than Python reads; no text and no number that can be used."""

    digits: int

    def __repr__(self) -> str:
        return f"a number of {self.digits} digits"


def fault(text: Any) -> str | None:
    """What makes this no text that can be encoded, or None: "is 3 (int), not a string". An empty text is a text."""
    if not isinstance(text, str):
        return f"is {shown(text)}, not a string"
    if not text.isascii() and not _is_unicode(text):
        return f"holds half a character (a lone surrogate), {text!r:.60}"
    return None


def shown(value: Any) -> str:
    """A value for a message, short enough to read: "nan (float)"."""
    if isinstance(value, LongNumber):
        return repr(value)
    try:
        return f"{value!r:.60} ({type(value).__name__})"
    except ValueError:  # Python writes no more than some thousand digits
        return f"a number too long to be written ({type(value).__name__})"


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold it: JSON may escape half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
