"""Where a build collects its parts, and how they are put in place: whole, or not at all and found again."""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError

logger = logging.getLogger(__name__)

DONE = "build.json"
"""Written last: a folder with this file is whole."""


LOCK = ".lock"
GB = 1e9


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time builds ``folder``; another waits, and then finds it built.

    Where the folder cannot be written to, or its file system has no locks, nothing is waited for.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError:
        yield
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("another process builds %s; waiting for it", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield


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
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        part.replace(target)
    partial = folder / f".{DONE}"
    partial.write_text(json.dumps(done, indent=1) + "\n")
    partial.replace(folder / DONE)
    shutil.rmtree(work)
