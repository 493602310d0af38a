"""A training of many steps and epochs takes no more memory and no more open files than a short one."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Callback, Trainer

from one_embedder.config.schema import Config
from one_embedder.tracking.manifest import METRICS
from one_embedder.training import run as run_module
from one_embedder.training.curves import TASK_LOSSES
from one_embedder.training.run import train
from one_embedder.training.trainer import build_trainer
from tests.training.tiny import tiny_config

STEPS, LOOKS = 2000, 500
BYTES_A_STEP = 1000
"""That memory may grow by: a run of a hundred thousand steps would need 0.1 GB more."""


class Watch(Callback):
    """Memory and open files now and then."""

    def __init__(self) -> None:
        self.memory: list[int] = []
        self.files: list[int] = []

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step % LOOKS == 0:
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.memory.append(pages * os.sysconf("SC_PAGESIZE"))
            self.files.append(len(list(Path("/proc/self/fd").iterdir())))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_thousands_of_steps_and_hundreds_of_epochs_leave_memory_files_and_logs_bounded(
    workplace: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()

    def build(cfg: Config, folder: Path, *, callbacks: Any) -> Trainer:
        return build_trainer(cfg, folder, callbacks=[watch, *callbacks])

    monkeypatch.setattr(run_module, "build_trainer", build)
    cfg = tiny_config(workplace, encoder_folder, max_steps=STEPS, log_every_n_steps=10, checkpoint_every_n_steps=500)
    folder = train(cfg)
    assert len(watch.memory) == STEPS // LOOKS
    assert len(set(watch.files)) == 1, "open files"
    assert watch.memory[-1] - watch.memory[0] < BYTES_A_STEP * (STEPS - LOOKS), "bytes of memory"
    rows = (folder / METRICS).read_text().splitlines()
    assert len(rows) == 1 + STEPS // 10 and max(map(len, rows)) < 300
    assert len((folder / TASK_LOSSES).read_text().splitlines()) == 3, "a row a task"
    assert {path.name for path in folder.iterdir() if path.suffix == ".ckpt"} == set()
