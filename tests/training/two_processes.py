"""A script, not a test: one training run on two CPU processes. Each writes what it read and what it ended with.

Lightning starts the second process by running the same command again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer

from one_embedder.encoder.checkpoint import weights_sha256
from one_embedder.training import run as run_module
from one_embedder.training.trainer import build_trainer
from tests.training.tiny import tiny_config


class Witness(Callback):
    """Writes ``rank<n>.json`` at the end of training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.batches: list[dict[str, Any]] = []

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append({"task": batch.task_id, "queries": batch.query.input_ids.tolist()})

    def on_train_end(self, trainer: Trainer, module: Any) -> None:
        facts = {"batches": self.batches, "weights": weights_sha256(module.encoder)}
        (self.folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(facts))


def main(folder: Path, encoder: Path) -> None:
    def build(cfg: Any, place: Path, *, precision: str, callbacks: Any) -> Trainer:
        return build_trainer(cfg, place, precision=precision, callbacks=[Witness(folder), *callbacks])

    run_module.build_trainer = build
    run_module.train(tiny_config(folder, encoder, devices=2, strategy="ddp", max_steps=8))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
