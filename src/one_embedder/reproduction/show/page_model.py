"""What a report page is made of, before it is written as HTML: sections of tables, figures and facts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from one_embedder.reproduction.show.grid import Grid

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(?= |$)")
_NONE = ("", "-")


class Link(NamedTuple):
    """A text and where it leads, from the page's folder; None: nowhere."""

    text: str
    target: str | None = None


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by any of its columns.

    Attributes:
        caption: above it.
        grid: its headers and cells; what follows a number in brackets is shown below it.
        links: the runs behind each row, a last column; none: there is no such column.
        folded: whether a reader has to open it.
    """

    caption: str
    grid: Grid
    links: Sequence[Sequence[Link]] = ()
    folded: bool = False

    def is_number(self, column: int) -> bool:
        """Whether the column's cells begin with a number, where there is one."""
        cells = [row[column] for row in self.grid.rows]
        return any(cell not in _NONE for cell in cells) and all(cell in _NONE or _NUMBER.match(cell) for cell in cells)

    @staticmethod
    def sorted_by(cell: str) -> float:
        """The number that a cell begins with; below all others where there is none."""
        number = _NUMBER.match(cell)
        return float(number[0]) if number else float("-inf")


@dataclass(frozen=True)
class Drawing:
    """A figure as an ``<svg>`` element."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        kind: ``answer``, ``basis``, ``result``, ``detail``, ``paper`` or ``todo``, which look different; details are
            folded.
        id: its anchor.
        title: of the part.
        summary: beside the title of a detail: what a reader needs to know before opening it.
        paragraphs: what stands before the rest.
        missing: what was not run and how to run it, one sentence each.
        drawings: figures.
        tables: below the figures.
        facts: where the numbers come from.
    """

    kind: str
    id: str
    title: str
    summary: str = ""
    paragraphs: Sequence[str] = ()
    missing: Sequence[str] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
