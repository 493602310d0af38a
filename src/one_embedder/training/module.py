"""The training step."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import ParallelStrategy
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from one_embedder.config.schema import Config
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import TokenizedBatch
from one_embedder.errors import OneEmbedderError
from one_embedder.medi.batches.collate import ContrastiveBatch
from one_embedder.tracking.loggers import AppendingCSVLogger
from one_embedder.training.callbacks import is_logged
from one_embedder.training.divergence import DIVERGED, Finite, keep_batches, require_finite_weights
from one_embedder.training.grad_cache import cached_backward
from one_embedder.training.loss import Sides
from one_embedder.training.objective import LossValue, objective
from one_embedder.training.optimizer import adamw, freeze_layers, layer_factors, linear_schedule, matrices
from one_embedder.training.sharding import clip_sharded

_LOGGED = "last_logged"
_KEPT_BATCHES = 256  # at most: a GPU is looked at when a step is logged, what broke may be some steps back


class InstructorModule(LightningModule):
    """An encoder, the loss over the sides of a batch, and the optimizer.

    Numbers are read back from the device only when they are logged. With ``mini_batch_size`` the gradient is cached
    (see ``grad_cache``) and Lightning's optimization is off: clipping, accumulating and the schedule are done here.

    Attributes:
        batches_per_step: batches that Lightning sees for each of its steps to log: with cached gradients it cannot know
            that ``accumulate_grad_batches`` of them make one.
        batch_loss: of the last batch, detached; None before the first.
        finite: whether every step so far was.
        similarities: of the last batch that was logged, as its ``LossValue`` gives them; empty before.
        last_logged: metrics of the step that this run goes on from; empty if that was not logged, or it begins.
    """

    def __init__(self, encoder: InstructionEncoder, cfg: Config) -> None:
        """Prepare the encoder for training (changed in place).

        Args:
            encoder: what learns.
            cfg: sections loss, optimizer, schedule and trainer are read. Without ``trainer.mini_batch_size`` it is
                Lightning's trainer that accumulates gradients.

        Raises:
            ConfigError: layers or a temperature that the encoder or the loss cannot have.
        """
        super().__init__()
        trainer = cfg.trainer
        self.encoder = encoder
        self.cfg = cfg
        self.loss = objective(cfg.loss)
        self._matrices = matrices(encoder)  # before a strategy shards them, as are the next
        self._factors = layer_factors(encoder, cfg.optimizer.layer_decay)
        self.max_norm = math.inf if trainer.gradient_clip_val is None else trainer.gradient_clip_val
        self.mini_batch_size = trainer.mini_batch_size
        self.automatic_optimization = self.mini_batch_size is None
        self.batches_per_step = 1 if self.mini_batch_size is None else trainer.accumulate_grad_batches
        self.batch_loss: Tensor | None = None
        self.finite = Finite()
        self.similarities: Mapping[str, Tensor] = {}
        self.last_logged: Mapping[str, float] = {}
        self._recent: deque[tuple[int, ContrastiveBatch]] = deque(maxlen=_KEPT_BATCHES)  # and their steps
        self._batches_waiting = 0  # whose gradient no step has used yet; none when a checkpoint is saved
        encoder.train(cfg.optimizer.dropout)  # Lightning leaves the mode as it finds it
        freeze_layers(encoder, cfg.optimizer.frozen_layers)

    def sides(self, batch: ContrastiveBatch) -> list[TokenizedBatch]:
        """What of a batch is embedded: queries, positives, and what else the loss looks at (``_further_sides``)."""
        return [batch.query, batch.positive, *(getattr(batch, side) for side in self._further_sides)]

    @property
    def _further_sides(self) -> list[str]:
        """Names of the sides beside the pairs, as they are called in a batch and in ``Sides``."""
        asked = {"negative": self.loss.needs_negatives, "other_query": self.loss.needs_other_queries}
        return [side for side, holds in asked.items() if holds]

    def embed(self, batch: ContrastiveBatch) -> tuple[Tensor, ...]:
        """Embeddings of each of the ``sides``: (B, D), (B, D), with hard negatives (N, D), with other queries (B, D).

        Where padding is skipped, all sides in one forward pass, and a text that the batch holds several times (a
        label's name, a negative that rows share) once. Else one pass a side, each padded to its own longest text. With
        dropout every occurrence is embedded for itself.
        """
        passes, apart = self.passes(batch)
        return apart([self.encoder(texts) for texts in passes])

    def passes(
        self, batch: ContrastiveBatch
    ) -> tuple[list[TokenizedBatch], Callable[[Sequence[Tensor]], tuple[Tensor, ...]]]:
        """What is embedded, a forward pass each, and what makes embeddings of the sides of theirs."""
        sides = self.sides(batch)
        if not self.encoder.is_unpadded:
            return sides, tuple
        texts, which = TokenizedBatch.stacked(sides), None
        if not self.encoder.training:
            texts, which = texts.distinct()

        def apart(embeddings: Sequence[Tensor]) -> tuple[Tensor, ...]:
            (every,) = embeddings
            occurrences = every if which is None else every.index_select(0, which)
            return torch.split(occurrences, [len(side) for side in sides])

        return [texts], apart

    def measure(self, embeddings: Sequence[Tensor], batch: ContrastiveBatch) -> LossValue:
        """The loss of this process's rows.

        Args:
            embeddings: as ``embed`` gives them.
            batch: the same rows.
        """
        query, positive, *others = embeddings
        further = {"negative": query[:0].detach()} | dict(zip(self._further_sides, others, strict=True))
        # In full precision: bfloat16 has three digits, and a temperature of 0.01 makes two of them matter.
        with torch.autocast(query.device.type, enabled=False):
            value = self.loss(Sides(query, positive, texts=batch.texts, labels=batch.labels, **further))
        return value if isinstance(value, LossValue) else LossValue(value)

    def training_step(self, batch: ContrastiveBatch, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        self._recent.append((self.trainer.global_step + 1, batch))
        self._batches_waiting += 1
        if self.mini_batch_size is not None:
            return self._cached_step(batch, self.mini_batch_size)
        return self._loss(self.embed(batch), batch, is_logged=self._is_logged_step())

    def _loss(self, embeddings: Sequence[Tensor], batch: ContrastiveBatch, *, is_logged: bool) -> Tensor:
        value = self.measure(embeddings, batch)
        self.batch_loss = value.loss.detach()
        if is_logged:
            self.similarities = value.similarities()
            rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
            self._log({"loss": self.batch_loss, **value.metrics(), "learning_rate": rate}, len(batch))
        return value.loss

    def _cached_step(self, batch: ContrastiveBatch, mini_batch_size: int) -> Tensor:
        """One batch with cached gradients; a step of the optimizer if it is the last of those that make one."""
        completes = self._batches_waiting == self.batches_per_step
        is_logged = completes and self._is_logged_step()

        def backward(share: Tensor, is_last: bool) -> None:
            with nullcontext() if completes and is_last else self._without_synchronisation():
                self.manual_backward(share / self.batches_per_step)

        passes, apart = self.passes(batch)
        loss = cached_backward(
            self.encoder,
            passes,
            mini_batch_size,
            loss=lambda embeddings: self._loss(apart(embeddings), batch, is_logged=is_logged),
            backward=backward,
            parameters=[parameter for parameter in self.loss.parameters() if parameter.requires_grad],
        )
        if completes:
            self._step()
        return loss

    def _step(self) -> None:
        """What Lightning does after the backward pass when it optimizes."""
        if self.batches_per_step > 1 and self._is_logged_step():
            self._log({"step": float(self.trainer.global_step)})  # Lightning would count batches
        optimizer = cast(LightningOptimizer, self.optimizers())
        self.configure_gradient_clipping(optimizer)
        optimizer.step()
        optimizer.zero_grad()
        cast(LRScheduler, self.lr_schedulers()).step()

    def _without_synchronisation(self) -> AbstractContextManager[None]:
        """Keep DDP from averaging a gradient that is not complete."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to our own limit and log the norm before clipping, which is computed on the way.

        The trainer is made without a limit: Lightning's clipping refuses fused optimizers under mixed precision. Where
        a look at the numbers costs nothing, one that is not finite ends the run here, before it gets into the weights.
        """
        self._make_gradient_a_mean()
        norm = clip_sharded(self.trainer.strategy.model, self.max_norm)
        if norm is None:
            learning = [parameter for parameter in self.parameters() if parameter.grad is not None]
            norm = torch.nn.utils.clip_grad_norm_(learning, self.max_norm)
        with self._keeping_what_breaks():
            if self.batch_loss is not None:
                self.finite.watch(self.batch_loss, norm, self.trainer.global_step + 1)
            if self._is_logged_step():
                self.finite.require()
                self._recent.clear()
                self._log({"gradient_norm": norm})

    def _make_gradient_a_mean(self) -> None:
        """Of the batches of this step: Lightning ends one with the epoch, and divides by those of a whole one."""
        most, found = self.cfg.trainer.accumulate_grad_batches, self._batches_waiting
        self._batches_waiting = 0
        if 0 < found < most:
            for parameter in self.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(most / found)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a run resumes from is sound; where it would not be, the older one is kept."""
        with self._keeping_what_breaks():
            self.finite.require()
        require_finite_weights(checkpoint["state_dict"], f"step {self.trainer.global_step}")
        # Lightning logs a step after it is saved: killed in between, its row would be in no file.
        logged = self.trainer.callback_metrics if is_logged(self.trainer, self.trainer.global_step) else {}
        checkpoint[_LOGGED] = {name: float(value) for name, value in logged.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Log the step that was saved, perhaps once more: readers keep the last row of a step."""
        self.last_logged = checkpoint.get(_LOGGED, {})
        for logger in self.trainer.loggers if self.last_logged else ():
            if isinstance(logger, AppendingCSVLogger):
                logger.log_metrics(dict(self.last_logged), checkpoint["global_step"] - 1)

    def on_train_end(self) -> None:
        """A run whose last steps broke is not complete."""
        with self._keeping_what_breaks():
            self.finite.require()

    @contextmanager
    def _keeping_what_breaks(self) -> Iterator[None]:
        """Write the batches of a step that was not finite beside the run before its error goes on."""
        try:
            yield
        except OneEmbedderError as error:
            step, rank = self.finite.first_broken, self.trainer.global_rank
            batches = [batch for number, batch in self._recent if number == step]
            if step is None or not batches:
                raise
            path = (Path(self.trainer.default_root_dir) / DIVERGED).with_suffix(f".{rank}.pt" if rank else ".pt")
            keep_batches(path, step, batches)
            raise OneEmbedderError(f"{error}; {path} holds what that step was trained on") from error

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW and the schedule, which advances each step."""
        config, warmup = self.cfg.optimizer, self.cfg.schedule.warmup_ratio
        optimizer = adamw(
            self.encoder.parameters(),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            decayed=self._matrices,
            factors=self._factors,
        )
        if of_loss := list(self.loss.parameters()):
            optimizer.add_param_group({"params": of_loss, "weight_decay": 0.0})
        schedule = linear_schedule(optimizer, warmup_ratio=warmup, max_steps=self.cfg.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _is_logged_step(self) -> bool:
        return is_logged(self.trainer, self.trainer.global_step + 1)

    def _log(self, metrics: dict[str, Any], batch_size: int | None = None) -> None:
        self.log_dict(metrics, on_step=True, on_epoch=False, prog_bar=False, batch_size=batch_size)
