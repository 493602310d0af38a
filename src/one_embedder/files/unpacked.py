"""Text files of others as bytes, packed or not: one way to open them, and one bound to what a line may hold."""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from one_embedder.errors import DataError
from one_embedder.files.documents import require_not_wide

_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
LONGEST = 32 << 20
"""Bytes of a line, or of a row of a list: far above any text that is embedded, far below what fills a memory."""


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, those that its ``.gz`` holds, without a byte order mark before them.

    Raises:
        DataError: if it is packed and damaged, is UTF-16 or UTF-32, or cannot be opened.
    """
    try:
        with _opened(path) as file:
            start = file.peek(4)[:4]
            _require_utf8(path, start)
            if start.startswith(BOM_UTF8):
                file.read(len(BOM_UTF8))
            yield file
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def lines_of(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """The lines, split at newlines only: some texts hold other characters that ``str.splitlines`` breaks at.

    Raises:
        DataError: if one is longer than ``LONGEST``, or the file is packed and damaged.
    """
    number = 0
    while line := _next_line(file, path, number):
        number += 1
        if len(line) > LONGEST:
            raise too_long(path, f"row {number}")
        yield line


def too_long(path: Path, where: str) -> DataError:
    """The error for a row that no memory should be given to."""
    return DataError(f"{path}, {where}: longer than {LONGEST >> 20} MiB, the most that a row may have; shorten it")


def _next_line(file: IO[bytes], path: Path, number: int) -> bytes:
    try:
        return file.readline(LONGEST + 1)
    except _DAMAGE as error:
        raise _damaged(path, error, f", damaged after row {number}") from error


def _damaged(path: Path, error: Exception, where: str = "") -> DataError:
    return DataError(f"{path}: not a complete gzip file{where} ({error}); write, fetch or copy it again")


def _opened(path: Path) -> Any:
    try:
        return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}); is it a file that you may read?") from error


def _require_utf8(path: Path, start: bytes) -> None:
    try:
        require_not_wide(start)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
