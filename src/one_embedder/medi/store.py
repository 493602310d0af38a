"""MEDI on disk: one Arrow file, memory-mapped when read, and a manifest that says what it must contain.

The folder appears whole or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from numpy.typing import NDArray

from one_embedder.errors import DataError
from one_embedder.medi.record import LABEL_KEYS, RELEASED_KEYS, MediRow, validate_row
from one_embedder.medi.stamp import file_sha256, has_sha256

DATA_FILE = "medi.arrow"
MANIFEST_FILE = "manifest.json"
SCHEMA_VERSION = 3
TEXT_COLUMNS = tuple(f"{key}_{part}" for key in RELEASED_KEYS.values() for part in ("instruction", "text"))
FURTHER_COLUMNS = ("further_neg_instruction", "further_neg_text")  # a list each; empty for a row of one hard negative
# Arrow's own 32-bit offsets hold 2 GiB of text a batch, far above ROWS_AT_ONCE rows.
_ONE_NEGATIVE = pa.schema(
    [("task_id", pa.int64()), ("task_name", pa.string()), *((name, pa.string()) for name in TEXT_COLUMNS)]
)
_SEVERAL_NEGATIVES = pa.schema([*_ONE_NEGATIVE, *((name, pa.list_(pa.string())) for name in FURTHER_COLUMNS)])
ARROW_SCHEMA = pa.schema([*_SEVERAL_NEGATIVES, *((name, pa.string()) for name in LABEL_KEYS.values())])
_ARROW_SCHEMAS = {1: _ONE_NEGATIVE, 2: _SEVERAL_NEGATIVES, SCHEMA_VERSION: ARROW_SCHEMA}  # older ones are still read
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Medi:
    """Training data as it lies on disk.

    Attributes:
        dataset: memory-mapped; columns task_id, task_name, {query,pos,neg}_{instruction,text}, label and neg_label
            (null where the task has no classes); ``further_negatives`` reads a row's other hard negatives.
        manifest: rows, tasks (id, name, rows), hashes, and what the builder said about the data.
        folder: where it was read.
    """

    dataset: Dataset
    manifest: dict[str, Any]
    folder: Path

    @property
    def sha256(self) -> str:
        """Hash of the rows in their order, independent of file format and library versions."""
        return str(self.manifest["sha256"])

    @property
    def task_ids(self) -> NDArray[np.int64]:
        """(rows,) the task of each row, in row order."""
        ids: NDArray[np.int64] = self.dataset.data.column("task_id").to_numpy()
        return ids

    @property
    def negatives_per_row(self) -> int:
        """The most hard negatives that a row has."""
        return int(self.manifest.get("negatives_per_row", 1))

    @property
    def task_names(self) -> dict[int, str]:
        """Task id -> name."""
        return {task["task_id"]: task["task_name"] for task in self.manifest["tasks"]}


class _Tally:
    """What is learned of the rows while they pass by: their hash and the rows of each task."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.rows = self.negatives_per_row = 0
        self.names: dict[int, str] = {}
        self.rows_of: dict[int, int] = {}

    def add(self, row: MediRow, where: str) -> None:
        known = self.names.setdefault(row.task_id, row.task_name)
        if known != row.task_name:
            raise DataError(f"{where}: task {row.task_id} is called {row.task_name!r} here and {known!r} before")
        values = [row.task_id, row.task_name, *row.query, *row.positive, *itertools.chain(*row.negatives)]
        if row.label is not None:
            values += [{"label": row.label, "neg_label": row.negative_label}]
        self.digest.update(json.dumps(values).encode() + b"\n")
        self.negatives_per_row = max(self.negatives_per_row, len(row.negatives))
        self.rows_of[row.task_id] = self.rows_of.get(row.task_id, 0) + 1
        self.rows += 1

    def tasks(self) -> list[dict[str, Any]]:
        return [{"task_id": i, "task_name": self.names[i], "rows": self.rows_of[i]} for i in sorted(self.names)]


def write_medi(rows: Iterable[MediRow], folder: Path, about: Mapping[str, Any]) -> str:
    """Write rows in the order given, replacing an older folder only once the new one is whole.

    Args:
        rows: any number of rows; held in memory a thousand at a time.
        folder: where the data shall lie.
        about: JSON values about how the data was made; stored, not read.

    Returns:
        Sha256 (hex) of the rows in order.

    Raises:
        DataError: a row is invalid, a task has two names, or there is no row.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        partial.chmod(0o755)  # mkdtemp's 0700 would keep colleagues out of a shared data folder
        tally = _write_rows(rows, partial / DATA_FILE)
        _write_manifest(tally, partial, about)
        _put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return tally.digest.hexdigest()


def load_medi(folder: Path) -> Medi:
    """Open a folder written by ``write_medi``, after checking that nothing in it is missing or changed.

    The whole file is hashed when it is first opened; later its size and times are compared (see ``stamp``).

    Raises:
        DataError: the folder, its manifest or its data is missing, half-written or altered.
    """
    manifest = _read_manifest(folder)
    data = folder / DATA_FILE
    if not data.is_file():
        raise DataError(f"{folder}: {DATA_FILE} is missing; build the data again")
    if data.stat().st_size != manifest["file_bytes"] or not has_sha256(data, manifest["file_sha256"]):
        raise DataError(
            f"{data} is not the file that {MANIFEST_FILE} describes (cut short or altered); build the data again"
        )
    try:
        dataset = Dataset.from_file(str(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{data} cannot be read as Arrow ({error}); build the data again") from error
    expected = _ARROW_SCHEMAS[manifest["schema"]]
    if not dataset.features.arrow_schema.remove_metadata().equals(expected) or len(dataset) != manifest["rows"]:
        raise DataError(f"{data}: columns or rows differ from {MANIFEST_FILE}; build the data again")
    return Medi(dataset=dataset, manifest=manifest, folder=folder)


def further_negatives(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(instruction, text) of the hard negatives after a row's first; none in folders written before there were any.

    Args:
        row: an item of ``Medi.dataset``.
    """
    return list(zip(*(row.get(name, ()) for name in FURTHER_COLUMNS), strict=True))


def _write_rows(rows: Iterable[MediRow], path: Path) -> _Tally:
    tally = _Tally()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, ARROW_SCHEMA) as writer:
        for batch in _batched(rows):
            columns: list[list[Any]] = [[] for _ in ARROW_SCHEMA]
            for row in batch:
                where = f"row {tally.rows}"
                tally.add(validate_row(row, where), where)
                further = list(zip(*row.further_negatives, strict=True)) or [(), ()]
                labels = (row.label, row.negative_label)
                values = (row.task_id, row.task_name, *row.query, *row.positive, *row.negative, *further, *labels)
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
            writer.write_batch(pa.record_batch(columns, schema=ARROW_SCHEMA))
    if not tally.rows:
        raise DataError("no rows to write: the training data would be empty")
    return tally


def _batched(rows: Iterable[MediRow]) -> Iterator[tuple[MediRow, ...]]:
    iterator = iter(rows)
    while batch := tuple(itertools.islice(iterator, ROWS_AT_ONCE)):
        yield batch


def _write_manifest(tally: _Tally, folder: Path, about: Mapping[str, Any]) -> None:
    data = folder / DATA_FILE
    manifest = {
        "schema": SCHEMA_VERSION,
        "sha256": tally.digest.hexdigest(),
        "file_sha256": file_sha256(data),
        "file_bytes": data.stat().st_size,
        "rows": tally.rows,
        "negatives_per_row": tally.negatives_per_row,
        "tasks": tally.tasks(),
        "about": dict(about),
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename; a folder cannot be renamed onto a full one, so the older one steps aside first."""
    if not folder.exists():
        partial.rename(folder)
        return
    older = folder.with_name(f".{folder.name}.{os.getpid()}.older")
    folder.rename(older)
    partial.rename(folder)
    shutil.rmtree(older)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise DataError(f"{folder} holds no training data: {MANIFEST_FILE} is missing; run build_medi first")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        schema = manifest["schema"]
        for key in ("sha256", "file_sha256", "file_bytes", "rows", "tasks"):
            manifest[key]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a manifest of training data ({error!r}); build the data again") from error
    if schema not in _ARROW_SCHEMAS:
        known = ", ".join(map(str, _ARROW_SCHEMAS))
        raise DataError(f"{path} has schema {schema!r}, this version reads {known}; build the data again")
    return dict(manifest)
