"""What the notebooks share: where they read, and what they say where there is nothing to read."""

from __future__ import annotations

import os
from pathlib import Path

from one_embedder.files.location import PROJECT_ROOT
from one_embedder.reproduction.statistics.layout import INSTRUCTOR
from one_embedder.reproduction.table1.record import read_table1

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


def trained_encoder(experiments: Path, profile: str) -> Path | None:
    """The checkpoint of INSTRUCTOR in Table 1, of the first seed that is kept here; None where there is none.

    Args:
        experiments: the folder of records.
        profile: of the table.
    """
    table = experiments / "table1" / f"{profile}.json"
    if not table.is_file():
        return None
    rows = read_table1(table)["rows"]
    runs = [Path(folder).parent.name for row in rows if row["id"] == INSTRUCTOR.id for folder in row["results"]]
    checkpoints = (experiments / "runs" / run / "checkpoint" for run in runs)
    return next((folder for folder in checkpoints if (folder / "modules.json").is_file()), None)
