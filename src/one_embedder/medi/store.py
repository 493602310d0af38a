"""MEDI on disk: one Arrow file, memory-mapped when read, and a manifest that says what it must contain.

The folder appears whole or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

from one_embedder.errors import DataError
from one_embedder.files.documents import read_json
from one_embedder.files.hashes import file_sha256, has_sha256
from one_embedder.files.swap import put_in_place, standing
from one_embedder.medi.row import LABEL_KEYS, RELEASED_KEYS, MediRow, validate_row

DATA_FILE = "medi.arrow"
MANIFEST_FILE = "manifest.json"
SCHEMA_VERSION = 4
TEXT_COLUMNS = tuple(f"{key}_{part}" for key in RELEASED_KEYS.values() for part in ("instruction", "text"))
FURTHER_COLUMNS = ("further_neg_instruction", "further_neg_text")  # a list each; empty for a row of one hard negative
FURTHER_LABELS = "further_neg_label"  # as many as further negatives, or none at all
# Arrow's own 32-bit offsets hold 2 GiB of text a batch, far above ROWS_AT_ONCE rows.
ARROW_SCHEMA = pa.schema([
    ("task_id", pa.int64()),
    *((name, pa.string()) for name in ("task_name", *TEXT_COLUMNS)),
    *((name, pa.list_(pa.string())) for name in FURTHER_COLUMNS),
    *((name, pa.string()) for name in LABEL_KEYS.values()),
    (FURTHER_LABELS, pa.list_(pa.string())),
])  # fmt: skip
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Medi:
    """Training data as it lies on disk.

    Attributes:
        dataset: memory-mapped; columns task_id, task_name, {query,pos,neg}_{instruction,text}, label and neg_label
            (null where the task has no classes); ``further_negatives`` reads a row's other hard negatives,
            ``negative_labels`` the classes of all.
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
    def about(self) -> Mapping[str, Any]:
        """What the builder said about the data."""
        return dict(self.manifest.get("about", {}))

    @property
    def prompts(self) -> Mapping[str, str]:
        """Name -> instruction that a model trained on the data is to be used with; perhaps none."""
        return dict(self.about.get("prompts", {}))

    @property
    def has_instructions(self) -> bool:
        """Whether any query or positive has one."""
        columns = (self.dataset.data.column(f"{side}_instruction") for side in ("query", "pos"))
        return any(pc.any(pc.not_equal(column, "")).as_py() for column in columns)

    @property
    def task_ids(self) -> NDArray[np.int64]:
        """(rows,) the task of each row, in row order."""
        ids: NDArray[np.int64] = self.dataset.data.column("task_id").to_numpy()
        return ids

    @property
    def negatives_per_row(self) -> int:
        """The most hard negatives that a row has."""
        return int(self.manifest["negatives_per_row"])

    @property
    def task_names(self) -> dict[int, str]:
        """Task id -> name."""
        return {task["task_id"]: task["task_name"] for task in self.manifest["tasks"]}


class Tally:
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
        if row.label is not None or row.negative_label is not None:
            values += [{"label": row.label, "neg_label": row.negative_label}]
        if row.further_negative_labels:
            values += [row.further_negative_labels]
        self.digest.update(json.dumps(values).encode() + b"\n")
        self.negatives_per_row = max(self.negatives_per_row, len(row.negatives))
        self.rows_of[row.task_id] = self.rows_of.get(row.task_id, 0) + 1
        self.rows += 1

    def tasks(self) -> list[dict[str, Any]]:
        return [{"task_id": i, "task_name": self.names[i], "rows": self.rows_of[i]} for i in sorted(self.names)]


class MediWriter:
    """Rows appended to a folder's Arrow file, of which ``finish`` makes training data.

    Attributes:
        tally: what is known of the rows so far.
    """

    def __init__(self, folder: Path) -> None:
        """Begin; ``folder`` is made if it is not there, and what was in its data file is forgotten."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tally = Tally()
        self._folder = folder
        self._waiting: list[MediRow] = []
        self._file = pa.OSFile(str(folder / DATA_FILE), "wb")
        self._batches = pa.ipc.new_stream(self._file, ARROW_SCHEMA)

    def append(self, row: MediRow, where: str) -> None:
        """Add a row that is valid (see ``validate_row``).

        Raises:
            DataError: its task has another name already; ``where`` begins the message, and the row is not added.
        """
        self.tally.add(row, where)
        self._waiting.append(row)
        if len(self._waiting) == ROWS_AT_ONCE:
            self._write_waiting()

    def finish(self, about: Mapping[str, Any]) -> str:
        """Complete the file and write the manifest.

        Args:
            about: JSON values about how the data was made; read are ``mining`` and ``prompts``, for run records.

        Returns:
            Sha256 (hex) of the rows in order.

        Raises:
            DataError: there is no row.
        """
        if not self.tally.rows:
            raise DataError("no rows to write: the training data would be empty")
        self._write_waiting()
        self.close()
        _write_manifest(self.tally, self._folder, about)
        return self.tally.digest.hexdigest()

    def close(self) -> None:
        """Let go of the file; once it is closed, nothing more is done."""
        if not self._file.closed:
            self._batches.close()
            self._file.close()

    def __enter__(self) -> MediWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _write_waiting(self) -> None:
        if self._waiting:
            self._batches.write_batch(_record_batch(self._waiting))
            self._waiting = []


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
        with MediWriter(partial) as writer:
            for number, row in enumerate(rows):
                where = f"row {number}"
                writer.append(validate_row(row, where), where)
            sha256 = writer.finish(about)
        put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sha256


def load_medi(folder: Path) -> Medi:
    """Open a folder written by ``write_medi``, after checking that nothing in it is missing or changed.

    The whole file is hashed when it is first opened; later its size and times are compared (see ``stamp``).

    Raises:
        DataError: the folder, its manifest or its data is missing, half-written or altered.
    """
    folder = standing(folder)
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
    if not dataset.features.arrow_schema.remove_metadata().equals(ARROW_SCHEMA) or len(dataset) != manifest["rows"]:
        raise DataError(f"{data}: columns or rows differ from {MANIFEST_FILE}; build the data again")
    return Medi(dataset=dataset, manifest=manifest, folder=folder)


def further_negatives(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(instruction, text) of the hard negatives after a row's first.

    Args:
        row: an item of ``Medi.dataset``.
    """
    return list(zip(*(row[name] for name in FURTHER_COLUMNS), strict=True))


def negative_labels(row: Mapping[str, Any]) -> list[str | None]:
    """The classes of a row's hard negatives, the first one's first; None where they are unknown.

    Args:
        row: an item of ``Medi.dataset``.
    """
    further = row[FURTHER_LABELS] or [None] * len(further_negatives(row))
    return [row[LABEL_KEYS["negative_label"]], *further]


def _record_batch(rows: Iterable[MediRow]) -> pa.RecordBatch:
    columns: list[list[Any]] = [[] for _ in ARROW_SCHEMA]
    for row in rows:
        further = list(zip(*row.further_negatives, strict=True)) or [(), ()]
        labels = (row.label, row.negative_label, row.further_negative_labels)
        values = (row.task_id, row.task_name, *row.query, *row.positive, *row.negative, *further, *labels)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    return pa.record_batch(columns, schema=ARROW_SCHEMA)


def _write_manifest(tally: Tally, folder: Path, about: Mapping[str, Any]) -> None:
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


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise DataError(f"{folder} holds no training data: {MANIFEST_FILE} is missing; run build_medi first")
    try:
        manifest = read_json(path)
        schema = manifest["schema"]
        for key in ("sha256", "file_sha256", "file_bytes", "rows", "negatives_per_row", "tasks"):
            manifest[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a manifest of training data ({error!r}); build the data again") from error
    if schema != SCHEMA_VERSION:
        raise DataError(f"{path} has schema {schema!r:.60}, this version reads {SCHEMA_VERSION}; build the data again")
    return dict(manifest)
