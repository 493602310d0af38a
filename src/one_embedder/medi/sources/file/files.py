"""Which files hold the rows, on disk or on the hub, and the rows of a file one after another."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from one_embedder.errors import DataError
from one_embedder.files.hub import reason
from one_embedder.files.json_lines import decoded
from one_embedder.files.unpacked import LONGEST, lines_of, too_long, unpacked
from one_embedder.medi.sources.file.list_parser import ListParser, Unreadable, shown

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

SUFFIXES = ((".parquet",), (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"), (".json", ".json.gz"))
"""In a folder only files of the first kind that is there are read: copies of the hub have other JSON files beside."""
UNPACKED = 4  # a packed file's rows take at most about so many times its bytes
PARQUET_ROWS = 1000  # decoded at a time
_CHUNK = 1 << 20
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        content: a JSON value, or ``Unreadable``.
        place: how far reading has come: bytes (unpacked), or rows of a parquet file.
    """

    content: Any
    place: int


class Unit(NamedTuple):
    """In what progress in a file is told.

    Attributes:
        name: of the unit.
        size: of one, in the measure of ``Row.place``.
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


def located(path: str) -> Path:
    """The file or folder, in huggingface_hub's cache if it is a data set of the hub.

    Raises:
        DataError: the hub does not give it.
    """
    place = Path(path).expanduser()
    if place.exists() or not _HUB_ID.fullmatch(path):
        return place
    from huggingface_hub import HfApi, constants, snapshot_download

    wanted = [f"*{suffix}" for kind in SUFFIXES for suffix in kind]
    try:
        # Asked first, with a limit to the wait: snapshot_download has none where the hub says nothing.
        commit = HfApi().dataset_info(path, timeout=constants.HF_HUB_ETAG_TIMEOUT).sha
        return Path(snapshot_download(path, repo_type="dataset", revision=commit, allow_patterns=wanted))
    # Out of it come huggingface_hub's errors and its HTTP library's; these have no class in common but Exception.
    except Exception as error:
        said = reason(error, f"datasets/{path}", "data set")
        raise DataError(
            f"medi.path={path} is neither on disk nor to be had from the hub: {said}; or download it elsewhere and "
            "give its folder"
        ) from error


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


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file; a thousand of them are in memory at most.

    Raises:
        DataError: the file is of no known form, cut short or damaged; the message says after which row.
    """
    return _reader(path)(path)


def _known_suffixes() -> str:
    return ", ".join(suffix for kind in SUFFIXES for suffix in kind)


def _reader(path: Path) -> Callable[[Path], Iterator[Row]]:
    if path.suffix == ".parquet":
        return _parquet
    with unpacked(path) as file:
        first = file.read(_CHUNK).lstrip()[:1]
    readers = {b"[": _json_list, b"{": _json_lines}
    if first not in readers:
        raise DataError(f"{path}: neither a JSON list of rows nor JSON lines, it begins with {first!r}")
    return readers[first]


def _json_lines(path: Path) -> Iterator[Row]:
    place = 0
    with unpacked(path) as file:
        for line in lines_of(file, path):
            place += len(line)
            if line.isspace():
                continue
            content = _parsed(line)
            if isinstance(content, Unreadable) and not line.endswith(b"\n"):
                raise DataError(f"{path}: cut short in its last line ({content.reason}); fetch or copy it again")
            yield Row(content, place)


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
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as parquet ({error}); fetch or copy it again") from error


def _parquet(path: Path) -> Iterator[Row]:
    with _parquet_file(path) as table:
        groups = [table.metadata.row_group(number) for number in range(table.metadata.num_row_groups)]
        if any(group.total_byte_size > LONGEST * max(1, group.num_rows) for group in groups):
            raise too_long(path, "a row group's mean row")
        rows = (row for batch in table.iter_batches(PARQUET_ROWS) for row in batch.to_pylist())
        yield from map(Row, rows, itertools.count(1))


def _json_list(path: Path) -> Iterator[Row]:
    """The items of one list, by a parser that is fed piece by piece, each piece up to a closing brace."""
    parser = ListParser(path)
    with unpacked(path) as file:
        while chunk := file.read(_CHUNK):
            for piece in _up_to_braces(chunk):
                yield from (Row(content, parser.place) for content in parser.feed(piece))
        yield from (Row(content, parser.place) for content in parser.end())


def _up_to_braces(chunk: bytes) -> Iterator[bytes]:
    begin = 0
    while end := chunk.find(b"}", begin) + 1:
        yield chunk[begin:end]
        begin = end
    if begin < len(chunk):
        yield chunk[begin:]
