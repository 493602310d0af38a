"""What a finished fit has to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from one_embedder.config.schema import Config
from one_embedder.files.location import inside_project
from one_embedder.training.callbacks import CutTexts, Speed
from one_embedder.training.early_stopping import EarlyStopping

CHECKPOINT = "checkpoint"
BEST = "best"


@dataclass(frozen=True)
class Trained:
    """What a fit leaves beside the encoder.

    Attributes:
        trainer: after its fit.
        speed: what it measured.
        watch: what it saw; None without early stopping.
        cuts: what it counted.
        sharded: name -> weight of the module whose encoder holds shards only; None where that one is whole.
        before: the metrics that were logged when the run was saved that this one goes on with.
    """

    trainer: Trainer
    speed: Speed
    watch: EarlyStopping | None
    cuts: CutTexts
    sharded: Mapping[str, Tensor] | None
    before: Mapping[str, float]

    def checkpoints(self) -> list[tuple[str, int]]:
        """Folder and steps of each saved encoder."""
        best = [(BEST, self.watch.best_step)] if self.watch is not None else []
        return [(CHECKPOINT, self.trainer.global_step), *best]

    def metrics(self) -> dict[str, float]:
        """The last logged ones, and the best dev score."""
        logged = self.trainer.logged_metrics or self.before  # killed after its last step, it logs nothing more
        metrics = {name: float(value) for name, value in logged.items()}
        if self.watch is not None and self.watch.best_score is not None:
            metrics |= {"best_dev_score": self.watch.best_score, "best_step": self.watch.best_step}
        return metrics

    def sentence(self, cfg: Config, folder: Path) -> str:
        """What was reached, where it is, and what to type next."""
        benchmark = Path(cfg.medi.folder) / "benchmark" / "test"
        tasks = inside_project(benchmark) if benchmark.is_dir() else "FOLDER"
        place = inside_project(folder / CHECKPOINT)
        loss = self.metrics().get("loss")
        told = "" if loss is None else f", loss {loss:.3f}"
        return (
            f"{self.trainer.global_step} steps{told}: {place}\nits scores beside those it had before: one-embedder "
            f"compare {cfg.encoder.name_or_path} {place} --task {tasks}"
        )

    def cost(self) -> dict[str, Any]:
        """Steps, texts, speed and memory."""
        cost: dict[str, Any] = {
            "steps": self.trainer.global_step,
            "tokens_per_s": round(self.speed.tokens_per_s, 1),
            "texts": self.cuts.truncation.texts,
            "texts_cut": self.cuts.truncation.cut,
            "texts_lost": self.cuts.truncation.lost,
        }
        if self.watch is not None:
            cost["dev_evaluation_s"] = round(self.watch.seconds, 2)
        if torch.cuda.is_available():
            cost["peak_gpu_gib"] = round(torch.cuda.max_memory_allocated() / 1024**3, 3)
        return cost
