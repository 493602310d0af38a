"""A training that is asked to end, by Ctrl-C or a scheduler, saves where it is first."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import SIGTERMException

from one_embedder.interruption import Terminated, ends_process
from one_embedder.training.trainer import is_main_process

log = logging.getLogger(__name__)

_ENDING = (signal.SIGINT, signal.SIGTERM)
_SCHEDULERS = (signal.SIGUSR1, signal.SIGUSR2)  # listened to where somebody handles them: submitit requeues its job


class StopOnSignal(Callback):
    """The first signal lets the current step finish and saves ``last.ckpt``; then the signal does what it is for.

    - Ctrl-C and SIGTERM end the fit, and in a job of Slurm SIGUSR1, by which ``sbatch --signal=USR1@120`` warns. A
      second Ctrl-C ends at once; a second SIGTERM changes nothing, since a scheduler and a parent process may both send
      one, and what they mean by "at once" is SIGKILL.
    - A handler of somebody else that was there before is called: submitit's requeues the job, or lets SIGTERM pass, as
      SIGKILL and a requeue follow it; then the training goes on.

    Stopping between two steps is what makes the saved state exact: in the middle of one, some weights would already be
    updated and others not.

    Attributes:
        stopped: the signal that ended the fit; None if none did.
    """

    def __init__(self, path: Path) -> None:
        """Set where to save.

        Args:
            path: the checkpoint that a rerun resumes from.
        """
        self.path = path
        self.stopped: signal.Signals | None = None
        self._asked = 0
        self._step = 0
        self._before: dict[signal.Signals, Any] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen around a fit; what the fit ends with is an interruption of ours, whatever Lightning makes of it."""
        if threading.current_thread() is threading.main_thread():  # signals reach the main thread only
            self._before = {number: signal.getsignal(number) for number in (*_ENDING, *_SCHEDULERS)}
            self._before = {number: found for number, found in self._before.items() if _means_to_end(number, found)}
        self._listen()
        try:
            yield
        except SystemExit as error:
            if isinstance(error, SIGTERMException):  # before the first step
                raise Terminated from error
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            raise
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the step that the run begins with, and listen instead of Lightning.

        Its own handler of SIGTERM ends the fit after a batch, also where more batches belong to the step, saves
        nothing, and talks to the other processes in the middle of whatever they are doing.
        """
        self._step = trainer.global_step
        self._listen()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save here if asked to and if a step is complete: a gradient that is still accumulating is not saved.

        Several processes must agree, or some would wait for the others for ever.
        """
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        if not (asked := self._agreed(trainer)):
            return
        self._asked = 0
        trainer.save_checkpoint(self.path)
        if asked == signal.SIGINT or ends_process(self._before.get(asked, signal.SIG_DFL)):
            trainer.should_stop, self.stopped = True, asked
        else:
            log.info("%s: saved at step %d", asked.name, trainer.global_step)
            self._before[asked](asked, None)

    def raise_stopped(self) -> None:
        """Raise what the signal that ended the fit stands for.

        Only the main process does. The others end with exit code 0: their parent, if it is Lightning's, takes another
        one for a crash, and kills the main process before that has written its record.
        """
        if self.stopped is None:
            return
        if not is_main_process():
            raise SystemExit(0)
        raise KeyboardInterrupt if self.stopped == signal.SIGINT else Terminated

    def _agreed(self, trainer: Trainer) -> signal.Signals | None:
        asked = self._asked
        if trainer.world_size > 1:
            largest = trainer.strategy.reduce(torch.tensor(asked, device=trainer.strategy.root_device), reduce_op="max")
            asked = int(largest)
        return signal.Signals(asked) if asked else None

    def _listen(self) -> None:
        for number in self._before:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if number == signal.SIGINT:
            log.warning("interrupted: saving after this step (again: stop at once)")
            signal.signal(number, self._before[signal.SIGINT])
        elif not self._asked:
            log.warning("%s: saving after this step", name)
        self._asked = number


def _means_to_end(number: signal.Signals, handler: Any) -> bool:
    """Whether to save when this signal comes: not where it is ignored, nor where nobody uses it."""
    if number == signal.SIGINT:
        return handler is not None
    asks = number == signal.SIGTERM or (number == signal.SIGUSR1 and "SLURM_JOB_ID" in os.environ)
    return callable(handler) or (asks and handler == signal.SIG_DFL)
