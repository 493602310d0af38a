"""Where a build collects its parts, and how they are put in place: whole, or not at all and found again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.swap import put_in_place

DONE = "build.json"
"""Written last: a folder with this file is whole."""

GB = 1e9


def require_space(place: Path, needed: float, what: str, remedy: str) -> None:
    """Refuse work whose result does not fit.

    Args:
        place: a folder, which need not exist yet.
        needed: bytes.
        what: that needs them, as in "the downloads need".
        remedy: what else could be done.

    Raises:
        DataError: the disk has less.
    """
    free = shutil.disk_usage(next(there for there in (place, *place.parents) if there.exists())).free
    if needed > free:
        raise DataError(
            f"{what} {needed / GB:.2f} GB in {place}, which has {free / GB:.2f} GB free; free some, {remedy}"
        )


def is_built(folder: Path, key: str) -> bool:
    """Whether ``folder`` is the whole result of a build with this key."""
    done = folder / DONE
    return done.is_file() and json.loads(done.read_text()).get("key") == key


def work_folder(folder: Path, key: str) -> Path:
    """Where a build of ``folder`` collects its parts; those of an interrupted one with the same key are found there."""
    work = folder.parent / f".{folder.name}.{key[:12]}"
    for stale in folder.parent.glob(f".{folder.name}.*"):
        if stale != work:
            shutil.rmtree(stale)
    work.mkdir(parents=True, exist_ok=True)
    return work


def publish(work: Path, folder: Path, done: Mapping[str, Any]) -> None:
    """Move everything in ``work`` whose name has no leading dot to ``folder``, then write ``build.json``.

    Args:
        work: from ``work_folder``; removed.
        folder: the result; parts of an older build with the same names are replaced.
        done: JSON values for ``build.json``; ``key`` among them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DONE).unlink(missing_ok=True)
    for part in sorted(path for path in work.iterdir() if not path.name.startswith(".")):
        target = folder / part.name
        put_in_place(part, target) if part.is_dir() else part.replace(target)
    partial = folder / f".{DONE}"
    partial.write_text(json.dumps(done, indent=1) + "\n")
    partial.replace(folder / DONE)
    shutil.rmtree(work)
