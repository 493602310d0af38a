from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from one_embedder.reproduction.ablation.record import Axis
from one_embedder.reproduction.show.figures import (
    averages_figure,
    claims_figure,
    differences_figure,
    growth_figure,
    inline_svg,
    svg_file,
)
from one_embedder.reproduction.statistics.layout import COLUMNS
from tests.reproduction.ablations import small_record


def _claims() -> Figure:
    figure = claims_figure(small_record())
    assert figure is not None
    return figure


def test_claims_without_a_difference_are_left_out() -> None:
    record = small_record()
    figure = claims_figure(replace(record, claims=[record.claims[0], replace(record.claims[1], difference=None)]))
    assert figure is not None
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["instructions help"]
    assert claims_figure(replace(record, claims=[])) is None


def test_the_recorded_table_can_be_drawn(project_root: Path) -> None:
    record = json.loads((project_root / "experiments" / "table1" / "documentation.json").read_text())
    assert len(averages_figure(record).axes[0].get_yticklabels()) == len(record["rows"])
    names = [label.get_text() for label in differences_figure(record, "backbone").axes[0].get_yticklabels()]
    assert names == [*COLUMNS, "average"]


def test_an_inline_figure_follows_the_pages_colours_and_is_the_same_every_time() -> None:
    first, again = (inline_svg(_claims(), 'a "label"') for _ in range(2))
    assert first == again
    root = ElementTree.fromstring(first)
    assert root.attrib["aria-label"] == 'a "label"' and "width" not in root.attrib and "viewBox" in root.attrib
    assert "var(--ink)" in first and "var(--series-1)" in first
    assert "#1a1b1c" not in first and "<metadata" not in first


def test_a_figures_file_is_an_image_and_the_same_every_time() -> None:
    first, again = (svg_file(_claims(), "label") for _ in range(2))
    assert first == again
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"


def test_growth_is_drawn_against_the_steps_a_line_for_each_level_of_what_else_varies() -> None:
    record = small_record()
    assert growth_figure(record) is None
    lengths = dict(zip(record.axes[1].levels, (400, 100), strict=True))
    steps = Axis("wording", "steps", False, {level: {"trainer.max_steps": count} for level, count in lengths.items()})
    figure = growth_figure(replace(record, axes=[record.axes[0], steps]))
    assert figure is not None
    drawn = {str(bars.get_label()): bars.lines[0].get_xydata().tolist() for bars in figure.axes[0].containers}
    assert drawn == {
        f"{side} side": [
            [count, pytest.approx(100 * record.cell(f"{side}+{level}").scores["average"])]
            for level, count in lengths.items()
        ]
        for side in ("without", "with")
    }
    assert [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_label() == "backbone"] == [
        pytest.approx(55)
    ]
