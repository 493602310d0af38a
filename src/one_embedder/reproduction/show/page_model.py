"""What a report page is made of, before it is written as HTML: sections of tables, figures and facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMN_HEADERS, COLUMNS

ALL_COLUMNS = (*COLUMNS, AVERAGE)
ALL_HEADERS = (*(COLUMN_HEADERS[column] for column in COLUMNS), AVERAGE)


class Link(NamedTuple):
    """A text and where it leads, from the page's folder; None: nowhere."""

    text: str
    target: str | None = None


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: as shown.
        sort: what it is sorted by; None: its text.
        links: shown instead of the text.
        interval: below the text.
    """

    text: str
    sort: float | None = None
    links: Sequence[Link] = ()
    interval: str = ""


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by any of its columns."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Drawing:
    """A figure as an ``<svg>`` element."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        id: its anchor.
        title: of the part.
        paragraphs: what stands before the rest.
        missing: what was not run and how to run it, one sentence each.
        drawings: figures.
        tables: below the figures.
        facts: where the numbers come from.
    """

    id: str
    title: str
    paragraphs: Sequence[str] = ()
    missing: Sequence[str] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def score_cell(score: float | None, bounds: Interval | None = None) -> Cell:
    """A 0-1 score as points, with the interval below it; a dash where there is none."""
    if score is None:
        return Cell("-", float("-inf"))
    interval = "" if bounds is None else f"[{100 * bounds.low:.1f}, {100 * bounds.high:.1f}]"
    return Cell(f"{100 * score:.1f}", score, interval=interval)


def bounds_cell(bounds: Interval | None) -> Cell:
    """A 0-1 score that is known with its interval."""
    return score_cell(None if bounds is None else bounds.estimate, bounds)


def difference_cell(bounds: Interval | None) -> Cell:
    """A 0-1 difference as points with its interval."""
    if bounds is None:
        return Cell("-", float("-inf"))
    interval = f"[{100 * bounds.low:+.1f}, {100 * bounds.high:+.1f}]"
    return Cell(f"{100 * bounds.estimate:+.1f}", bounds.estimate, interval=interval)


def number_cell(value: float | None, spec: str = ".3g") -> Cell:
    """Any other number."""
    return Cell("-", float("-inf")) if value is None else Cell(format(value, spec), float(value))
