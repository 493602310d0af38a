"""One way to run a verb: compose, check, run, and end with a message and an exit code instead of a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from one_embedder.config.ablation import require_free
from one_embedder.config.caches import settle_caches
from one_embedder.config.compose import register, typed
from one_embedder.config.help import help_text, wants_help
from one_embedder.config.messages import as_config_errors, refuse_flags, refuse_no_choice
from one_embedder.config.quiet import quiet
from one_embedder.config.schema import Config
from one_embedder.config.secret import require_no_secrets
from one_embedder.config.sweep import run_job
from one_embedder.config.unread import require_read
from one_embedder.ending import told
from one_embedder.errors import OneEmbedderError
from one_embedder.files.disk import writing
from one_embedder.files.location import CONF


def run_verb(verb: str, work: Callable[[Config], int | None]) -> NoReturn:
    """Run ``work`` on the configuration that the command line asks for, then exit.

    Exit codes: what ``work`` returns (None is 0), 2 for an error the user can act on, 130 after Ctrl-C, 143 after
    SIGTERM; of a multirun the largest among its jobs. Anything else is a bug, which keeps its traceback and has 1.

    Args:
        verb: the primary config, ``conf/<verb>.yaml``.
        work: does the job; imports what it needs itself, so that ``--help`` and a mistyped key answer at once.
    """
    codes: list[int] = []
    errors: list[OneEmbedderError] = []
    sweeping = os.getpid()

    def task(cfg: DictConfig) -> None:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            run_job(lambda: _run(_read(verb, cfg), work), sweeping)  # perhaps in a worker process
            return
        try:
            settings = _read(verb, cfg)
            require_free(settings.ablation, HydraConfig.get().overrides.task)
            codes.append(_run(settings, work))
        except OneEmbedderError as error:
            errors.append(error)  # raised after Hydra's end, which would add a line of its own

    def run() -> None:
        with as_config_errors(), writing("hydra.run.dir, the folder of logs"):
            _run_hydra(verb, task)
        if errors:
            raise errors[0]

    sys.exit(told(run) or max(codes, default=0))


def _read(verb: str, cfg: DictConfig) -> Config:
    settings = typed(cfg)
    require_read(verb, HydraConfig.get().overrides.task, settings)
    return settings


def _run(cfg: Config, work: Callable[[Config], int | None]) -> int:
    quiet()
    settle_caches()
    with as_config_errors(), writing(cfg.output or cfg.paths.experiments):
        return work(cfg) or 0


def _run_hydra(verb: str, task: Callable[[DictConfig], None]) -> None:
    arguments = sys.argv[1:]
    if wants_help(arguments):
        sys.stdout.write(help_text(verb, arguments))
        return
    require_no_secrets(arguments)  # Hydra writes down what was typed
    refuse_flags(arguments)
    refuse_no_choice(arguments)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand errors on: they are told below, by our rules
    register()
    hydra.main(config_path=str(CONF), config_name=verb, version_base="1.3")(task)()
