"""What the notebooks share: where they read, and what they say where there is nothing to read."""

from __future__ import annotations

import os
from pathlib import Path

from one_embedder.files.location import PROJECT_ROOT
from one_embedder.reproduction.statistics.layout import INSTRUCTOR
from one_embedder.reproduction.steps.places import table_places
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


def table1_records(experiments: Path, profile: str) -> dict[str, Path]:
    """Whose table, in words -> its record, of those that are there; the recorded one first."""
    places = table_places(experiments).items()
    paths = {whose: folder / "table1" / f"{profile}.json" for whose, folder in places}
    return {whose: path for whose, path in paths.items() if path.is_file()}


def trained_encoder(experiments: Path, profile: str) -> Path | None:
    """The checkpoint of INSTRUCTOR in Table 1, of the first seed that is kept here; None where there is none.

    Args:
        experiments: the folder of records.
        profile: of the table; one's own comes before the recorded one, whose checkpoints may not be here.
    """
    tables = [read_table1(path) for path in reversed(table1_records(experiments, profile).values())]
    rows = [row for table in tables for row in table["rows"] if row["id"] == INSTRUCTOR.id]
    runs = [Path(folder).parent.name for row in rows for folder in row["results"]]
    checkpoints = (experiments / "runs" / run / "checkpoint" for run in runs)
    return next((folder for folder in checkpoints if (folder / "modules.json").is_file()), None)
