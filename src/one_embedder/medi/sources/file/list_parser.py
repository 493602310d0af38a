"""The items of one long JSON list, from a parser that is fed piece by piece."""

from __future__ import annotations

import codecs
import itertools
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ijson

from one_embedder.errors import DataError
from one_embedder.files.json_lines import decoded
from one_embedder.files.unpacked import LONGEST, too_long

_ITEMS_SO_FAR = b"[null "  # stands for the items before the place at which parsing a list begins again
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_HIGH_SURROGATE = re.compile(rb"\\u[dD][89abAB]")
_STRING_OR_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)|-?(?:NaN|Infinity|[0-9][0-9.eE+-]*)', re.DOTALL)
_NEXT_ROW = re.compile(rb'\}(?=\s*,\s*\{\s*")')
_LAST_ROW = re.compile(rb"\}\s*\]\s*\Z")
_DEEPEST = 100
_SHOWN = 300


class _Object(dict[str, Any]):
    """An object of the list that remembers a key which came twice."""

    repeated: str | None = None

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self:
            self.repeated = key
        super().__setitem__(key, value)


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

    A row that cannot be read even so is left out: parsing begins again where the next one does.

    Attributes:
        place: how many bytes of the file it has been fed.
    """

    def __init__(self, path: Path) -> None:
        self.place = 0
        self._path = path
        self._tail = b""
        self._unreadable: str | None = None  # why the row is left out
        self._is_python_asked = False  # whether Python's parser, which is slower, reads the row again
        self._opened = 0  # brackets since the row began, those in texts too
        self._begin_row()
        self._begin(goes_on=False)

    def feed(self, piece: bytes) -> list[Any]:
        """The items that end in this piece, which holds one closing brace at most, at its end.

        Raises:
            DataError: if a row is longer than ``LONGEST``.
        """
        if self.place - self._row_began > LONGEST:
            raise too_long(self._path, f"the row at byte {self._row_began}")
        if self._unreadable is not None:
            return self._skip(piece)
        self.place += len(piece)
        self._row.append(piece)
        self._is_python_asked |= (
            _HIGH_SURROGATE.search(self._tail + piece) is not None
        )  # ijson makes "?" of half a pair
        self._tail = (self._tail + piece)[-4:]
        self._opened += piece.count(b"[") + piece.count(b"{")
        if self._opened > _DEEPEST and _depth(b"".join(self._row)) > _DEEPEST:
            self._unreadable = "nested too deeply"  # the parser's time would grow with the square of the depth
            return []
        try:
            self._parser.send(piece)
        except (UnicodeDecodeError, ijson.JSONError) as error:
            self._mend(error)
        return self._found()

    def end(self) -> list[Any]:
        """Told that nothing follows; what was left out last is given back.

        Raises:
            DataError: the list has not ended.
        """
        if self._unreadable is not None:
            row = b"".join(self._row)
            if not _LAST_ROW.search(row):
                raise self._refusal(ValueError(self._unreadable))
            return [Unreadable(f"not JSON ({self._unreadable})", shown(row))]
        try:
            self._parser.close()
        except ijson.JSONError as error:
            raise self._refusal(error) from error
        return []

    def _begin_row(self) -> None:
        self._row_began = self.place
        self._row: list[bytes] = []  # what was fed since then
        self._row_is_damaged = False
        self._unreadable = None
        self._opened = 0
        self._is_python_asked = False

    def _begin(self, goes_on: bool) -> None:
        self._items = ijson.sendable_list()
        self._parser = ijson.items_coro(self._items, "item", use_float=True, map_type=_Object)
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
        found = [_without_repeated_keys(item, self._row) for item in found]
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
            self._unreadable = _said(error)

    def _skip(self, piece: bytes) -> list[Any]:
        """Look for where the row after the unreadable one begins."""
        before = b"".join(self._row[-64:])[-64:]
        self._row.append(piece)
        self.place += len(piece)
        found = _NEXT_ROW.search(before + piece)
        if found is None:
            return []
        row, start = b"".join(self._row), (before + piece)[found.end() :]
        unreadable = Unreadable(f"not JSON ({self._unreadable})", shown(row[: len(row) - len(start)]))
        self.place -= len(start)
        self._begin_row()
        self._begin(goes_on=True)
        return [unreadable, *self.feed(start)]

    def _refusal(self, error: Exception) -> DataError:
        return DataError(f"{self._path}: cut short or no JSON after byte {self._row_began} ({_said(error)})")


def _said(error: Exception) -> str:
    said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
    return said.partition("\n")[0]


def _without_repeated_keys(item: Any, row: list[bytes]) -> Any:
    if not isinstance(item, _Object) or item.repeated is None:
        return item
    return Unreadable(f"the key {item.repeated!r:.60} is there twice", shown(b"".join(row)))


def _depth(row: bytes) -> int:
    """How deep brackets stand in each other, those in texts left out."""
    signs = re.findall(rb"[\[{\]}]", _STRING_OR_NUMBER.sub(b"", row))
    return max(itertools.accumulate(1 if sign in b"[{" else -1 for sign in signs), default=0)


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
