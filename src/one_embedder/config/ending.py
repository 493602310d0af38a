"""How a command ended: its exit code, and what is said about it."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from one_embedder.config.messages import explain
from one_embedder.errors import OneEmbedderError
from one_embedder.interruption import EXIT_TERMINATED, Terminated

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
        case HydraException() | OmegaConfBaseException() | yaml.YAMLError():
            return Ending(EXIT_USER_ERROR, f"error: {explain(error)}")
        case KeyboardInterrupt():
            return Ending(EXIT_INTERRUPTED, f"interrupted: {_GO_ON}")
        case Terminated():
            return Ending(EXIT_TERMINATED, f"terminated: {_GO_ON}")
        case BrokenPipeError():
            return Ending(EXIT_BROKEN_PIPE)
        case OSError(errno=errno.ENOSPC):
            place = f" ({error.filename})" if error.filename else ""
            message = f"error: no space left on device{place}: free some and run the same command again"
            return Ending(EXIT_USER_ERROR, message)
    return None
