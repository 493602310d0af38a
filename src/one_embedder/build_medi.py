"""``python -m one_embedder.build_medi``: Raw sources -> MEDI on disk."""

from __future__ import annotations

from one_embedder.config.entry import run_verb
from one_embedder.config.schema import Config


def work(cfg: Config) -> None:
    """Import late, then run."""
    from one_embedder.medi.build import build

    build(cfg)


def main() -> None:
    """Console script."""
    run_verb("build_medi", work)


if __name__ == "__main__":
    main()
