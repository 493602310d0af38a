"""One process at a time writes a folder.

The lock is the kernel's (``flock``, through ``filelock``). It ends with the process that holds it, however that ends:
nothing left behind by a dead process blocks. On NFS the server keeps it for all its clients. Where a file system has no
such locks, ``filelock`` falls back to a file that names its process; if even that cannot be, the work is done without a
lock, and a warning says so. ``.holder``, beside the lock, is for the message only: who holds it.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from one_embedder.errors import OneEmbedderError

log = logging.getLogger(__name__)

LOCK = ".lock"
HOLDER = ".holder"
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


class LockedError(OneEmbedderError):
    """Another process writes the folder."""


@contextmanager
def holding(folder: Path, part: str = "", *, wait: bool = False) -> Iterator[None]:
    """Hold a folder, which is made if it is missing, while the body runs.

    A folder that cannot be written to is not locked: there is nothing to protect, and its content may be read.

    Args:
        folder: what is written.
        part: a name for what is written of it, where others may write the rest at the same time.
        wait: for whoever holds it, instead of refusing.

    Raises:
        LockedError: another process holds it; the message names the folder, that process and its machine.
    """
    lock = _locked(folder, f".{part}" if part else "", wait)
    if lock is None:
        yield
        return
    holder = _holder(lock)
    try:
        with suppress(OSError):
            holder.write_text(json.dumps(_myself()) + "\n", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def is_alive(pid: int) -> bool:
    """Whether there is such a process on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _locked(folder: Path, prefix: str, wait: bool) -> FileLock | None:
    """The lock, held; None where there can be none."""
    # For everybody who may write the folder: its own mode and the umask decide. Not a lock of one thread: what a verb
    # starts in a thread of its own works under the same one.
    lock = FileLock(folder / f"{prefix}{LOCK}", mode=0o666, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise
            log.info("%s; waiting for it", _told(folder, lock))
            lock.acquire(timeout=-1, poll_interval=0.2)
    except Timeout as error:
        raise LockedError(f"{_told(folder, lock)}; wait for it or end it, then run the same command again") from error
    except OSError as error:
        if error.errno not in _NOT_WRITABLE or os.access(folder, os.W_OK):
            log.warning("%s cannot be locked (%s): see to it that no other process writes it", folder, error)
        return None
    return lock


def _told(folder: Path, lock: FileLock) -> str:
    try:
        who = json.loads(_holder(lock).read_text(encoding="utf-8"))
        told = f"process {who['pid']} on {who['host']} ({who['command']}, since {who['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        told = "another process"
    return f"{told} is writing {folder}"


def _holder(lock: FileLock) -> Path:
    path = Path(lock.lock_file)
    return path.with_name(path.name.removesuffix(LOCK) + HOLDER)


def _myself() -> dict[str, object]:
    command = " ".join([Path(sys.argv[0]).stem or "python", *sys.argv[1:]])
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"pid": os.getpid(), "host": socket.gethostname(), "command": command[:200], "since": since}
