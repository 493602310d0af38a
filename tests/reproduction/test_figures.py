from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from one_embedder.reproduction.ablation.record import PublishedPoint, read_records
from one_embedder.reproduction.show.figures import (
    ablation_figure,
    averages_figure,
    claims_figure,
    differences_figure,
    inline_svg,
)
from one_embedder.reproduction.statistics.layout import COLUMNS
from tests.reproduction.ablations import small_record


def test_every_cell_is_a_point_with_its_interval_and_references_are_lines() -> None:
    record = small_record()
    axes = ablation_figure(record).axes[0]
    drawn = sorted(float(y) for bars in axes.containers for y in bars.lines[0].get_ydata())
    assert drawn == pytest.approx(sorted(100 * cell.scores["average"] for cell in record.cells if not cell.reference))
    labels = axes.get_legend_handles_labels()[1]
    assert "backbone" in labels and len(labels) == 1 + 2
    (low, high) = axes.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((49.0, 53.0))


def test_the_papers_numbers_have_a_panel_of_their_own_and_second_hand_ones_are_hollow() -> None:
    second = PublishedPoint("GTR", {}, 55.1, "notes", True)
    figure = ablation_figure(replace(small_record(), published=[*small_record().published, second]))
    ours, papers = figure.axes
    faces = [line.get_markerfacecolor() for line in papers.lines]
    assert len(faces) == 2 and faces[0] != "none" and faces[1] == "none"
    assert "second-hand" in papers.get_title()
    assert ours.get_ylim() != papers.get_ylim()
    assert len(ablation_figure(replace(small_record(), published=[])).axes) == 1


def test_the_names_of_levels_do_not_meet_in_any_recorded_ablation(project_root: Path) -> None:
    records = read_records(project_root / "experiments" / "ablations")
    assert records
    for record in records:
        figure = ablation_figure(record)
        FigureCanvasAgg(figure).draw()
        for axes in figure.axes:
            boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
            assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes)), record.name


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
    first, again = (inline_svg(ablation_figure(small_record()), 'a "label"') for _ in range(2))
    assert first == again
    root = ElementTree.fromstring(first)
    assert root.attrib["aria-label"] == 'a "label"' and "width" not in root.attrib and "viewBox" in root.attrib
    assert "var(--ink)" in first and "var(--series-2)" in first
    assert "#1a1b1c" not in first and "<metadata" not in first
