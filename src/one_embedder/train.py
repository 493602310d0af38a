"""``python -m one_embedder.train``: MEDI -> a checkpoint and its run record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_embedder.extras import needing, run_with_settings

if TYPE_CHECKING:
    from one_embedder.config.schema import Config


def work(cfg: Config) -> None:
    """Import late, then run."""
    from hydra.core.hydra_config import HydraConfig

    from one_embedder.training.built_data import require_built_with
    from one_embedder.training.run import train

    if HydraConfig.initialized():  # else nothing was typed
        require_built_with(cfg, HydraConfig.get().overrides.task)
    dev = None
    if cfg.trainer.early_stopping.every_n_steps is not None:  # else nothing of mteb is loaded
        with needing("one-embedder[train,evaluate]"):
            from one_embedder.evaluation.dev import DevBenchmark

            dev = DevBenchmark(cfg)
    train(cfg, dev)


def main() -> None:
    """Console script."""
    run_with_settings("train", work, "train")


if __name__ == "__main__":
    main()
