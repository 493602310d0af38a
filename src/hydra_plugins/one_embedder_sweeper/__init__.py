"""``--multirun`` as Hydra's own sweeper does it, with an exit code that tells of every job.

Hydra takes a sweeper from the package ``hydra_plugins`` only.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn

from one_embedder.config.sweep import forget, require_all_well
from one_embedder.files.disk import FULL
from one_embedder.interruption import Terminated

log = logging.getLogger("one_embedder.sweep")


class Sweep(BasicSweeper):
    """Hydra's sweeper, which at its end reads how every job ended."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run all jobs.

        Raises:
            JobsFailed: one or more ended with another exit code than 0; the message has a line for each.
            Terminated: SIGTERM came, and the jobs that run in worker processes have ended.
        """
        if self.launcher is None or self.config is None:
            raise RuntimeError("setup() comes before sweep()")
        launch, jobs, reasons = self.launcher.launch, dict[int, Sequence[str]](), list[str]()

        def launched(job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            jobs.update(enumerate(job_overrides, start=initial_job_idx))
            try:
                return launch(job_overrides, initial_job_idx)
            except Exception as error:  # of the launcher: a worker was killed, a cluster's job is gone
                if isinstance(error, OSError) and error.errno in FULL:
                    raise  # no other job could be begun, and none can leave word
                reason = f"{type(error).__name__}: {error}"
                log.error("%s", reason)
                reasons.append(reason)
                return []

        self.launcher.launch = launched  # type: ignore[method-assign]
        folder = Path(str(self.config.hydra.sweep.dir))
        forget(folder)
        in_here = isinstance(self.launcher, BasicLauncher)  # then a job is what SIGTERM ends
        with nullcontext() if in_here else _workers_terminated():
            done = super().sweep(arguments)
        require_all_well(jobs, folder, reasons)
        return done


@contextmanager
def _workers_terminated() -> Iterator[None]:
    """Hand SIGTERM on to worker processes and let them end; without any, as with a cluster, end at once."""
    came = False

    def hand_on(number: int, frame: FrameType | None) -> None:
        nonlocal came
        workers = multiprocessing.active_children()
        if not workers:
            log.warning("SIGTERM: jobs that were submitted go on")
            raise Terminated
        if not came:
            log.warning("SIGTERM: the jobs save where they are")
        came = True
        for worker in workers:
            worker.terminate()

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if came:
        raise Terminated
