"""A data set's files on the hub: which there are, how large, and their rows one after the other."""

from __future__ import annotations

import errno
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, BinaryIO, cast

from one_embedder.config.schema import HubDatasetConfig
from one_embedder.errors import DataError
from one_embedder.files.hub import reason
from one_embedder.files.json_lines import decoded

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
ROWS_AT_ONCE = 1000
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)  # and not of the hub


@dataclass(frozen=True)
class RawRow:
    """A row before it is decoded, which only rows that are drawn need be."""

    where: str
    content: bytes | Mapping[str, Any]

    def decoded(self) -> object:
        """The record.

        Raises:
            DataError: a line is not JSON.
        """
        if not isinstance(self.content, bytes):
            return self.content
        try:
            return decoded(self.content)
        except ValueError as error:
            raise DataError(f"{self.where}: not JSON ({error})") from error


@dataclass(frozen=True)
class HubFiles:
    """The files of one data set at one commit.

    Attributes:
        repo, commit: where they are.
        sizes: name -> bytes, in the order in which they are read.
        first_rows: how many rows are read at most; None for all.
    """

    repo: str
    commit: str
    sizes: Mapping[str, int]
    first_rows: int | None

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.repo} ({', '.join(self.sizes)})"

    def is_streamed(self, name: str) -> bool:
        """Whether only the head of a file is fetched instead of the whole."""
        return self.first_rows is not None and not name.endswith(".parquet")

    def to_download(self) -> int:
        """Bytes that are fetched whole and are not in huggingface_hub's cache yet."""
        from huggingface_hub import try_to_load_from_cache

        return sum(
            size
            for name, size in self.sizes.items()
            if not self.is_streamed(name)
            and not isinstance(try_to_load_from_cache(self.repo, name, revision=self.commit, repo_type="dataset"), str)
        )

    def rows(self) -> Iterator[RawRow]:
        """The rows of all files in order, up to ``first_rows``; a file is fetched when its turn comes.

        Raises:
            DataError: a file cannot be had or read; it names the file and the row.
        """
        every = itertools.chain.from_iterable(map(self._rows_of, self.sizes))
        return itertools.islice(every, self.first_rows)

    def _rows_of(self, name: str) -> Iterator[RawRow]:
        place = f"{self.repo} file {name}"
        number = 0
        with _told(self.repo, f"file {name}"):
            try:
                for number, content in enumerate(self._contents(name), start=1):
                    yield RawRow(f"{place} row {number}", content)
            except (EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
                raise DataError(
                    f"{place}: cannot be read after row {number} ({error}); it is cut short or damaged"
                ) from error

    def _contents(self, name: str) -> Iterator[bytes | Mapping[str, Any]]:
        if name.endswith(".parquet"):
            yield from _parquet_rows(self._download(name))
            return
        with self._open(name) as raw, cast(BinaryIO, gzip.open(raw) if name.endswith(".gz") else raw) as lines:
            yield from (line for line in io.BufferedReader(cast(io.RawIOBase, lines)) if line.strip())

    def _open(self, name: str) -> AbstractContextManager[BinaryIO]:
        if not self.is_streamed(name):
            return self._download(name).open("rb")
        from huggingface_hub import HfFileSystem

        path = f"datasets/{self.repo}@{self.commit}/{name}"
        hub = HfFileSystem(skip_instance_cache=True)  # a cached one may ask another endpoint
        return cast("AbstractContextManager[BinaryIO]", hub.open(path, "rb", block_size=0))

    def _download(self, name: str) -> Path:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(self.repo, name, revision=self.commit, repo_type="dataset"))


class Listings:
    """What the hub says of repositories; each is asked once, for many data sets share one."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[str, dict[str, int]] | DataError] = {}

    def files_of(self, dataset: HubDatasetConfig) -> HubFiles:
        """The files that the data set's patterns name.

        Raises:
            DataError: the hub does not show the repository or the revision, or no file fits a pattern.
        """
        place = (dataset.repo, dataset.revision)
        if place not in self._known:
            self._known[place] = _ask(*place)
        answer = self._known[place]
        if isinstance(answer, DataError):
            raise answer
        commit, sizes = answer
        chosen = [name for pattern in dataset.files for name in _fitting(pattern, sizes, dataset)]
        return HubFiles(dataset.repo, commit, {name: sizes[name] for name in chosen}, dataset.first_rows)


def _fitting(pattern: str, sizes: Mapping[str, int], dataset: HubDatasetConfig) -> list[str]:
    names = sorted(name for name in sizes if fnmatch(name, pattern))
    if not names:
        some = ", ".join(sorted(sizes)[:8]) or "none"
        raise DataError(f"{dataset.repo} at revision {dataset.revision} has no file {pattern}; some it has: {some}")
    return names


def _ask(repo: str, revision: str) -> tuple[str, dict[str, int]] | DataError:
    from huggingface_hub import HfApi, constants
    from huggingface_hub.hf_api import RepoFile

    api = HfApi()
    try:
        with _told(repo, f"revision {revision}"):
            info = api.dataset_info(repo, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
            tree = list(api.list_repo_tree(repo, repo_type="dataset", revision=info.sha, recursive=True))
    except DataError as error:
        return error
    return str(info.sha), {entry.path: entry.size for entry in tree if isinstance(entry, RepoFile)}


class _told(AbstractContextManager[None]):
    """The hub's and its HTTP library's errors as one message; they have no class in common but Exception."""

    def __init__(self, repo: str, what: str) -> None:
        self.repo, self.what = repo, what

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, DataError):
            if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
                return
            said = reason(error, f"datasets/{self.repo}", "data set")
            raise DataError(f"{self.repo}, {self.what}: {said}") from error


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as table:
        for batch in table.iter_batches(batch_size=ROWS_AT_ONCE):
            yield from batch.to_pylist()
