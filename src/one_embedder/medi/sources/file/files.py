"""Which files hold the rows, and the rows of one file after another, from any place on.

A file is read in groups of rows, and after each group there is a place from which reading can begin again: a number of
bytes (unpacked), or of rows in a parquet file.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from one_embedder.errors import DataError
from one_embedder.files.json_lines import decoded
from one_embedder.medi.sources.file.list_parser import ListParser, Unreadable, shown

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

SUFFIXES = ((".parquet",), (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"), (".json", ".json.gz"))
"""In a folder only files of the first kind that is there are read: copies of the hub have other JSON files beside."""
UNPACKED = 4  # a packed file's rows take at most about so many times its bytes
PARQUET_ROWS = 1000  # decoded at a time
_CHUNK = 1 << 20


class Rows(NamedTuple):
    """Some rows of a file.

    Attributes:
        contents: a JSON value each, or ``Unreadable``.
        end: the place after them.
    """

    contents: list[Any]
    end: int


class Unit(NamedTuple):
    """In what progress in a file is told.

    Attributes:
        name: of the unit.
        size: of one, in the measure of ``Rows.end``.
        in_all: so many are in the file; a guess where it is packed.
    """

    name: str
    size: int
    in_all: int


def unit_of(path: Path) -> Unit:
    """Thousands of rows for parquet, megabytes for the others.

    Raises:
        DataError: a parquet file is damaged.
    """
    if path.suffix != ".parquet":
        return Unit("MB", 10**6, unpacked_size(path) // 10**6)
    with _parquet_file(path) as table:
        return Unit("thousand rows", 1000, table.metadata.num_rows // 1000)


def unpacked_size(path: Path) -> int:
    """Bytes of the rows in a file; a guess where it is packed."""
    return path.stat().st_size * (UNPACKED if path.suffix in (".gz", ".parquet") else 1)


def source_files(path: Path) -> list[Path]:
    """The file itself, or the files in a folder in order of their names.

    Raises:
        DataError: there is none.
    """
    if path.is_file():
        if path.name.endswith(tuple(suffix for kind in SUFFIXES for suffix in kind)):
            return [path]
        raise DataError(f"{path}: a MEDI file ends in {_known_suffixes()}; rename or convert it")
    for kind in SUFFIXES:
        if found := sorted(file for file in path.rglob("*") if file.name.endswith(kind) and file.is_file()):
            for file in found:
                if file.with_name(f"{file.name}.gz") in found:
                    raise DataError(f"{file}: lies there packed, too; keep one, its rows would be read twice")
            return found
    raise DataError(f"{path}: no such file, or a folder without one that ends in {_known_suffixes()}")


def read_rows(path: Path, start: int = 0) -> Iterator[Rows]:
    """The rows of a file from a place on; nothing in memory but the group at hand.

    Raises:
        DataError: the file is of no known form, cut short or damaged; the message says after which row.
    """
    return _reader(path)(path, start)


def _known_suffixes() -> str:
    return ", ".join(suffix for kind in SUFFIXES for suffix in kind)


def _reader(path: Path) -> Callable[[Path, int], Iterator[Rows]]:
    if path.suffix == ".parquet":
        return _parquet
    with _unpacked(path) as file:
        first = file.read(_CHUNK).lstrip()[:1]
    readers = {b"[": _json_list, b"{": _json_lines}
    if first not in readers:
        raise DataError(f"{path}: neither a JSON list of rows nor JSON lines, it begins with {first!r}")
    return readers[first]


@contextmanager
def _unpacked(path: Path, start: int = 0) -> Iterator[IO[bytes]]:
    try:
        with cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb") as file:
            file.seek(start)
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: not a complete gzip file ({error}); fetch or copy it again") from error


def _json_lines(path: Path, start: int) -> Iterator[Rows]:
    place = start
    with _unpacked(path, start) as file:
        for line in file:
            place += len(line)
            if line.isspace():
                continue
            content = _parsed(line)
            if isinstance(content, Unreadable) and not line.endswith(b"\n"):
                raise DataError(f"{path}: cut short in its last line ({content.reason}); fetch or copy it again")
            yield Rows([content], place)


def _parsed(line: bytes) -> Any:
    try:
        return decoded(line)
    except ValueError as error:  # covers broken UTF-8
        return Unreadable(f"not JSON ({error})", shown(line))


@contextmanager
def _parquet_file(path: Path) -> Iterator[ParquetFile]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path, pre_buffer=False) as table:
            yield table
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as parquet ({error}); fetch or copy it again") from error


def _parquet(path: Path, start: int) -> Iterator[Rows]:
    place = 0
    with _parquet_file(path) as table:
        for group in range(table.num_row_groups):
            rows = table.metadata.row_group(group).num_rows
            if place + rows <= start:
                place += rows
                continue
            for batch in table.iter_batches(PARQUET_ROWS, row_groups=[group]):
                fresh = batch.slice(min(max(start - place, 0), len(batch)))
                place += len(batch)
                if len(fresh):
                    yield Rows(fresh.to_pylist(), place)


def _json_list(path: Path, start: int) -> Iterator[Rows]:
    """The items of one list, by a parser that is fed piece by piece, each piece up to a closing brace.

    An object that the parser finds has therefore ended where the piece ends, which is a place to begin again from.
    """
    parser = ListParser(path, start)
    contents: list[Any] = []
    with _unpacked(path, start) as file:
        while chunk := file.read(_CHUNK):
            for piece in _up_to_braces(chunk):
                contents += parser.feed(piece)
                if contents and isinstance(contents[-1], (Mapping, Unreadable)):
                    yield Rows(contents, parser.place)
                    contents = []
    parser.end()
    if contents:
        yield Rows(contents, parser.place)


def _up_to_braces(chunk: bytes) -> Iterator[bytes]:
    begin = 0
    while end := chunk.find(b"}", begin) + 1:
        yield chunk[begin:end]
        begin = end
    if begin < len(chunk):
        yield chunk[begin:]
