"""Evaluation while training: the best encoder is kept, and training ends when nothing gets better."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.seed import isolate_rng

from one_embedder.config.schema import EarlyStoppingConfig
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.training.divergence import require_usable
from one_embedder.training.generators import GeneratorState, replayed

log = logging.getLogger(__name__)


class DevScore(Protocol):
    """A benchmark that was never used for training, as one number.

    Attributes:
        identity: hash of all that a score depends on beside the encoder.
    """

    identity: str

    def __call__(self, encoder: InstructionEncoder, output: Path) -> float:
        """The score, more is better; details go below ``output``. The encoder's modes and random state may change."""
        ...


class EarlyStopping(Callback):
    """Scores the encoder every so many steps and after the last one.

    Lightning's own callback of this name watches a validation loop, which counts batches of an epoch; runs here are
    counted in steps and scored by the project's own evaluation.

    Training is the same, bit for bit, as without it: modes and random state are put back. Only the main process
    scores; the others wait for its answer, at most as long as their process group allows (ten minutes with NCCL).

    Attributes:
        best_score: so far; None before the first evaluation.
        best_step: after which it was reached.
        waited: evaluations since then.
        stopped: whether training ended because of it.
        seconds: spent on evaluations by this process.
    """

    def __init__(
        self,
        score: Callable[[InstructionEncoder, Path], float],
        settings: EarlyStoppingConfig,
        folder: Path,
        *,
        keep: Callable[[], None],
        leave_out: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """Set what is watched.

        Args:
            score: gives the score of an encoder as it would be saved, and leaves details in a folder.
            settings: how often, and how long to wait for a better one.
            folder: each evaluation's details go to ``step-<n>`` below.
            keep: saves the encoder as the best one so far; called on the main process.
            leave_out: is told the seconds of each evaluation.
        """
        self.score, self.settings, self.folder = score, settings, folder
        self.keep, self.leave_out = keep, leave_out
        self.best_score: float | None = None
        self.best_step = self.waited = 0
        self.stopped = False
        self.seconds = 0.0
        self._step = 0

    def state_dict(self) -> dict[str, Any]:
        """Saved with ``last.ckpt``."""
        return {"best_score": self.best_score, "best_step": self.best_step, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on as if never interrupted."""
        self.best_score, self.best_step = state_dict["best_score"], state_dict["best_step"]
        self.waited = state_dict["waited"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that was cut off between its last evaluation and its end is over."""
        self._step = trainer.global_step
        self._stop_if_over(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate, if a step is complete and it is time."""
        step = trainer.global_step
        if step == self._step:  # more batches belong to this step
            return
        self._step = step
        if step % (self.settings.every_n_steps or 1) and step != trainer.max_steps:
            return
        score = self._evaluate(trainer, pl_module, step)
        if self.best_score is None or score > self.best_score:
            self.best_score, self.best_step, self.waited = score, step, 0
            if trainer.is_global_zero:
                self.keep()
        else:
            self.waited += 1
        log.info("step %d: dev score %.4f, best %.4f at step %d", step, score, self.best_score, self.best_step)
        for logger in trainer.loggers:
            logger.log_metrics({"dev_score": score}, step=step - 1)  # Lightning counts the steps of a row from 0
        self._stop_if_over(trainer)

    def _evaluate(self, trainer: Trainer, module: LightningModule, step: int) -> float:
        began, score = time.perf_counter(), 0.0
        if trainer.is_global_zero:
            encoder: InstructionEncoder = module.encoder  # type: ignore[assignment]
            with _generators_put_back(encoder.device), _modes_put_back(encoder):
                require_usable(encoder, f"step {step}")
                score = self.score(encoder, self.folder / f"step-{step}")
        score = float(trainer.strategy.broadcast(score))
        seconds = time.perf_counter() - began
        self.seconds += seconds
        self.leave_out(seconds)
        return score

    def _stop_if_over(self, trainer: Trainer) -> None:
        patience = self.settings.patience
        if patience is not None and self.waited >= patience:
            log.info("no better dev score in %d evaluations: training ends", self.waited)
            trainer.should_stop = self.stopped = True


@contextmanager
def _generators_put_back(device: torch.device) -> Iterator[None]:
    """Of Python, numpy and torch; Lightning's own function leaves out that of MPS."""
    with isolate_rng(), replayed(GeneratorState.now(device)):
        yield


@contextmanager
def _modes_put_back(encoder: InstructionEncoder) -> Iterator[None]:
    """Module by module: frozen layers are in evaluation mode while the others train."""
    modes = [(module, module.training) for module in encoder.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
