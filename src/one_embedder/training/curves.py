"""Curves that a metrics file has no place for: the loss of each task, and how similarities are spread."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from one_embedder.medi.batches.collate import ContrastiveBatch
from one_embedder.tracking.loggers import FinishingWandbLogger
from one_embedder.tracking.manifest import write_atomically
from one_embedder.training.callbacks import is_logged
from one_embedder.training.module import InstructorModule

TASK_LOSSES = "task_losses.csv"
_MOST_WAITING = 10_000  # where nothing is logged for long
_COLUMNS = ("task_id", "task_name", "batches", "mean_loss", "last_loss")


class Curves(Callback):
    """Adds up the loss of every task and hands W&B what it alone can show; W&B may be off.

    Losses stay on the device between two logged steps, so that watching every batch does not make the device wait.
    A batch of several tasks belongs to none.

    Attributes:
        losses: task id -> batches, sum of their losses, the last one; batches of this process, of the whole run also
            after it was resumed.
    """

    def __init__(self, names: Mapping[int, str], path: Path) -> None:
        """Set what tasks are called and where the table goes.

        Args:
            names: task id -> name.
            path: a CSV file with one row a task, written at the end.
        """
        self.names, self.path = names, path
        self.losses: dict[int, tuple[int, float, float]] = {}
        self._waiting: list[tuple[int, Tensor]] = []
        self._step = 0

    def state_dict(self) -> dict[str, Any]:
        """Saved with ``last.ckpt``."""
        self._read()
        return {"losses": dict(self.losses)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting where the interrupted run was."""
        self.losses = dict(state_dict["losses"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the step that the run begins with."""
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: ContrastiveBatch, batch_idx: int
    ) -> None:
        """Keep the batch's loss; at the trainer's interval read what was kept."""
        module = cast(InstructorModule, pl_module)
        if batch.task_id is not None and module.batch_loss is not None:
            self._waiting.append((batch.task_id, module.batch_loss))
        if len(self._waiting) == _MOST_WAITING:
            self._read()
        if trainer.global_step == self._step or not is_logged(trainer, trainer.global_step):
            return
        self._step = trainer.global_step
        seen = self._read()
        for logger in _wandb_loggers(trainer):
            step = trainer.global_step - 1  # Lightning counts the steps of a row from 0
            logger.log_metrics({f"task_loss/{self._name(task)}": loss for task, loss in seen.items()}, step)
            logger.log_histograms({f"similarity/{name}": x for name, x in module.similarities.items()}, step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand the table to W&B, whose run ends with the fit."""
        rows = self._rows()
        for logger in _wandb_loggers(trainer) if trainer.is_global_zero and rows else ():
            logger.log_table("task_losses", columns=list(_COLUMNS), data=rows)

    def write(self, trainer: Trainer) -> None:
        """Write the table; also of a run that was killed after its last step, for which Lightning begins no fit."""
        rows = self._rows()
        if trainer.is_global_zero and rows:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([_COLUMNS, *rows])
            write_atomically(self.path, text.getvalue())

    def _rows(self) -> list[list[Any]]:
        self._read()
        return [
            [task, self._name(task), batches, round(total / batches, 6), round(last, 6)]
            for task, (batches, total, last) in sorted(self.losses.items())
        ]

    def _read(self) -> dict[int, float]:
        """Add up what waits on the device, in one transfer; task id -> its last loss among that."""
        if not self._waiting:
            return {}
        tasks, losses = zip(*self._waiting, strict=True)
        self._waiting = []
        seen = {}
        for task, loss in zip(tasks, torch.stack(losses).tolist(), strict=True):
            batches, total, _ = self.losses.get(task, (0, 0.0, 0.0))
            self.losses[task] = (batches + 1, total + loss, loss)
            seen[task] = loss
        return seen

    def _name(self, task: int) -> str:
        return self.names.get(task) or str(task)


def _wandb_loggers(trainer: Trainer) -> list[FinishingWandbLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, FinishingWandbLogger)]
