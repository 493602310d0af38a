"""``python -m one_embedder.push``: a run's checkpoint -> a model on the Hugging Face hub, after a question."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NoReturn

from one_embedder.config.caches import settle_caches
from one_embedder.config.quiet import quiet
from one_embedder.ending import told
from one_embedder.errors import OneEmbedderError
from one_embedder.extras import needing


def parser() -> ArgumentParser:
    """The command line."""
    made = ArgumentParser(
        prog="python -m one_embedder.push",
        description="Upload a run's checkpoint to the Hugging Face hub, with a model card written from its record.",
        allow_abbrev=False,
    )
    made.add_argument("run", type=Path, help="a run folder: manifest.yaml, config.yaml and checkpoint/")
    made.add_argument("hub_id", help="owner/name on the hub; made if it is not there")
    made.add_argument("--results", type=Path, metavar="FOLDER", help="an evaluation whose scores the card shows")
    made.add_argument("--public", action="store_true", help="a new repository can be seen by all [private]")
    made.add_argument("--yes", action="store_true", help="do not ask")
    return made


def work(options: Namespace) -> None:
    """Import late, show what would be sent, ask, send."""
    quiet()
    settle_caches()
    with needing("one-embedder[train]"):
        from one_embedder.evaluation.benchmarks import scores_of
        from one_embedder.evaluation.completed import completed_results
        from one_embedder.training.upload import plan, publish

    scores = scores_of(completed_results(options.results)) if options.results else []
    upload = plan(options.run, options.hub_id, scores=scores, public=options.public)
    sys.stdout.write(f"{upload}\n")
    if not options.yes and _answer() != options.hub_id:
        raise OneEmbedderError("nothing was uploaded: the hub id was not confirmed")
    sys.stdout.write(f"{publish(upload)}\n")


def _answer() -> str:
    try:
        return input("Upload? Type the hub id to go on: ").strip()
    except EOFError as error:
        told = "nothing was uploaded: there is no terminal to confirm it at; --yes sends without a question"
        raise OneEmbedderError(told) from error


def main() -> NoReturn:
    """Console script."""
    options = parser().parse_args()
    sys.exit(told(lambda: work(options)))


if __name__ == "__main__":
    main()
