"""Commands in forks of a process that has imported everything: one takes a second, and can be killed at any moment."""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

HANGS = 240.0
"""Seconds after which a command is killed that nobody asked to be."""

FULL = signal.SIGXFSZ

_CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink"}


@dataclass(frozen=True)
class Blow:
    """A signal and its moment: so many seconds after a change to the file system, or right before it.

    SIGXFSZ stands for a disk that is full: from then on no file can grow. It is never sent, and comes without a delay.

    Attributes:
        change: its number among those in the command's folder, from 1; 0: the command's start.
        delay: seconds after it; 0: before it is carried out.
        number: of the signal.
    """

    change: int
    delay: float
    number: signal.Signals = signal.SIGKILL

    def __str__(self) -> str:
        if not self.delay:
            return f"{'full disk' if self.number == FULL else self.number.name} before change {self.change}"
        return f"{self.number.name} {self.delay:.4f} s after {f'change {self.change}' if self.change else 'the start'}"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code; below 0 the signal that ended it.
        seconds: that it took.
        changes: to files and folders below its own.
        answer: what it returned.
        said: what it wrote to stdout and stderr.
    """

    code: int
    seconds: float
    changes: int
    answer: Any
    said: str


def forked(work: Callable[[], Any], folder: Path, blow: Blow | None = None) -> Ended:
    """Run something in a fork of this process, which must not have computed anything: a fork has none of its threads.

    Args:
        work: returns a JSON value.
        folder: whose changes are counted.
        blow: a signal that it gets; None: none.
    """
    count = mmap.mmap(-1, 8)
    said, to_say = os.pipe()  # a file could not grow on a full disk
    os.set_blocking(said, False)
    with tempfile.TemporaryFile() as answer:
        sys.stdout.flush()
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads: those of memory allocators stand idle
            child = os.fork()
        if not child:
            _work_in_child(work, folder, blow, count, to_say, answer)
        os.close(to_say)
        with open(said, "rb", buffering=0) as heard:  # noqa: PTH123 - a descriptor
            code, told = _awaited(child, blow, count, heard)
        seconds = time.monotonic() - began
        answer.seek(0)
        found = json.loads(answer.read() or b"null") if not code else None
        return Ended(code, seconds, _read(count), found, told.decode(errors="replace"))


def _work_in_child(
    work: Callable[[], Any], folder: Path, blow: Blow | None, count: mmap.mmap, to_say: int, answer: IO[bytes]
) -> NoReturn:
    code = 1
    try:
        os.dup2(to_say, 1)
        os.dup2(to_say, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a command in the background would ignore it
        _count_changes(str(folder), blow if blow and not blow.delay else None, count)
        answer.write(json.dumps(work()).encode())
        answer.flush()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # nothing that the parent has open is to be closed a second time


def _count_changes(folder: str, blow: Blow | None, count: mmap.mmap) -> None:
    """Count what Python does to files and folders; the process gives itself a blow before the change of its number."""

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _CHANGES or (event == "open" and not _is_writing(arguments)):
            return
        path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else ""
        if path.startswith(folder) or (path and event in ("os.remove", "os.rmdir") and path[0] != "/"):
            number = _read(count) + 1
            if blow is not None and number == blow.change:
                _strike(blow)
            count[:] = number.to_bytes(8, "little")

    sys.addaudithook(look)


def _strike(blow: Blow) -> None:
    """What a process does to itself."""
    if blow.number == FULL:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    else:
        os.kill(os.getpid(), blow.number)


def _is_writing(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    return bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_RDWR))


def _read(count: mmap.mmap) -> int:
    return int.from_bytes(count[:], "little")


def _awaited(child: int, blow: Blow | None, count: mmap.mmap, heard: IO[bytes]) -> tuple[int, bytes]:
    """Exit code and words of a child, which gets its blow, and is killed after ``HANGS`` seconds."""
    hangs, told = time.monotonic() + HANGS, b""
    at = None if blow and blow.delay else hangs
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        told += heard.read(1 << 20) or b""
        if ended:
            return os.waitstatus_to_exitcode(status), told
        now = time.monotonic()
        if at is None and blow and _read(count) >= blow.change:
            at = now + blow.delay
        if at is not None and now > at:
            os.kill(child, blow.number if blow and at < hangs else signal.SIGKILL)
            at = hangs
        time.sleep(0.005 if at == hangs else 0.0005)
