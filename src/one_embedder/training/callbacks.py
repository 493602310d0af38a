"""What happens around the training steps: random state, speed, interruption."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from one_embedder.medi.collate import ContrastiveBatch
from one_embedder.tracking.surroundings import peak_memory_gib

log = logging.getLogger(__name__)


def is_logged(trainer: Trainer, steps: int) -> bool:
    """Whether metrics are logged after this many steps of the run, by the trainer's interval (counted in batches)."""
    batches = steps * int(getattr(trainer.lightning_module, "batches_per_step", 1))
    return batches % int(trainer.log_every_n_steps) == 0  # type: ignore[attr-defined]


class RandomState(Callback):
    """Puts torch's random state into the checkpoint, so that dropout after a resume is what it would have been.

    Lightning does not do this. It is exact for one process; with several, each resumes from the state of rank 0.
    """

    def __init__(self) -> None:
        self._restored: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The generators' states; called when a checkpoint is saved, between two steps."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        mps = [torch.mps.get_rng_state()] if torch.backends.mps.is_available() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda, "mps": mps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the first step: what happens before it draws numbers too."""
        self._restored = state_dict

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Before the first step after a resume."""
        if self._restored is None:
            return
        torch.set_rng_state(self._restored["cpu"].cpu())
        if len(self._restored["cuda"]) == torch.cuda.device_count() and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([state.cpu() for state in self._restored["cuda"]])
        if self._restored.get("mps") and torch.backends.mps.is_available():
            torch.mps.set_rng_state(self._restored["mps"][0].cpu())
        self._restored = None


class Speed(Callback):
    """Logs tokens per second (of this process, padding not counted), memory and, after the first steps, the time left.

    Attributes:
        tokens: counted since the run was started or resumed.
        steps: likewise.
    """

    FIRST_STEPS = 5  # the estimate leaves the very first step out: it allocates and picks kernels

    def __init__(self) -> None:
        self.tokens = self.steps = self._step = 0
        self._began = self._first_done = self._logged_at = 0.0
        self._tokens_logged = 0

    @property
    def tokens_per_s(self) -> float:
        """Mean since the start."""
        return self.tokens / (time.perf_counter() - self._began) if self.tokens else 0.0

    def leave_out(self, seconds: float) -> None:
        """Seconds since the last step in which nothing was trained do not count."""
        self._began += seconds
        self._logged_at += seconds
        self._first_done += seconds

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._began = self._logged_at = time.perf_counter()
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: ContrastiveBatch, batch_idx: int
    ) -> None:
        """Count; log at the trainer's interval."""
        self.tokens += batch.tokens
        if trainer.global_step == self._step:  # more batches belong to this step
            return
        self._step = trainer.global_step
        self.steps += 1
        now = time.perf_counter()
        if self.steps == 1:
            self._first_done = now
        if self.steps == self.FIRST_STEPS:
            self._estimate((now - self._first_done) / (self.steps - 1), trainer.max_steps - trainer.global_step)
        if is_logged(trainer, trainer.global_step):
            rate = (self.tokens - self._tokens_logged) / (now - self._logged_at)
            pl_module.log_dict({"tokens_per_s": rate, **_peak_memory()}, on_step=True, on_epoch=False, batch_size=1)
            self._tokens_logged, self._logged_at = self.tokens, now

    def _estimate(self, seconds: float, steps_left: int) -> None:
        log.info("%.2f s a step: %.1f min for the remaining %d steps", seconds, seconds * steps_left / 60, steps_left)


def _peak_memory() -> dict[str, float]:
    """The most memory that this process has had so far, GiB, and the most on its GPU where it has one."""
    peak = {"peak_memory_gib": peak_memory_gib()}
    if torch.cuda.is_available():
        peak["peak_gpu_gib"] = torch.cuda.max_memory_allocated() / 1024**3
    return peak


class StopOnInterrupt(Callback):
    """The first Ctrl-C lets the current step finish, saves ``last.ckpt`` and ends the fit; a second one ends at once.

    Stopping between two steps is what makes the saved state exact: in the middle of one, some weights would
    already be updated and others not.

    Attributes:
        stopped: whether the fit ended because of it.
    """

    def __init__(self, path: Path) -> None:
        """Set where to save.

        Args:
            path: the checkpoint that a rerun resumes from.
        """
        self.path = path
        self.stopped = False
        self._asked = False
        self._step = 0
        self._before: Any = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for Ctrl-C around a fit.

        Not a hook of the callback: Lightning puts signal handlers back to what they were when it registered its own.
        """
        if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
            yield
            return
        self._before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, self._before)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the step that the run begins with."""
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop here if asked to and if a step is complete: a gradient that is still accumulating is not saved.

        Several processes must agree, or some would wait for the others for ever; agreeing costs a synchronisation, so
        they do it at the logging interval.
        """
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        asked = self._asked
        if trainer.world_size > 1:
            agreeing = is_logged(trainer, trainer.global_step)
            asked = agreeing and trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = self.stopped = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        log.warning("interrupted: saving after this step (again: stop at once)")
        self._asked = True
        signal.signal(signal.SIGINT, self._before)
