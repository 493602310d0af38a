"""SIGTERM, by which Slurm, Docker and the system ask a process to end, as an exception like that of Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """SIGTERM came. Raised wherever the main thread is; not caught, it ends the process with exit code 143."""

    def __init__(self) -> None:
        super().__init__(EXIT_TERMINATED)

    def __str__(self) -> str:
        return "SIGTERM"


@contextmanager
def termination_raises() -> Iterator[None]:
    """Let SIGTERM raise ``Terminated`` in this block, where nobody else handles it; the jobs of submitit do."""
    alone = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not alone:
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def ends_process(handler: object) -> bool:
    """Whether SIGTERM ends a process that has this handler for it."""
    return handler in (signal.SIG_DFL, _raise)


def _raise(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it may come from several sides; what is at hand is to be put away
    raise Terminated
