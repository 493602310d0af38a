"""``python -m one_embedder.reproduce``: Everything up to the results table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_embedder.extras import run_with_settings

if TYPE_CHECKING:
    from one_embedder.config.schema import Config


def work(cfg: Config) -> int:
    """Import late, then run."""
    from one_embedder.files.location import need_checkout

    need_checkout("reproduce")
    if cfg.table.name == "views":
        from one_embedder.reproduction.views.run import reproduce_views

        return reproduce_views(cfg)
    from one_embedder.reproduction.table1.run import reproduce

    return reproduce(cfg)


def main() -> None:
    """Console script."""
    run_with_settings("reproduce", work, "reproduce")


if __name__ == "__main__":
    main()
