"""The items of one long JSON list, from a parser that is fed piece by piece."""

from __future__ import annotations

import codecs
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ijson

from one_embedder.errors import DataError
from one_embedder.files.json_lines import decoded

_ITEMS_SO_FAR = b"[null "  # stands for the items before the place at which parsing a list begins again
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_HIGH_SURROGATE = re.compile(rb"\\u[dD][89abAB]")
_STRING_OR_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)|-?(?:NaN|Infinity|[0-9][0-9.eE+-]*)', re.DOTALL)
_SHOWN = 300


@dataclass(frozen=True)
class Unreadable:
    """A row that is no record.

    Attributes:
        reason: why.
        content: what stands there.
    """

    reason: str
    content: str


class ListParser:
    """Ijson's push parser, and a second try for a row of which it cannot read something, or reads something else.

    Attributes:
        place: how many bytes of the file it has been fed.
    """

    def __init__(self, path: Path) -> None:
        self.place = 0
        self._path = path
        self._tail = b""
        self._begin_row()
        self._begin(goes_on=False)

    def feed(self, piece: bytes) -> list[Any]:
        """The items that end in this piece, which holds one closing brace at most, at its end."""
        self.place += len(piece)
        self._row.append(piece)
        self._is_python_asked |= (
            _HIGH_SURROGATE.search(self._tail + piece) is not None
        )  # ijson makes "?" of half a pair
        self._tail = (self._tail + piece)[-4:]
        try:
            self._parser.send(piece)
        except (UnicodeDecodeError, ijson.JSONError) as error:
            self._mend(error)
        return self._found()

    def end(self) -> None:
        """Told that nothing follows.

        Raises:
            DataError: the list has not ended.
        """
        try:
            self._parser.close()
        except ijson.JSONError as error:
            raise self._refusal(error) from error

    def _begin_row(self) -> None:
        self._row_began = self.place
        self._row: list[bytes] = []  # what was fed since then
        self._row_is_damaged = False
        self._is_python_asked = False  # whether Python's parser, which is slower, reads the row again

    def _begin(self, goes_on: bool) -> None:
        self._items = ijson.sendable_list()
        self._parser = ijson.items_coro(self._items, "item", use_float=True)
        if goes_on:
            self._parser.send(_ITEMS_SO_FAR)
            self._items.clear()

    def _found(self) -> list[Any]:
        found = list(self._items)
        self._items.clear()
        if found and self._row_is_damaged:
            found[-1] = Unreadable("not valid UTF-8", shown(b"".join(self._row)))
        elif found and self._is_python_asked:
            found = self._read_by_python(len(found))
        if found:
            self._begin_row()
        return found

    def _read_by_python(self, count: int) -> list[Any]:
        row = b"".join(self._row).strip()
        row = row.removeprefix(b"," if self._row_began else b"[")
        try:
            items = decoded(b"[%s]" % row)
        except ValueError:
            items = []
        return items if len(items) == count else [Unreadable("not JSON by Python's reading", shown(row))] * count

    def _mend(self, error: Exception) -> None:
        """Parse the row again with something else in place of what the parser does not take, to get past it."""
        row = b"".join(self._row)
        self._row_is_damaged = not _is_utf8_so_far(row)
        text = _SURROGATE.sub(rb"\\ufffd", row.decode(errors="replace").encode())
        self._is_python_asked = True
        self._begin(goes_on=self._row_began > 0)
        try:
            self._parser.send(_STRING_OR_NUMBER.sub(_known, text))
        except (ijson.JSONError, UnicodeDecodeError):
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> DataError:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        said = said.partition("\n")[0]
        return DataError(f"{self._path}: cut short or no JSON after byte {self._row_began} ({said})")


def _is_utf8_so_far(content: bytes) -> bool:
    """Whether it can go on as UTF-8; a character may be cut at its end."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return False
    return True


def _known(token: re.Match[bytes]) -> bytes:
    """Null for a number that Python reads and ijson does not."""
    written = token[0]
    if written.startswith(b'"'):
        return written
    try:
        number = float(written)
    except ValueError:  # is told by the parser
        return written
    whole = written.lstrip(b"-").isdigit()
    return b"null" if not math.isfinite(number) or (whole and abs(number) >= 2**63) else written


def shown(content: bytes) -> str:
    """The beginning of a row, for a message."""
    return content[:_SHOWN].decode(errors="backslashreplace")
