"""What the notebooks share: where they read, and what they say where there is nothing to read."""

from __future__ import annotations

import os
from pathlib import Path

from one_embedder.config.location import PROJECT_ROOT

EXPERIMENTS = "ONE_EMBEDDER_EXPERIMENTS"
DATA = "ONE_EMBEDDER_DATA"


def experiments_folder() -> Path:
    """The folder of records: ``$ONE_EMBEDDER_EXPERIMENTS``, or the project's own."""
    return Path(os.environ.get(EXPERIMENTS, PROJECT_ROOT / "experiments"))


def data_folder() -> Path:
    """The folder of built data: ``$ONE_EMBEDDER_DATA``, or the project's own."""
    return Path(os.environ.get(DATA, PROJECT_ROOT / "data"))


def no_results(place: Path, command: str) -> str:
    """One sentence, as Markdown, for a notebook that finds nothing."""
    return f"**No results yet**: there is nothing in `{place}`. Run `{command}`, then this notebook again."


def trained_encoder(experiments: Path) -> Path | None:
    """The checkpoint of a finetuning with instructions that is kept here, the first by name; None where there is none.

    Args:
        experiments: the folder of records.
    """
    folders = sorted((experiments / "runs").glob("with_instructions-*/checkpoint"))
    return next((folder for folder in folders if (folder / "modules.json").is_file()), None)
