"""What ``pip install one-embedder`` leaves out: the line that installs it is told where it is missed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from one_embedder.ending import told
from one_embedder.errors import OneEmbedderError

if TYPE_CHECKING:
    from one_embedder.config.schema import Config


class MissingPackageError(OneEmbedderError):
    """A package is not installed that only some users need."""


@contextmanager
def needing(packages: str) -> Iterator[None]:
    """Run the body; a package that it cannot import becomes an error with a remedy.

    Args:
        packages: what to give to ``pip install`` then: ``"pyarrow"``, ``"one-embedder[train]"``.

    Raises:
        MissingPackageError: naming the package and the line that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "one_embedder"):  # a mistake of ours
            raise
        raise MissingPackageError(f"{missing} is not installed: run pip install '{packages}'") from error


def run_with_settings(verb: str, work: Callable[[Config], int | None], extra: str) -> NoReturn:
    """``config.entry.run_verb``, for a verb whose packages may not be there.

    Args:
        verb: the primary config, ``conf/<verb>.yaml``.
        work: does the job; imports what it needs itself.
        extra: of pyproject.toml, which holds all that the verb needs.
    """

    def run() -> None:
        with needing(f"one-embedder[{extra}]"):
            from one_embedder.config.entry import run_verb

            run_verb(verb, work)

    sys.exit(told(run))
