"""A folder that replaces another in one step: at every moment the old one or the new one is there, whole.

Linux and macOS can exchange two names at once. File systems that cannot (NFS, some overlays) need two renames; between
them the old folder stands beside its place under a name that ``standing`` knows, so that whoever reads finds it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

_AT_FDCWD = -100  # both of Linux
_RENAME_EXCHANGE = 2
_RENAME_SWAP = 2  # macOS


def put_in_place(new: Path, place: Path) -> None:
    """Give a finished folder the name of its place; a folder that has the name already is removed.

    Everything in it is on disk before it is given the name. Cut short at any moment, ``standing(place)`` is the old
    folder or the new one; what else is left beside is cleared by the next call.

    Args:
        new: the finished folder, on the same file system as ``place``; gone afterwards.
        place: where it goes; its parent exists.
    """
    _sync_tree(new)
    older = _set_aside(place)
    if not place.exists() and older.is_dir():  # an earlier call was cut short between its renames
        older.rename(place)
    shutil.rmtree(older, ignore_errors=True)
    if not place.exists():
        new.rename(place)
    elif not _exchange(new, place):
        place.rename(older)
        new.rename(place)
    _sync(place.parent)
    for replaced in (new, older):
        shutil.rmtree(replaced, ignore_errors=True)


def standing(place: Path) -> Path:
    """Where the folder of that name is: at its place, or beside it if it was being replaced when that was cut short."""
    older = _set_aside(place)
    return older if not place.exists() and older.is_dir() else place


def _set_aside(place: Path) -> Path:
    return place.with_name(f".{place.name}.replaced")


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where system or file system cannot, and nothing is changed then."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(*names, _RENAME_SWAP) == 0)
    if sys.platform.startswith("linux") and hasattr(libc, "renameat2"):
        return bool(libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)
    return False


def _sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
