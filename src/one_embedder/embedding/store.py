"""Embeddings on disk that grow chunk by chunk and survive an interruption at any moment."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from one_embedder.encoder.truncation import Truncation
from one_embedder.errors import ConfigError, DataError
from one_embedder.files.disk import writing
from one_embedder.files.lock import holding

_ROWS, _STATE = "embeddings.npy", "state.json"


@dataclass
class OutputRecord:
    """What is known of the rows written so far; in the end ``OUTPUT.json``.

    Attributes:
        settings: all that the embeddings depend on; an earlier run's must be equal.
        encoder: what made them, in the words of who asked for it.
        width: numbers a row.
        dtype: of the numbers.
        rows: how many are written and safe.
        ranges: smallest and largest value of every dimension, for int8 and uint8.
        truncation: how many of the texts were cut, and how many of these lost everything.
    """

    settings: dict[str, Any]
    encoder: dict[str, Any]
    width: int
    dtype: str
    rows: int = 0
    ranges: list[list[float]] | None = None
    truncation: dict[str, int] = field(default_factory=lambda: {"cut": 0, "lost": 0})

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.width * np.dtype(self.dtype).itemsize

    def add(self, rows: int, truncation: Truncation) -> None:
        """Count further rows."""
        self.rows += rows
        self.truncation = {name: count + getattr(truncation, name) for name, count in self.truncation.items()}

    def cut(self) -> Truncation:
        """What was cut of the rows."""
        return Truncation(self.rows, **self.truncation)

    def earlier(self, path: Path, made: Path) -> OutputRecord | None:
        """The record that an earlier run with the same settings left, or None.

        Raises:
            ConfigError: if it had other settings.
            DataError: if it is damaged, or was made of other texts.
        """
        if not path.is_file():
            return None
        try:
            found = OutputRecord(**json.loads(path.read_text(encoding="utf-8")))
            found.cut()
            then, now = dict(found.settings), dict(self.settings)
        except (ValueError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}); add --restart") from error
        if then.pop("input_sha256", None) != now.pop("input_sha256"):
            raise DataError(
                f"{made} was made of another input file; restore that file, choose another output or add --restart"
            )
        if different := [
            f"{key} was {then.get(key)!r} and is {now[key]!r}" for key in sorted(now) if then.get(key) != now[key]
        ]:
            raise ConfigError(
                f"{made} was made with other settings ({'; '.join(different)}): repeat those, choose another output or "
                "add --restart"
            )
        return found


def finished(output: Path, record: OutputRecord) -> OutputRecord | None:
    """The record of an output that is there already, or None; raises as ``OutputRecord.earlier`` does."""
    if not output.exists():
        return None
    found = record.earlier(_beside(output), output)
    if found is None:
        raise ConfigError(f"{output} exists and was not made by this command; choose another name or add --restart")
    return found


@dataclass
class EmbeddingStore:
    """An array on disk whose rows are added.

    Attributes:
        folder: of the array and its state.
        file: the array; its header, that of all the rows, is written.
        header: bytes of that header.
        record: of the rows so far.
        total: how many rows there will be.
    """

    folder: Path
    file: BinaryIO
    header: int
    record: OutputRecord
    total: int

    def append(self, rows: NDArray[Any], truncation: Truncation) -> None:
        """Add rows (N, width) durably; if this is cut short, the next run writes them again."""
        with writing(self.folder / _ROWS):
            self.file.seek(self.header + self.record.rows * self.record.row_bytes)
            self.file.write(np.ascontiguousarray(rows, dtype=self.record.dtype).data)
            self.file.flush()
            os.fsync(self.file.fileno())
        self.record.add(len(rows), truncation)
        _write_json(self.folder / _STATE, asdict(self.record))

    def complete(self) -> Path:
        """All the rows as a ``.npy`` file, still in the partial folder."""
        self.file.truncate(self.header + self.total * self.record.row_bytes)
        self.file.flush()
        return self.folder / _ROWS

    def publish(self, file: Path, output: Path) -> None:
        """Put the record and then the output in place. Cut short in between, the next run publishes again."""
        _write_json(_beside(output), asdict(self.record))
        file.replace(output)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def opened(output: Path, record: OutputRecord, total: int, *, restart: bool = False) -> Iterator[EmbeddingStore]:
    """``OUTPUT.partial/`` while rows are added; ``OUTPUT`` and ``OUTPUT.json`` once it is published.

    Args:
        output: the file to be made.
        record: of no rows; replaced by that of an earlier run, which is gone on with.
        total: how many rows there will be.
        restart: forget what an earlier run left, finished or not.

    Raises:
        ConfigError: if an earlier run had other settings, or the place cannot be written to.
        DataError: if what an earlier run left is damaged, or was made of other texts.
        LockedError: if another process writes the same output.
    """
    folder = output.with_name(f"{output.name}.partial")
    # The lock is in the folder that goes away once the output is published: none is left beside it.
    with holding(folder), writing(folder / _ROWS), _array(folder, output) as file:
        for path in (output, _beside(output), folder / _STATE) if restart else ():
            path.unlink(missing_ok=True)
        record = record.earlier(folder / _STATE, folder) or record
        try:
            yield EmbeddingStore(folder, file, _write_header(file, record, total), record, total)
        finally:
            if not record.rows:
                shutil.rmtree(folder, ignore_errors=True)


def _array(folder: Path, output: Path) -> BinaryIO:
    rows = folder / _ROWS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return rows.open("r+b" if rows.exists() else "w+b")
    except OSError as error:
        raise ConfigError(f"{output} cannot be written ({error}); choose another place") from error


def _write_header(file: BinaryIO, record: OutputRecord, total: int) -> int:
    size = file.seek(0, os.SEEK_END)
    descr = npy.dtype_to_descr(np.dtype(record.dtype))
    file.seek(0)
    npy.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": (total, record.width)})
    if record.rows and size < file.tell() + record.rows * record.row_bytes:
        raise DataError(f"{Path(file.name).parent} lacks rows that its {_STATE} counts; add --restart")
    return file.tell()


def _beside(output: Path) -> Path:
    return output.with_name(f"{output.name}.json")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace the file in one step; it is on disk before that."""
    partial = path.with_name(f".{path.name}")
    with writing(path), partial.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
