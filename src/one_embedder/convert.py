"""``python -m one_embedder.convert``: a model folder -> one that is right in plain sentence-transformers, too."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NoReturn

from one_embedder.config.caches import settle_caches
from one_embedder.config.quiet import quiet
from one_embedder.ending import told
from one_embedder.errors import ConfigError


def parser() -> ArgumentParser:
    """The command line."""
    made = ArgumentParser(
        prog="python -m one_embedder.convert",
        description="Write a model's folder anew, so that SentenceTransformer(OUT).encode(..., prompt=...) leaves the "
        "prompt out of the mean, as INSTRUCTOR does; a folder in the released format does not say so.",
        allow_abbrev=False,
    )
    made.add_argument("model", help="a local folder or a hub id")
    made.add_argument("output", type=Path, help="a new or empty folder")
    made.add_argument(
        "--joining", default="pypi", choices=("pypi", "head"), help="of instruction and text [%(default)s]"
    )
    return made


def work(options: Namespace) -> None:
    """Import late, load, save."""
    quiet()
    settle_caches()
    from one_embedder.embedding.prompts import read_prompts
    from one_embedder.encoder.checkpoint import load_encoder, save_encoder
    from one_embedder.encoder.locate import locate

    folder = locate(options.model)
    if options.output.exists() and options.output.samefile(folder):
        raise ConfigError(f"{options.output} is the model itself; name another folder")
    if options.output.is_dir() and any(options.output.iterdir()):  # a model's folder would be replaced, and all in it
        raise ConfigError(f"{options.output} is not empty; name a new folder, or empty this one")
    prompts, default = read_prompts(folder)
    save_encoder(load_encoder(folder, joining=options.joining), options.output, prompts, default)
    sys.stdout.write(f"{options.output}: for SentenceTransformer({str(options.output)!r}) and INSTRUCTOR alike\n")


def main() -> NoReturn:
    """Console script."""
    options = parser().parse_args()
    sys.exit(told(lambda: work(options)))


if __name__ == "__main__":
    main()
