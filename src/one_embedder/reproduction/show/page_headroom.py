"""Headroom of an ablation on the report page: its figure and its table."""

from __future__ import annotations

from one_embedder.reproduction.ablation.headroom import headroom
from one_embedder.reproduction.ablation.headroom_tables import LEGEND, headroom_grid
from one_embedder.reproduction.ablation.record import AblationRecord
from one_embedder.reproduction.show.figures import headroom_figure, inline_svg
from one_embedder.reproduction.show.page_model import Drawing, Table


def headroom_drawings(record: AblationRecord) -> list[Drawing]:
    """One figure; none where there is no headroom to show."""
    if not headroom(record):
        return []
    caption = f"{record.name}: every task's models for everything, and its best specialist"
    return [Drawing(inline_svg(headroom_figure(record), caption), caption)]


def headroom_tables(record: AblationRecord) -> list[Table]:
    """One table; none where there is no headroom to show."""
    return [Table(f"Headroom, points. {LEGEND}", headroom_grid(record))] if headroom(record) else []
