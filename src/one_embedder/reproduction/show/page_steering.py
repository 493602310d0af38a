"""The steering tables as parts of the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.show.page_model import Section, Table
from one_embedder.reproduction.table1.tables import format_difference
from one_embedder.reproduction.views.record import SETS, read_steering, recorded_files, steering_grid, trained

_NOTE = (
    "Every text of a set has several labelings, and the instruction says which one is meant. Right minus another "
    "labeling's instruction is the steering; docs/views.md tells how it is measured."
)


def steering_sections(places: Mapping[str, Path]) -> list[Section]:
    """A part for each table, the recorded ones first.

    Args:
        places: whose, in words -> the folder that holds ``views/``.

    Raises:
        DataError: a record cannot be read.
    """
    return [_section(path, whose) for whose, place in places.items() for path in recorded_files(place / "views")]


def _section(path: Path, whose: str) -> Section:
    record = read_steering(path)
    claims = [
        [claim["text"], format_difference(Interval(**claim["difference"])), f"{claim['p_adjusted']:.3f}", claim["told"]]
        for claim in record["claims"]
    ]
    title = f"One text, many purposes, profile {record['profile']}, {SETS[record['part']]}: {whose}"
    return Section(
        "result",
        f"views-{path.stem}-{whose.replace(' ', '-')}",
        title,
        paragraphs=[_NOTE, f"Sets: {', '.join(record['data']['views'])}. Points; {trained(record)}."],
        tables=[
            Table("Mean over the sets, points", steering_grid(record)),
            Table("What it was made to decide", Grid(["claim", "difference", "p (Holm)", "verdict"], claims)),
        ],
        facts={"commit": record["code"]["commit"], "hardware": f"{record['hardware']['cores']} cores"},
    )
