"""``python -m one_embedder.evaluate``: A checkpoint -> one result file per task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_embedder.extras import run_with_settings

if TYPE_CHECKING:
    from one_embedder.config.schema import Config


def work(cfg: Config) -> None:
    """Import late, then run."""
    from one_embedder.config.relations import require_any_instructions
    from one_embedder.evaluation.plan import for_evaluation
    from one_embedder.evaluation.run import evaluate

    require_any_instructions(cfg)
    evaluate(for_evaluation(cfg))


def main() -> None:
    """Console script."""
    run_with_settings("evaluate", work, "evaluate")


if __name__ == "__main__":
    main()
