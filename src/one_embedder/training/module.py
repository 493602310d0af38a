"""The training step."""

from __future__ import annotations

import math
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from one_embedder.config.schema import LossConfig, OptimizerConfig, ScheduleConfig
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import ConfigError, OneEmbedderError
from one_embedder.medi.collate import ContrastiveBatch
from one_embedder.training.callbacks import is_logged
from one_embedder.training.loss import LOSSES, SPELLINGS, SameText, batch_metrics
from one_embedder.training.optimizer import adamw, freeze_layers
from one_embedder.training.schedule import linear_schedule


class InstructorModule(LightningModule):
    """An encoder, the contrastive loss over its three sides, and the optimizer.

    Numbers are read back from the device only when they are logged.
    """

    def __init__(
        self,
        encoder: InstructionEncoder,
        *,
        loss: LossConfig,
        optimizer: OptimizerConfig,
        schedule: ScheduleConfig,
        max_steps: int,
        gradient_clip_val: float | None = None,
    ) -> None:
        """Prepare the encoder for training (changed in place).

        Args:
            encoder: what learns.
            loss: spelling, temperature, and whether negatives that are right too are left out.
            optimizer: learning rate, weight decay, frozen layers.
            schedule: warm-up.
            max_steps: steps of the run; the schedule ends there.
            gradient_clip_val: largest norm of the gradient over all weights; None: no limit.

        Raises:
            ConfigError: an unknown loss or a number out of range.
        """
        super().__init__()
        if loss.spelling not in LOSSES:
            raise ConfigError(f"loss.spelling={loss.spelling!r} is unknown; use one of {', '.join(LOSSES)}")
        if loss.temperature <= 0:
            raise ConfigError(f"loss.temperature must be > 0, got {loss.temperature}")
        self.encoder = encoder
        self.loss = LOSSES[loss.spelling]
        self.in_batch_positives = SPELLINGS[loss.spelling]
        self.temperature = loss.temperature
        self.mask_same_text = loss.mask_same_text
        self.optimizer_config = optimizer
        self.schedule_config = schedule
        self.max_steps = max_steps
        self.max_norm = math.inf if gradient_clip_val is None else gradient_clip_val
        encoder.train(optimizer.dropout)  # Lightning leaves the mode as it finds it
        freeze_layers(encoder, optimizer.frozen_layers)

    def embed(self, batch: ContrastiveBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings of the three sides, each (B, D).

        One forward pass a side: each is padded to its own longest text, so that short queries do not pay for documents.
        """
        return self.encoder(batch.query), self.encoder(batch.positive), self.encoder(batch.negative)

    def training_step(self, batch: ContrastiveBatch, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        embeddings = self.embed(batch)
        same = SameText.of(*batch.texts) if self.mask_same_text else None
        loss = self.loss(*embeddings, temperature=self.temperature, same=same)
        if self._is_logged_step():
            self._require_finite(loss.detach())
            detached = [embedding.detach() for embedding in embeddings]
            metrics = batch_metrics(
                *detached, temperature=self.temperature, in_batch_positives=self.in_batch_positives, same=same
            )
            self._log({"loss": loss.detach(), **metrics, "learning_rate": self._learning_rate()}, len(batch))
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to our own limit and log the norm before clipping, which is computed on the way.

        The trainer is made without a limit: Lightning's clipping refuses fused optimizers under mixed precision.
        """
        learning = [parameter for parameter in self.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(learning, self.max_norm)
        if self._is_logged_step():
            self._log({"gradient_norm": norm})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW and the schedule, which advances each step."""
        config = self.optimizer_config
        optimizer = adamw(self.parameters(), learning_rate=config.learning_rate, weight_decay=config.weight_decay)
        schedule = linear_schedule(optimizer, warmup_ratio=self.schedule_config.warmup_ratio, max_steps=self.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _is_logged_step(self) -> bool:
        return is_logged(self.trainer, self.trainer.global_step + 1)

    def _learning_rate(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def _log(self, metrics: dict[str, Any], batch_size: int | None = None) -> None:
        self.log_dict(metrics, on_step=True, on_epoch=False, prog_bar=False, batch_size=batch_size)

    def _require_finite(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise OneEmbedderError(
                f"the loss is {float(loss)} at step {self.trainer.global_step}; "
                "lower optimizer.learning_rate or raise loss.temperature"
            )
