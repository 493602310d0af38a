"""``python -m one_embedder.build_medi``: Raw sources -> MEDI on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_embedder.extras import run_with_settings

if TYPE_CHECKING:
    from one_embedder.config.schema import Config


def work(cfg: Config) -> None:
    """Import late, then run."""
    from one_embedder.medi.build import build

    build(cfg)


def main() -> None:
    """Console script."""
    run_with_settings("build_medi", work, "train")


if __name__ == "__main__":
    main()
