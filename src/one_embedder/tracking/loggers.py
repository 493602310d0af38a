"""Metric loggers for Lightning: CSV always, Weights & Biases where it is installed and wanted."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from one_embedder.config.schema import Config
from one_embedder.files.disk import writing
from one_embedder.tracking.manifest import METRICS
from one_embedder.tracking.sending import SENDERS
from one_embedder.tracking.wandb_run import init_arguments, kept_id, open_run, tolerated, wandb_mode

_STEP = "trainer/global_step"


class AppendingCSVLogger(CSVLogger):
    """Writes ``<folder>/metrics.csv`` and keeps the rows of an interrupted run when it is resumed.

    A resumed run repeats the steps after its last checkpoint: readers keep the last row of a step.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(save_dir=folder, name="", version="", flush_logs_every_n_steps=1)  # a kill loses no row
        self.metrics_file = folder / METRICS

    @property
    def experiment(self) -> Any:
        """Lightning's writer; opening it deletes older metrics, so they stand aside meanwhile."""
        if self._experiment is not None or getattr(rank_zero_only, "rank", 0) != 0:
            return super().experiment
        # Still there if an earlier try was killed right here.
        aside = self.metrics_file.with_name(f".{METRICS}.earlier")
        if self.metrics_file.is_file():
            self.metrics_file.replace(aside)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Experiment logs directory")
            writer = super().experiment
        if aside.is_file():
            writer.metrics_keys = next(csv.reader(aside.read_text().splitlines()), [])
            aside.replace(self.metrics_file)
        return writer

    def save(self) -> None:
        """Write what is logged, and name the file if that fails."""
        with writing(self.metrics_file):
            super().save()


class FinishingWandbLogger(WandbLogger):
    """Ends its W&B run with its training, so that the next training in the same process gets a run of its own."""

    def __init__(self, mode: str, **arguments: Any) -> None:
        """Set what the run will be; it is opened by the first metric.

        Args:
            mode: "offline" or "online".
            arguments: of ``wandb.init``.
        """
        super().__init__(save_dir=arguments["dir"], **arguments)
        self.mode, self.arguments = mode, arguments
        self._failed = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run; opened by us, because Lightning would end the training where W&B does not work."""
        if self._experiment is None:
            self._experiment = open_run(self.arguments, self.mode)
            self._experiment.define_metric(_STEP)
            self._experiment.define_metric("*", step_metric=_STEP, step_sync=True)
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """As Lightning's, but a W&B that fails ends no training."""
        self._try("metrics", lambda: super(FinishingWandbLogger, self).log_metrics(metrics, step))
        SENDERS.look()

    @rank_zero_only
    def log_table(self, *arguments: Any, **named: Any) -> None:
        """As Lightning's, but a W&B that fails ends no training."""
        self._try("a table", lambda: super(FinishingWandbLogger, self).log_table(*arguments, **named))

    @rank_zero_only
    def log_histograms(self, values: Mapping[str, Tensor], step: int) -> None:
        """How the numbers of each tensor are spread, beside the metrics of a step."""
        import wandb

        self.log_metrics({name: wandb.Histogram(numbers.tolist()) for name, numbers in values.items()}, step)

    def finalize(self, status: str) -> None:
        """Called by Lightning when a fit ends, however it ends."""
        run, self._experiment = self._experiment, None
        if run is not None:
            self._try("the end of the run", lambda: run.finish(exit_code=0 if status == "success" else 1))

    def _try(self, what: str, call: Callable[[], None]) -> None:
        """One warning at the first thing that fails; nothing is tried after it."""
        if self._failed:
            return
        failed = True
        with tolerated(what):
            call()
            failed = False
        self._failed = self._failed or failed


def loggers(cfg: Config, folder: Path) -> list[Logger]:
    """The loggers of one run; nothing here asks a question or needs a network unless ``tracking.wandb=online``.

    Args:
        cfg: the configuration; ``cfg.tracking`` is read.
        folder: the run folder.
    """
    chosen: list[Logger] = [AppendingCSVLogger(folder)]
    mode = wandb_mode(cfg)
    if mode != "disabled":
        is_main = getattr(rank_zero_only, "rank", 0) == 0  # the others' loggers do nothing, and must not draw an id
        identity = kept_id(folder) if is_main else None
        arguments = init_arguments(cfg, folder, "train", name=folder.name, id=identity)
        chosen.append(FinishingWandbLogger(mode, **arguments))
    return chosen
