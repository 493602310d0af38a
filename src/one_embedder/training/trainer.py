"""The Lightning trainer of a run."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.utilities import rank_zero_only

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError
from one_embedder.tracking.loggers import loggers
from one_embedder.training.checkpoint_io import LAST, AtomicCheckpointIO
from one_embedder.training.sharding import ShardedPrecision, sharded_strategy

_MADE_ON_PURPOSE = (
    ".*many workers",
    ".*Checkpoint directory",
    ".*log_every_n_steps",
    ".*in eval mode",
    ".*with manual optimization",  # its state after a step is what a run resumes from
    ".*LeafSpec",  # Lightning's own use of torch
)


def build_trainer(cfg: Config, folder: Path, *, callbacks: Sequence[Callback]) -> Trainer:
    """A trainer that runs ``trainer.max_steps`` steps, whatever the length of an epoch, and validates nothing.

    Args:
        cfg: sections trainer and tracking are read.
        folder: the run folder.
        callbacks: in the order in which they run; the periodic checkpoint comes after them.

    Raises:
        ConfigError: Lightning cannot train so here: fewer devices than are asked for, FSDP without a GPU, or tasks of
            Slurm that are not as many as the devices.
    """
    settings = cfg.trainer
    accumulated = settings.accumulate_grad_batches
    sharded = settings.strategy == "fsdp"
    # last.ckpt, one file that is replaced
    periodic = ModelCheckpoint(
        folder,
        LAST.removesuffix(".ckpt"),
        every_n_train_steps=settings.checkpoint_every_n_steps,
        enable_version_counter=False,
    )
    by_lightning = settings.mini_batch_size is None  # else the module steps, and Lightning's interval counts batches
    bar = [TQDMProgressBar()] if sys.stderr.isatty() else []  # Lightning's choice, rich, counts epochs: "Epoch 0/-2"
    chosen = loggers(cfg, folder)
    try:
        return Trainer(
            max_steps=settings.max_steps,
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy=sharded_strategy() if sharded else settings.strategy,
            precision=None if sharded else settings.precision,  # type: ignore[arg-type]
            callbacks=[*callbacks, periodic, *bar],
            logger=chosen,
            accumulate_grad_batches=accumulated if by_lightning else 1,
            log_every_n_steps=min(settings.log_every_n_steps, settings.max_steps)
            * (1 if by_lightning else accumulated),
            use_distributed_sampler=False,  # SameTaskBatchSampler knows the rank
            plugins=[AtomicCheckpointIO(), *([ShardedPrecision(settings.precision)] if sharded else [])],  # type: ignore[arg-type]
            enable_progress_bar=bool(bar),
            enable_model_summary=False,
            default_root_dir=folder,
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise ConfigError(f"trainer: {error}") from error


def require_accelerator(accelerator: str) -> None:
    """Refuse an accelerator of Lightning's that this machine has not.

    Raises:
        ConfigError: if it names a device that torch does not find.
    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found["gpu"] = any(found.values())
    if not found.get(accelerator, True):
        raise ConfigError(
            f"trainer.accelerator={accelerator}: torch finds no such device here; use trainer.accelerator=cpu or auto"
        )


def is_main_process() -> bool:
    """Whether this process writes files; Lightning knows from the environment, before a trainer exists."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide what Lightning says about choices that are made on purpose here."""
    chatter = logging.getLogger("pytorch_lightning")
    level = chatter.level
    chatter.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _MADE_ON_PURPOSE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        chatter.setLevel(level)
