"""Metric loggers for Lightning: CSV always, Weights & Biases where it is installed and wanted."""

from __future__ import annotations

import csv
import importlib.util
import logging
import netrc
import os
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from one_embedder.config.schema import Config

log = logging.getLogger(__name__)


class AppendingCSVLogger(CSVLogger):
    """Writes ``<folder>/metrics.csv`` and keeps the rows of an interrupted run when it is resumed.

    A resumed run repeats the steps after its last checkpoint: readers keep the last row of a step.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(save_dir=folder, name="", version="", flush_logs_every_n_steps=10)
        self.metrics_file = folder / "metrics.csv"

    @property
    def experiment(self) -> Any:
        """Lightning's writer; opening it deletes older metrics, so they are put back."""
        if self._experiment is not None or getattr(rank_zero_only, "rank", 0) != 0:
            return super().experiment
        earlier = self.metrics_file.read_bytes() if self.metrics_file.is_file() else b""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Experiment logs directory")
            writer = super().experiment
        if earlier:
            self.metrics_file.write_bytes(earlier)
            writer.metrics_keys = next(csv.reader(earlier.decode().splitlines()))
        return writer


class FinishingWandbLogger(WandbLogger):
    """Ends its W&B run with its training, so that the next training in the same process gets a run of its own."""

    def finalize(self, status: str) -> None:
        """Called by Lightning when a fit ends, however it ends."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=0 if status == "success" else 1)
            self._experiment = None


def loggers(cfg: Config, folder: Path) -> list[Logger]:
    """The loggers of one run; nothing here asks a question or needs a network unless ``tracking.wandb=online``.

    Args:
        cfg: the configuration; ``cfg.tracking`` is read.
        folder: the run folder.
    """
    chosen: list[Logger] = [AppendingCSVLogger(folder)]
    mode = wandb_mode(cfg)
    if mode != "disabled":
        chosen.append(_wandb_logger(cfg, folder, mode))
    return chosen


def wandb_mode(cfg: Config) -> str:
    """``disabled``, ``offline`` or ``online``: what was asked for, lowered to what is possible here."""
    asked = cfg.tracking.wandb
    if asked == "disabled" or os.environ.get("WANDB_MODE") == "disabled":
        return "disabled"
    if importlib.util.find_spec("wandb") is None:
        log.info("wandb is not installed: metrics go to metrics.csv only")
        return "disabled"
    if asked == "online" and not _has_wandb_key():
        log.warning("tracking.wandb=online needs `wandb login` first: writing offline, `wandb sync` can send it later")
        return "offline"
    return asked


def _has_wandb_key() -> bool:
    """Looked up here because wandb itself would ask for one at the terminal."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _wandb_logger(cfg: Config, folder: Path, mode: str) -> WandbLogger:
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    return FinishingWandbLogger(
        name=folder.name,
        save_dir=folder,
        project=cfg.tracking.project,
        group=cfg.tracking.group,
        offline=mode == "offline",
        settings=wandb.Settings(silent=True, init_timeout=30, console="off", x_disable_stats=True, disable_git=True),
    )
