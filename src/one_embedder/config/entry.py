"""One way to run a verb: compose, check, run, and end with a message and an exit code instead of a traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from one_embedder.config.caches import settle_caches
from one_embedder.config.compose import register, typed
from one_embedder.config.help import help_text
from one_embedder.config.location import CONF
from one_embedder.config.messages import explain
from one_embedder.config.quiet import quiet
from one_embedder.config.schema import Config
from one_embedder.errors import OneEmbedderError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def run_verb(verb: str, work: Callable[[Config], int | None]) -> NoReturn:
    """Run ``work`` on the configuration that the command line asks for, then exit.

    Exit codes: what ``work`` returns (None is 0; the largest of a multirun), 2 for an error the user can act on,
    130 when interrupted. Anything else is a bug and keeps its traceback.

    Args:
        verb: the primary config, ``conf/<verb>.yaml``.
        work: does the job; imports what it needs itself, so that ``--help`` and a mistyped key answer at once.
    """
    codes: list[int] = []
    errors: list[OneEmbedderError] = []

    def task(cfg: DictConfig) -> None:
        try:
            codes.append(_run(typed(cfg), work))
        except OneEmbedderError as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise  # perhaps in a worker process: Hydra carries it home
            errors.append(error)  # raised after Hydra's end, which would add a line of its own

    def run() -> None:
        _run_hydra(verb, task)
        if errors:
            raise errors[0]

    sys.exit(told(run) or max(codes, default=0))


def _run(cfg: Config, work: Callable[[Config], int | None]) -> int:
    quiet()
    settle_caches()
    return work(cfg) or 0


def _run_hydra(verb: str, task: Callable[[DictConfig], None]) -> None:
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        sys.stdout.write(help_text(verb, [word for word in arguments if not word.startswith("-")]))
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand errors on: they are told below, by our rules
    register()
    hydra.main(config_path=str(CONF), config_name=verb, version_base="1.3")(task)()


def told(run: Callable[[], object]) -> int:
    """Run it; tell an expected error on stderr and give its exit code, 0 without one."""
    try:
        run()
    except OneEmbedderError as error:
        return _tell(f"error: {error}", EXIT_USER_ERROR)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        return _tell(f"error: {explain(error)}", EXIT_USER_ERROR)
    except BrokenPipeError:  # the reader of a pipe, `head` say, has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123 - it must outlive this function
    except KeyboardInterrupt:
        return _tell("interrupted: run the same command again, finished parts are kept", EXIT_INTERRUPTED)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        place = f" ({error.filename})" if error.filename else ""
        return _tell(
            f"error: no space left on device{place}: free some and run the same command again", EXIT_USER_ERROR
        )
    return 0


def _tell(message: str, code: int) -> int:
    sys.stderr.write(f"{message}\n")
    return code
