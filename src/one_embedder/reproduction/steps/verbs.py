"""The work behind Table 1 as four replaceable functions, and how long each call of them took."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from one_embedder.config.schema import Config
from one_embedder.reproduction.statistics.layout import RowSpec
from one_embedder.tracking.machine import code_state, hardware, peak_memory_gib

if TYPE_CHECKING:
    from one_embedder.evaluation.benchmarks import TaskScore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stages:
    """What a reproduction calls. Each is resumable by itself: finished work is found again, not repeated.

    Attributes:
        build: makes the training data and the benchmark.
        train: trains and returns the run folder, which holds ``checkpoint/``.
        evaluate: scores every task with ``cfg.encoder`` and ``cfg.instructions``.
        data_identity: name of a data set -> sha256, once it is built.
    """

    build: Callable[[Config], object]
    train: Callable[[Config], Path]
    evaluate: Callable[[Config], Sequence[TaskScore]]
    data_identity: Callable[[Config], Mapping[str, str]]


def project_stages() -> Stages:
    """The project's own verbs, imported only when they are wanted: they load torch and mteb.

    Where another process trains or scores the same, it is waited for: tables and sweeps share their trainings.
    """
    from one_embedder.evaluation.dev import dev_benchmark
    from one_embedder.evaluation.run import evaluate
    from one_embedder.medi.build import build
    from one_embedder.medi.sources.assembly import DONE
    from one_embedder.reproduction.steps.circumstances import data_identity
    from one_embedder.training.run import train
    from one_embedder.training.trainer import require_accelerator

    def build_to_train(cfg: Config) -> object:
        if not (Path(cfg.medi.folder) / DONE).is_file():
            require_accelerator(cfg.trainer.accelerator)  # before minutes of building for what cannot be trained here
        return build(cfg)

    def train_and_release(cfg: Config) -> Path:
        run = train(cfg, dev_benchmark(cfg), wait=True)
        gc.collect()  # a trainer and its parts hold each other in cycles, with a model's memory
        return run

    return Stages(build_to_train, train_and_release, partial(evaluate, wait=True), data_identity)


def stage_name(verb: str, spec: RowSpec, seed: int | None) -> str:
    """What a stage that trains or evaluates one run of a row is called."""
    return f"{verb}: {spec.label}" if seed is None else f"{verb}: {spec.label}, seed {seed}"


@dataclass
class StageClock:
    """Announces stages and remembers their wall time.

    Attributes:
        total: number of stages to come, for "[2/9]".
        seconds: (stage, wall seconds), in the order in which they ran.
    """

    total: int
    seconds: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body; a stage that raises is not recorded."""
        place = f"[{len(self.seconds) + 1}/{self.total}]"
        log.info("%s %s", place, name)
        began = time.monotonic()
        yield
        self.seconds.append((name, time.monotonic() - began))
        log.info("%s %s: %.1f s", place, name, self.seconds[-1][1])


def made_by(cfg: Config, clock: StageClock) -> dict[str, Any]:
    """What every table's record says of its making: code, machine, bootstrap, and what it cost."""
    return {
        "code": code_state(),
        "hardware": hardware(),
        "bootstrap": {"resamples": cfg.table.bootstrap_resamples, "confidence": cfg.table.confidence, "seed": cfg.seed},
        "cost": {
            "stages": {name: round(seconds, 1) for name, seconds in clock.seconds},
            "wall_s": round(sum(seconds for _, seconds in clock.seconds), 1),
            "peak_memory_gib": peak_memory_gib(),
        },
    }
