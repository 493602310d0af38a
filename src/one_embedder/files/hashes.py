"""The hash of a large file, computed once.

After a file was hashed, its size and its times of change are noted in a small file beside it; while they are the same,
the hash is taken as known. That finds a file which was cut short, replaced, edited or copied. It does not find one that
decayed on its disk, or that was altered by someone who also set its times: delete the note to have the file read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

# The clocks of file systems are coarse: a file altered right after it was hashed could keep its times. So a file that
# was changed less than this many seconds ago is hashed, and not noted.
_SETTLED_AFTER = 2.0


def has_sha256(path: Path, expected: str) -> bool:
    """Whether the file has that hash (hex), from its note if that still holds, else by reading the file."""
    note = _note(path)
    if _read(note) == {"sha256": expected, **_state(path)}:
        return True
    before, began = _state(path), time.time()
    if file_sha256(path) != expected:
        return False
    settled = began - max(before["mtime_ns"], before["ctime_ns"]) / 1e9 > _SETTLED_AFTER
    if settled and _state(path) == before:
        _write(note, {"sha256": expected, **before})
    return True


def file_sha256(path: Path) -> str:
    """Sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.hashed")


def _state(path: Path) -> dict[str, int]:
    """``ctime`` too: unlike ``mtime`` it cannot be set, and a copy has its own."""
    stat = path.stat()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}


def _read(note: Path) -> Any:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(note: Path, content: dict[str, Any]) -> None:
    """Whole or not at all; a folder that cannot be written to is hashed each time."""
    partial = note.with_name(f"{note.name}.{os.getpid()}.partial")
    with contextlib.suppress(OSError):
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(note)
