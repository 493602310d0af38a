"""A script, not a test: one training run on two CPU processes. Each writes what it read and what it ended with.

Lightning starts the second process by running the same command again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from pytorch_lightning import Callback, Trainer

from one_embedder.config.schema import Config
from one_embedder.encoder.checkpoint import weights_sha256
from one_embedder.training import run as run_module
from one_embedder.training.trainer import build_trainer, is_main_process
from tests.training.sharded_on_cpu import shard_on_cpu
from tests.training.tiny import tiny_config

STEPS = 8


class Witness(Callback):
    """Writes ``rank<n>.json`` at the end of training; if told to, ends the process after a step or asks it to end."""

    def __init__(self, folder: Path, dies_at: int | None, *, is_asked: bool) -> None:
        self.folder, self.dies_at, self.is_asked = folder, dies_at, is_asked
        self.batches: list[dict[str, Any]] = []

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append({"task": batch.task_id, "queries": batch.query.input_ids.tolist()})
        if trainer.global_step == self.dies_at and not self.is_asked:
            raise SystemExit(9)
        if trainer.global_step == self.dies_at and trainer.is_global_zero:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_end(self, trainer: Trainer, module: Any) -> None:
        facts = {"batches": self.batches, "weights": weights_sha256(module.encoder)}
        (self.folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(facts))


class Growing:
    """A dev score that grows with each step; writes down who asked for it."""

    identity = "growing"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, encoder: Any, output: Path) -> float:
        with (self.folder / "scored.txt").open("a") as file:
            file.write(f"{output.name} {is_main_process()}\n")
        return float(output.name.removeprefix("step-"))


def exact(folder: Path, encoder: Path, **trainer: object) -> Config:
    """Settings with which any number of processes learn the same: no dropout, and negatives of all processes.

    What is saved is mixed with the backbone, which only the main process can do, from whole weights.
    """
    cfg = tiny_config(folder, encoder, max_steps=STEPS, **trainer)
    cfg.optimizer.dropout = False
    cfg.trainer.backbone_share = 0.25
    cfg.loss.gather_negatives = True
    return cfg


def die(*arguments: object) -> NoReturn:
    """In the place of the model's export."""
    raise SystemExit(9)


def main(folder: Path, encoder: Path, kind: str, dies_at: int | None) -> None:
    """Run one kind: ``plain`` (DDP with dropout), ``ddp`` (as in ``exact``, watched) or ``fsdp`` (as in ``exact``).

    ``fsdp_at_end`` is ``fsdp`` that dies after its last step and checkpoint, before the model is saved, if it dies.
    ``asked`` is ``plain`` whose main process gets SIGTERM at the step at which the others die.
    """

    witness = Witness(folder, dies_at, is_asked=kind == "asked")

    def build(cfg: Any, place: Path, *, callbacks: Any) -> Trainer:
        return build_trainer(cfg, place, callbacks=[witness, *callbacks])

    run_module.build_trainer = build
    if kind in ("plain", "asked"):
        run_module.train(tiny_config(folder, encoder, devices=2, strategy="ddp", max_steps=STEPS))
        return
    cfg = exact(folder, encoder, devices=2, strategy=kind.removesuffix("_at_end"))
    if kind == "ddp":
        cfg.trainer.early_stopping.every_n_steps = 4
    else:
        cfg.trainer.gradient_checkpointing = True
        shard_on_cpu()
    if kind == "fsdp_at_end":
        cfg.trainer.checkpoint_every_n_steps = STEPS // 2
        if dies_at is not None:
            run_module.exported = die
    run_module.train(cfg, Growing(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else None)
