"""Embeddings on disk that grow chunk by chunk and survive an interruption at any moment."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from one_embedder.encoder.truncation import Truncation
from one_embedder.errors import ConfigError, DataError
from one_embedder.files.lock import holding

_ROWS, _STATE = "embeddings.npy", "state.json"


@dataclass
class StoreState:
    """What is known of the rows written so far.

    Attributes:
        settings: all that the embeddings depend on besides the texts.
        rows: how many are written and safe.
        texts_sha256: hash of their instructions and texts; empty for no rows.
        ranges: smallest and largest value of every dimension, for int8 and uint8.
        truncation: how many of the texts were cut, and how many of these lost everything; None where an older version
            that did not count wrote them.
    """

    settings: dict[str, Any]
    rows: int = 0
    texts_sha256: str = ""
    ranges: list[list[float]] | None = None
    truncation: dict[str, int] | None = field(default_factory=lambda: {"cut": 0, "lost": 0})

    def add(self, truncation: Truncation) -> None:
        """Count further texts."""
        if self.truncation is not None:
            self.truncation["cut"] += truncation.cut
            self.truncation["lost"] += truncation.lost

    def counted(self) -> Truncation:
        """The counts; none where they are not known."""
        return Truncation(self.rows, **(self.truncation or {}))


def finished(output: Path, settings: dict[str, Any]) -> StoreState | None:
    """The record of an output that is there already, or None.

    Raises:
        ConfigError: if it was made with other settings, or not here.
        DataError: if its record is damaged.
    """
    if not output.exists():
        return None
    if not _record(output).is_file():
        raise ConfigError(f"{output} exists and was not made by this command; choose another name or add --restart")
    return _read_state(_record(output), settings, output)


class EmbeddingStore:
    """``OUTPUT.partial/`` while rows are added; ``OUTPUT`` and its record ``OUTPUT.json`` once it is published.

    Args:
        output: the file to be made.
        settings: must equal those of the earlier run that is gone on with.
        width: numbers a row.
        dtype: of the numbers.
        restart: forget what an earlier run left, finished or not.

    Raises:
        ConfigError: if an earlier run had other settings, or the place cannot be written to.
        DataError: if what an earlier run left is damaged.
        LockedError: if another process writes the same output.
    """

    def __init__(
        self, output: Path, settings: dict[str, Any], *, width: int, dtype: DTypeLike, restart: bool = False
    ) -> None:
        self.output = output
        self.folder = output.with_name(f"{output.name}.partial")
        self.width, self.dtype = width, np.dtype(dtype)
        with ExitStack() as opened:
            # The lock is in the folder that goes away once the output is published: none is left beside it.
            opened.enter_context(holding(self.folder))
            self._file = opened.enter_context(self._opened())
            if restart:
                self._forget()
            self.state = self._found(settings)
            self._header = self._write_header()
            self._file.truncate(self._end())
            self._open = opened.pop_all()

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.width * self.dtype.itemsize

    def append(self, rows: NDArray[Any], texts_sha256: str) -> None:
        """Add rows (N, width) durably; if this is cut short, the next run finds the rows before them."""
        self._file.seek(self._end())
        self._file.write(np.ascontiguousarray(rows, dtype=self.dtype).data)
        self._sync()
        self.state.rows += len(rows)
        self.state.texts_sha256 = texts_sha256
        _write_json(self.folder / _STATE, asdict(self.state))

    def complete(self) -> Path:
        """The rows as a whole ``.npy`` file, still in the partial folder."""
        self._write_header()
        self._sync()
        return self.folder / _ROWS

    def publish(self, file: Path) -> None:
        """Put the record and then the output in place. Cut short in between, the next run publishes again."""
        facts = {"rows": self.state.rows, "width": self.width, "dtype": self.dtype.name}
        _write_json(_record(self.output), facts | asdict(self.state))
        file.replace(self.output)
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Let go of the file; the rows written stay."""
        if not self.state.rows:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._open.close()

    def __enter__(self) -> EmbeddingStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> BinaryIO:
        rows = self.folder / _ROWS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return rows.open("r+b" if rows.exists() else "w+b")
        except OSError as error:
            raise ConfigError(f"{self.output} cannot be written ({error}); choose another place") from error

    def _forget(self) -> None:
        for path in (self.output, _record(self.output), self.folder / _STATE):
            path.unlink(missing_ok=True)

    def _found(self, settings: dict[str, Any]) -> StoreState:
        """The state that an earlier run left, or a new one."""
        path = self.folder / _STATE
        if not path.is_file():
            return StoreState(settings)
        state = _read_state(path, settings, self.folder)
        if self._file.seek(0, os.SEEK_END) < state.rows * self.row_bytes:
            raise DataError(f"{self.folder} lacks rows that its {_STATE} counts; add --restart")
        return state

    def _write_header(self) -> int:
        """Write the header and give its length, which numpy makes independent of the number of rows."""
        self._file.seek(0)
        shape = (self.state.rows, self.width)
        npy.write_array_header_1_0(
            self._file, {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        )
        return self._file.tell()

    def _end(self) -> int:
        return self._header + self.state.rows * self.row_bytes

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _record(output: Path) -> Path:
    return output.with_name(f"{output.name}.json")


def _read_state(path: Path, settings: dict[str, Any], made: Path) -> StoreState:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content.setdefault("truncation", None)
        state = StoreState(**{each.name: content[each.name] for each in fields(StoreState)})
        state.counted()
        names = sorted(settings.keys() | state.settings.keys())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}); add --restart") from error
    now, then = settings.get, state.settings.get
    different = [f"{name} was {then(name)!r} and is {now(name)!r}" for name in names if then(name) != now(name)]
    if different:
        told = "; ".join(different)
        raise ConfigError(
            f"{made} was made with other settings ({told}): repeat those, choose another output or add --restart"
        )
    return state


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace the file in one step; it is on disk before that."""
    partial = path.with_name(f".{path.name}")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
