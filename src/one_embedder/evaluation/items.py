"""Scores of single test items, and the statistic that turns them into a task's main score."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from one_embedder.errors import DataError
from one_embedder.evaluation import weighted
from one_embedder.evaluation.weighted import Array
from one_embedder.files.documents import parse_json

Column = NDArray[np.float64]


STATISTICS: dict[str, tuple[Callable[..., Array], tuple[str, ...]]] = {
    "mean": (weighted.mean, ("value",)),
    "pearson": (weighted.pearson, ("predicted", "gold")),
    "spearman": (weighted.spearman, ("predicted", "gold")),
    "average_precision": (weighted.average_precision, ("predicted", "gold")),
    "v_measure": (weighted.v_measure, ("predicted", "gold")),
    "low_group_mean": (weighted.low_group_mean, ("value", "group")),
    "mean_of_groups": (weighted.mean_of_groups, ("value", "group")),
}
"""Name -> (function, columns it reads before the counts)."""


@dataclass(frozen=True, eq=False)
class ItemScores:
    """The items of one task in a form from which the main score can be recomputed on any resample.

    Attributes:
        statistic: a key of ``STATISTICS``.
        columns: name -> (N,) numbers; row i of each belongs to test item i, the unit of resampling: a query
            (retrieval, reranking), a text (classification), a text or, of several sets, a set (clustering), a pair
            (pair classification, STS), a document (summarization), an input (prompt retrieval), a judged text (text
            evaluation).
        ids: (N,) ``item_id`` of each item, by which two results show that they are of the same items in the same
            order; empty where a result was made before there were any.
    """

    statistic: str
    columns: dict[str, Column]
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.statistic not in STATISTICS:
            raise DataError(f"unknown statistic {self.statistic!r:.60}; known are {sorted(STATISTICS)}")
        expected = STATISTICS[self.statistic][1]
        if tuple(self.columns) != expected:
            raise DataError(f"statistic {self.statistic!r} needs the columns {expected}, got {tuple(self.columns)}")
        columns = {name: np.asarray(column, dtype=np.float64) for name, column in self.columns.items()}
        if len({column.shape for column in columns.values()}) != 1 or next(iter(columns.values())).ndim != 1:
            raise DataError(f"columns must be (N,) each, got { {name: c.shape for name, c in columns.items()} }")
        if len(next(iter(columns.values()))) == 0:
            raise DataError("there are no items; a score needs at least one")
        object.__setattr__(self, "columns", columns)
        if len(self.ids) not in (0, len(self)):
            raise DataError(f"there are {len(self)} items, but {len(self.ids)} ids")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def score(self) -> float:
        """The main score, 0-1; nan where the items leave it undefined, see ``resampled``."""
        return float(self.resampled(np.ones((1, len(self))))[0])

    def resampled(self, counts: Array) -> Array:
        """The main score of each of R resamples of the N items, (R,).

        Args:
            counts: (R, N), how often each item was drawn.

        Returns:
            Scores on the 0-1 scale; nan where a resample leaves one undefined (a constant column for a correlation,
            no positive pair for average precision), which a bootstrap has to skip.
        """
        return STATISTICS[self.statistic][0](*self.columns.values(), counts)

    def to_json(self) -> str:
        """One JSON object; numbers keep full precision."""
        columns = {name: column.tolist() for name, column in self.columns.items()}
        return json.dumps({"statistic": self.statistic, "columns": columns, "ids": self.ids}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> ItemScores:
        """Read what ``to_json`` wrote.

        Args:
            text: the JSON object.
            where: file name for the message.

        Raises:
            DataError: if ``text`` is not such an object.
        """
        try:
            content: Mapping[str, Any] = parse_json(text)
            columns = {name: _numbers(name, column) for name, column in content["columns"].items()}
            return cls(content["statistic"], columns, tuple(map(str, content.get("ids", ()))))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{where}: not an items file ({error}); remove it and evaluate again") from error
        except DataError as error:
            raise DataError(f"{where}: {error}; remove it and evaluate again") from error


def item_id(*parts: Any) -> str:
    """What tells a test item from others: a hash of its texts, labels or ids, sixteen hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def item_ids(*columns: Sequence[Any]) -> tuple[str, ...]:
    """The ``item_id`` of each row of these columns, each (N,)."""
    return tuple(item_id(*row) for row in zip(*columns, strict=True))


def _numbers(name: str, column: Sequence[Any]) -> Column:
    """JSON has texts and booleans, and Python reads its NaN: none of them is a number here."""
    for item, value in enumerate(column):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(f"column {name!r}, item {item + 1}: {value!r:.60} is not a finite number")
    return np.asarray(column, dtype=np.float64)
