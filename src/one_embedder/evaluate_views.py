"""``python -m one_embedder.evaluate_views``: A model -> how far instructions steer it, one result file per view set."""

from __future__ import annotations

from one_embedder.config.entry import run_verb
from one_embedder.config.relations import require_instructions, require_right_instructions
from one_embedder.config.schema import Config


def work(cfg: Config) -> None:
    """Import late, then run."""
    from one_embedder.evaluation.views.run import evaluate_views

    require_instructions(cfg)
    require_right_instructions(cfg)
    evaluate_views(cfg)


def main() -> None:
    """Console script."""
    run_verb("evaluate_views", work)


if __name__ == "__main__":
    main()
