"""How a command ends: with an exit code, and a message instead of a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from one_embedder.errors import OneEmbedderError
from one_embedder.files.disk import FULL, REFUSED
from one_embedder.interruption import EXIT_TERMINATED, Terminated, termination_raises

EXIT_BUG = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_GO_ON = "run the same command again, finished parts are kept"


@dataclass(frozen=True)
class Ending:
    """An exit code and a message without a traceback; 0 and no message where all went well."""

    code: int = 0
    message: str = ""


class JobsFailed(OneEmbedderError):
    """Jobs of a sweep did not end well.

    Attributes:
        code: the largest of their exit codes.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def ending_of(error: BaseException) -> Ending | None:
    """How to end after an error or an interruption; None for a bug, which keeps its traceback."""
    match error:
        case JobsFailed():
            return Ending(error.code, str(error))
        case OneEmbedderError():
            return Ending(EXIT_USER_ERROR, f"error: {error}")
        case KeyboardInterrupt():
            return Ending(EXIT_INTERRUPTED, f"interrupted: {_GO_ON}")
        case Terminated():
            return Ending(EXIT_TERMINATED, f"terminated: {_GO_ON}")
        case BrokenPipeError():
            return Ending(EXIT_BROKEN_PIPE)
        case OSError() if error.errno in (*FULL, *REFUSED) and error.filename:
            return Ending(EXIT_USER_ERROR, f"error: {_of_a_file(error)}")
    return None


def _of_a_file(error: OSError) -> str:
    what = f"{error.filename}: {error.strerror or error}"
    if error.errno in FULL:
        return f"{what}: free some space and {_GO_ON}"
    return f"{what}: choose another place, or make way there, and {_GO_ON}"


def told(run: Callable[[], object]) -> int:
    """Run it; tell an expected error, Ctrl-C or SIGTERM on stderr and give its exit code, 0 without one."""
    try:
        with termination_raises():
            run()
    except BaseException as error:
        ending = ending_of(error)
        if ending is None:
            raise
        if isinstance(error, BrokenPipeError):  # the reader of a pipe, `head` say, has seen enough
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123 - it must outlive this function
        if ending.message:
            sys.stderr.write(f"{ending.message}\n")
        return ending.code
    return 0
