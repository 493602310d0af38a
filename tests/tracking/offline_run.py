"""Reads back what W&B wrote offline: what ``wandb sync`` would send.

wandb has no reader of its own in Python. The file is a LevelDB log after a header of 7 bytes: blocks of 32 KiB that
hold pieces of records, each piece with checksum, length and kind; a record is a protobuf message of wandb's.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HEADER, _BLOCK, _PIECE = 7, 32 * 1024, struct.Struct("<IHB")
_WHOLE, _LAST = 1, 4


@dataclass
class OfflineRun:
    """One offline run.

    Attributes:
        run: wandb's message about the run: id, project, group, job type, tags.
        config: what it was configured with.
        rows: the history, one mapping a call of ``log``.
        summary: last values; nested keys joined by a dot.
        exit_code: None if it was never finished.
    """

    folder: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    def values(self, key: str) -> list[Any]:
        """Every logged value of a key."""
        return [row[key] for row in self.rows if key in row]

    def table(self, key: str) -> dict[str, Any]:
        """A logged table: columns and data."""
        (entry,) = self.values(key)
        return dict(json.loads((self.folder / "files" / entry["path"]).read_text()))


def read_offline_runs(folder: Path, patience: float = 30.0) -> list[OfflineRun]:
    """Every offline run in ``<folder>/wandb``, oldest first.

    W&B's service may still be writing when a run has ended: this waits for the ends, so many seconds at most.
    """
    deadline = time.monotonic() + patience
    while True:
        runs = [_read(path) for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb"))]
        if all(run.exit_code is not None for run in runs) or time.monotonic() > deadline:
            return runs
        time.sleep(0.1)


def _read(path: Path) -> OfflineRun:
    from wandb.proto import wandb_internal_pb2 as messages

    found = OfflineRun(path.parent)
    for content in _records(path.read_bytes()):
        record = messages.Record()
        record.ParseFromString(content)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= _items(record.run.config.update)
        elif kind == "history":
            found.rows.append(_items(record.history.item))
        elif kind == "summary":
            found.summary |= _items(record.summary.update)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def _items(items: Any) -> dict[str, Any]:
    """Keys and values; a value in parts (a histogram's, a table's) becomes one mapping."""
    values: dict[str, Any] = {}
    for item in items:
        keys = list(item.nested_key) or [item.key]
        place = values
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = json.loads(item.value_json)
    return values


def _records(data: bytes) -> Iterator[bytes]:
    position, pieces = _HEADER, b""
    while position + _PIECE.size <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _PIECE.size:  # too short for a piece: filled with zeros
            position += left
            continue
        _, length, kind = _PIECE.unpack_from(data, position)
        position += _PIECE.size + length
        if position > len(data):  # not whole yet
            return
        pieces += data[position - length : position]
        if kind in (_WHOLE, _LAST):
            yield pieces
            pieces = b""
