"""The development benchmark as one number, for training to choose by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from one_embedder.config.schema import BenchmarkConfig, Config
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import DataError
from one_embedder.evaluation.benchmarks import overall_mean
from one_embedder.evaluation.plan import for_evaluation
from one_embedder.evaluation.run import evaluate, identity_of_tasks


class DevBenchmark:
    """Scores an encoder in training on ``trainer.early_stopping.root``, with the instructions it is trained for.

    Attributes:
        identity: hash of all that a score depends on beside the encoder: tasks, instructions, settings, versions.
    """

    def __init__(self, cfg: Config) -> None:
        """Look at the tasks.

        Raises:
            DataError: there is no benchmark.
            ConfigError: the instruction table does not fit its tasks, or a task name is unknown.
        """
        chosen = cfg.trainer.early_stopping
        root = chosen.root or str(Path(cfg.medi.folder) / "benchmark" / "dev")
        self._cfg = replace(
            for_evaluation(cfg),
            benchmark=BenchmarkConfig(root=root, tasks=chosen.tasks, split="dev", protocol=cfg.benchmark.protocol),
            evaluation=replace(cfg.evaluation, dtype="float32"),  # casting would change the weights that learn
            tracking=replace(cfg.tracking, wandb="disabled"),  # the training has a W&B run, to which the score goes
        )
        try:
            self.identity = identity_of_tasks(self._cfg)
        except DataError as error:
            raise DataError(f"trainer.early_stopping.root: {error}") from error

    def __call__(self, encoder: InstructionEncoder, output: Path) -> float:
        """The mean of the category means, 0-1; each task's result goes below ``output``.

        The encoder is left in evaluation mode. Random generators are used and not put back.
        """
        threads = torch.get_num_threads()  # scoring changes them, and with them the last bits of a sum
        try:
            embedder = InstructionEmbedder(encoder, device=encoder.device)
            return overall_mean(evaluate(replace(self._cfg, output=str(output)), embedder))
        finally:
            torch.set_num_threads(threads)


def dev_benchmark(cfg: Config) -> DevBenchmark | None:
    """What ``train`` is to watch; None where ``trainer.early_stopping`` is off. Raises as ``DevBenchmark``."""
    return DevBenchmark(cfg) if cfg.trainer.early_stopping.every_n_steps is not None else None
