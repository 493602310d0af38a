"""What reads files of others: a small valid example of each, and what may stand in its fields."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from one_embedder.files.text import LongNumber, fault

Predicate = Callable[[Any], bool]


@dataclass(frozen=True)
class Surface:
    """A kind of input.

    Attributes:
        name: of the kind.
        files: path -> rows (JSON lines), another JSON value, or bytes; what is damaged is one of them.
        read: reads the folder and returns what it made of it, comparable with ``==``.
        may_hold: field -> whether a value may stand there; a value that may not, and is accepted, is a fault.
        whole: rows of the example, where a bad one may be set aside: then fewer come back.
        lines: whether the files are JSON lines; else each is one JSON value, where it is not bytes.
    """

    name: str
    files: Mapping[str, Any]
    read: Callable[[Path], Any]
    may_hold: Mapping[str, Predicate] = field(default_factory=dict)
    lines: bool = True
    whole: int | None = None

    def write(self, folder: Path) -> None:
        """Write the valid example."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.encoded(name, content))

    def encoded(self, name: str, content: Any, write: Callable[[Any], bytes] | None = None) -> bytes:
        """A file's bytes."""
        if isinstance(content, bytes):
            return content
        dump = write or (lambda value: json.dumps(value).encode())
        plain = b"".join(dump(row) + b"\n" for row in content) if self.lines else dump(content)
        return gzip.compress(plain, mtime=0) if name.endswith(".gz") else plain


def text(value: Any) -> bool:
    """Any text that holds something."""
    return fault(value) is None and bool(value.strip())


def string(value: Any) -> bool:
    """Any text."""
    return fault(value) is None


def key(value: Any) -> bool:
    """What may be an identifier."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (string(value) and bool(value) and "\0" not in value)


def label(value: Any) -> bool:
    """What may be a class."""
    return (isinstance(value, int) and not isinstance(value, bool)) or text(value)


def number(value: Any) -> bool:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(value, LongNumber):
        return False
    return value == value and abs(value) != float("inf")


def texts(value: Any) -> bool:
    """A list of texts."""
    return isinstance(value, list) and bool(value) and all(map(text, value))


def numbers(value: Any) -> bool:
    """A list of numbers."""
    return isinstance(value, list) and all(map(number, value))
