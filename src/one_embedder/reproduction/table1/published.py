"""The numbers the paper prints, with their source. Averages are computed here, never typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.files.documents import read_yaml
from one_embedder.reproduction.statistics.consistency import points
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS
from one_embedder.reproduction.statistics.rows import relative_gain

ROUNDING = 0.1
"""Points by which a mean of nine rounded numbers may differ from the printed, itself rounded, average."""


@dataclass(frozen=True)
class PublishedRow:
    """A model's row in the paper's table.

    Attributes:
        model: name in the paper.
        parameters: size as printed ("335M").
        scores: category -> points (0-100).
        backbone: the model it was finetuned from, when that is a row too.
    """

    model: str
    parameters: str
    scores: Mapping[str, float]
    backbone: str | None = None

    @property
    def average(self) -> float:
        """Mean of the nine categories, points."""
        return sum(self.scores[column] for column in COLUMNS) / len(COLUMNS)


@dataclass(frozen=True)
class PublishedTable:
    """The paper's headline table.

    Attributes:
        source: work and place, for a caption.
        task_counts: category -> number of tasks behind it.
        rows: in the paper's order.
    """

    source: str
    task_counts: Mapping[str, int]
    rows: tuple[PublishedRow, ...]

    def row(self, model: str) -> PublishedRow:
        """The row of ``model``; KeyError when the paper's table has none."""
        for row in self.rows:
            if row.model == model:
                return row
        raise KeyError(model)

    def relative_gains(self, model: str) -> dict[str, float]:
        """Percent by which ``model`` beats its backbone, per category and for the average, as the paper computes it."""
        row = self.row(model)
        if row.backbone is None:
            raise KeyError(f"{model} has no backbone in the published table")
        base = self.row(row.backbone)
        return relative_gain({**row.scores, AVERAGE: row.average}, {**base.scores, AVERAGE: base.average})


def load_published(path: Path) -> PublishedTable:
    """Read a published table and check it against itself.

    Raises:
        DataError: if a column is missing or unknown, a number is none, or a printed average is not the mean of its
            columns.
    """
    try:
        content = read_yaml(path)
        rows = tuple(_read_row(entry, path) for entry in content["rows"])
        source = f"{content['source']['work']}, {content['source']['place']}"
        return PublishedTable(source, dict(content["tasks"]), rows)
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: not a published table ({error!r}); restore it with `git checkout {path}`") from error


def _read_row(entry: Mapping[str, Any], path: Path) -> PublishedRow:
    where = f"{path}, row {entry['model']}"
    scores = {column: points(value, f"{where}, {column}") for column, value in entry["scores"].items()}
    if set(scores) != set(COLUMNS):
        wrong = ", ".join(sorted(set(scores) ^ set(COLUMNS)))
        raise DataError(f"{path}: row {entry['model']}: missing or unknown columns: {wrong}")
    row = PublishedRow(str(entry["model"]), str(entry["parameters"]), scores, entry.get("backbone"))
    printed = points(entry["published_average"], f"{where}, published_average")
    if abs(row.average - printed) > ROUNDING:
        raise DataError(
            f"{path}: row {row.model}: the nine columns average {row.average:.2f}, the paper prints {printed}; "
            "one of the numbers was copied wrongly"
        )
    return row
