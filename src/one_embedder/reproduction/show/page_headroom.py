"""Headroom of an ablation on the report page: its figure and its table."""

from __future__ import annotations

from one_embedder.reproduction.ablation.headroom import headroom
from one_embedder.reproduction.ablation.headroom_tables import HEADERS, LEGEND, shown
from one_embedder.reproduction.ablation.record import AblationRecord
from one_embedder.reproduction.show.figures import headroom_figure
from one_embedder.reproduction.show.page_model import Cell, Drawing, Table
from one_embedder.reproduction.show.svg import inline_svg

_WORDS = {HEADERS.index(name) for name in ("task", "best specialist", "own specialist", "harmed by")}


def headroom_drawings(record: AblationRecord) -> list[Drawing]:
    """One figure; none where there is no headroom to show."""
    if not headroom(record):
        return []
    caption = f"{record.name}: every task's models for everything, and its best specialist"
    return [Drawing(inline_svg(headroom_figure(record), caption), caption)]


def headroom_tables(record: AblationRecord) -> list[Table]:
    """One table; none where there is no headroom to show."""
    rows = [[_cell(place, text) for place, text in enumerate(shown(record, row))] for row in headroom(record)]
    return [Table(f"Headroom, points. {LEGEND}", list(HEADERS), rows)] if rows else []


def _cell(place: int, text: str) -> Cell:
    """Numbers are sorted as such, also where one is missing."""
    if place in _WORDS:
        return Cell(text)
    return Cell(text, float(text) if any(map(str.isdigit, text)) else float("-inf"))
