"""What happens around the training steps: random state and speed."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from one_embedder.encoder.truncation import Truncation
from one_embedder.medi.batches.collate import ContrastiveBatch
from one_embedder.tracking.machine import peak_memory_gib

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
        self._ended: float | None = None
        self._tokens_logged = 0

    @property
    def tokens_per_s(self) -> float:
        """Mean since the start, until training ends."""
        ended = time.perf_counter() if self._ended is None else self._ended
        return self.tokens / (ended - self._began) if self.tokens else 0.0

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

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock: what is saved and sent afterwards is no training."""
        self._ended = time.perf_counter()

    def _estimate(self, seconds: float, steps_left: int) -> None:
        log.info("%.2f s a step: %.1f min for the remaining %d steps", seconds, seconds * steps_left / 60, steps_left)


def _peak_memory() -> dict[str, float]:
    """The most memory that this process has had so far, GiB, and the most on its GPU where it has one."""
    peak = {"peak_memory_gib": peak_memory_gib()}
    if torch.cuda.is_available():
        peak["peak_gpu_gib"] = torch.cuda.max_memory_allocated() / 1024**3
    return peak


class CutTexts(Callback):
    """Counts the texts that the maximum length cut, and warns at the first ones that it left nothing of.

    Attributes:
        truncation: of the batches of this process, of the whole run also after it was resumed.
    """

    def __init__(self) -> None:
        self.truncation = Truncation()

    def state_dict(self) -> dict[str, Any]:
        """Saved with ``last.ckpt``."""
        return asdict(self.truncation)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting where the interrupted run was."""
        self.truncation = Truncation(**state_dict)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: ContrastiveBatch, batch_idx: int
    ) -> None:
        """Count."""
        if batch.truncation.lost and not self.truncation.lost:
            log.warning("in a batch of this training %s", batch.truncation.sentence())
        self.truncation += batch.truncation

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how many there were."""
        if self.truncation.cut:
            log.info("in this training %s", self.truncation.sentence())
