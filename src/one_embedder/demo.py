"""``python -m one_embedder.demo``: ten sentences under two instructions and none, and their nearest neighbours."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import NoReturn

from one_embedder.config.quiet import quiet
from one_embedder.ending import told
from one_embedder.files.location import PROJECT_ROOT

_BACKBONE = "minilm"


def parser() -> ArgumentParser:
    """The command line."""
    made = ArgumentParser(
        prog="python -m one_embedder.demo",
        description="Show what an instruction changes: the same ten sentences under two of them, and under none.",
        allow_abbrev=False,
    )
    made.add_argument(
        "model", nargs="?", help="a folder or hub id [INSTRUCTOR of your Table 1 if it is here, or minilm]"
    )
    return made


def work(options: Namespace) -> None:
    """Import late, embed, print."""
    quiet()
    from one_embedder.embedding.demonstration import nearest, report
    from one_embedder.embedding.embedder import InstructionEmbedder

    model, what = (options.model, options.model) if options.model else _default()
    neighbours = nearest(InstructionEmbedder(model))
    sys.stdout.write(f"Model: {what}\n\n{report(neighbours)}\n")


def _default() -> tuple[str, str]:
    """The checkpoint of the default run if it was trained here, else its backbone; and which of them it is."""
    if (PROJECT_ROOT / "experiments" / "runs").is_dir():  # else nothing was trained, nor need its packages be here
        from one_embedder.results import trained_encoder

        if (trained := trained_encoder()) is not None:
            return str(trained), f"{trained}, INSTRUCTOR of Table 1, trained here"
    return _BACKBONE, f"{_BACKBONE}, which has not learned to read instructions; make reproduce-table1 teaches it"


def main() -> NoReturn:
    """Console script."""
    options = parser().parse_args()
    sys.exit(told(lambda: work(options)))


if __name__ == "__main__":
    main()
