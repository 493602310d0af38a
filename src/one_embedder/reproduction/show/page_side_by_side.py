"""From the records of evaluations side by side to sections of the report page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.compare.side_by_side_record import ABOVE_FIRST, above_first, read_side_by_side
from one_embedder.reproduction.show.page_model import (
    ALL_COLUMNS,
    ALL_HEADERS,
    Cell,
    Section,
    Table,
    bounds_cell,
    difference_cell,
)


def side_by_side_section(path: Path) -> Section:
    """Evaluations of a folder benchmark that were recorded side by side.

    Raises:
        DataError: the record cannot be read.
    """
    record = read_side_by_side(path)
    try:
        rows = record["rows"]
        scores = [_row(row, "scores", bounds_cell) for row in rows]
        differences = [
            [*_row(row, "minus_first", difference_cell), *(Cell(text) for text in above_first(row)[1:])]
            for row in rows[1:]
        ]
        columns = ["evaluation", *ALL_HEADERS]
        told = f"Difference from {rows[0]['label']}, points"
        return Section(
            f"folder-{path.stem}",
            f"Side by side: {path.stem.replace('_', ' ')}",
            ["Tasks: " + ", ".join(f"{count} {category}" for category, count in record["tasks"].items()) + "."]
            + ([ABOVE_FIRST] if differences else []),
            tables=[
                Table("Points, with intervals over test items", columns, scores),
                *([Table(told, [*columns, "p (Holm)", "above it"], differences)] if differences else []),
            ],
            facts={
                **{row["label"]: "; ".join(map(_evaluation_facts, row["evaluations"])) for row in rows},
                "data, sha256": ", ".join(map(_data_fact, rows[0]["evaluations"][0]["data"])),
            },
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{path}: not a record of evaluations side by side ({error!r}); make it again") from error


def _row(row: Mapping[str, Any], key: str, cell: Callable[[Interval | None], Cell]) -> list[Cell]:
    bounds = {column: Interval(**content) for column, content in row[key].items()}
    return [Cell(row["label"]), *(cell(bounds.get(column)) for column in ALL_COLUMNS)]


def _data_fact(data: Mapping[str, Any]) -> str:
    """A task folder by its hash; a data set of the hub by its revision."""
    return f"{data['name']} {str(data.get('sha256') or data.get('revision'))[:12]}"


def _evaluation_facts(evaluation: Mapping[str, Any]) -> str:
    machine, minutes = evaluation["hardware"], evaluation["cost"]["wall_s"] / 60
    return (
        f"{evaluation['model']['base']}, instructions {evaluation['instructions']}, run {evaluation['run_id']}, commit "
        f"{str(evaluation['code']['commit'])[:8]}, {machine['cores']} cores ({machine['cpu']}), {minutes:.0f} minutes"
    )
