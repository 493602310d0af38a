"""Figures drawn from records: our points with their intervals, and the paper's in a panel of their own.

Every function takes a record and gives a matplotlib figure; none computes a score. Scores are shown as points. Figures
are narrow, so that they can be read on a phone.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.ablation.headroom import headroom
from one_embedder.reproduction.ablation.record import AblationRecord, Axis, Cell
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS

INK = "#1a1b1c"
FAINT = "#8a8b8c"
SERIES = ("#2a6fbb", "#c2571a", "#3f8f4f", "#8d5aa8", "#b03a5b", "#6f6a1f")
_WIDTH = 4.6  # inches
_SMALL = 7.0  # points, for labels that would meet
_STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


_VARIABLES: Mapping[str, str] = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    **{color: f"var(--series-{number})" for number, color in enumerate(SERIES, start=1)},
}
"""Colour -> the page's custom property for it."""


def averages_figure(record: Mapping[str, Any]) -> Figure:
    """Average of every row of Table 1 with its interval; ``record`` is ``table1/<profile>.json``."""
    rows = [row for row in record["rows"] if AVERAGE in row["scores"]]
    intervals = [Interval(row["scores"][AVERAGE], *row["intervals"][AVERAGE]) for row in rows]
    return forest([row["label"] for row in rows], intervals, "average of nine categories, points")


def differences_figure(record: Mapping[str, Any], other: str) -> Figure:
    """INSTRUCTOR minus the row ``other``, by category; ``record`` is ``table1/<profile>.json``."""
    differences = record["differences"][other]
    columns = [column for column in (*COLUMNS, AVERAGE) if column in differences]
    return forest(columns, [Interval(**differences[column]) for column in columns], "difference, points", zero=True)


def claims_figure(record: AblationRecord) -> Figure | None:
    """The difference that decides each claim; None where none is decided."""
    decided = [(claim.id.replace("_", " "), claim.difference) for claim in record.claims if claim.difference]
    if not decided:
        return None
    return forest([name for name, _ in decided], [bounds for _, bounds in decided], "difference, points", zero=True)


def ablation_figure(record: AblationRecord, column: str = AVERAGE) -> Figure:
    """Every cell's score with its interval, as in the paper's figures 3 to 6; untrained models as dotted lines.

    Where headroom is asked for, there are more cells than a figure can tell apart, and what is drawn is headroom. Else
    the axis with the most levels runs from left to right, the others are told apart by colour. What the paper has for
    the same levels stands in a second panel with a scale of its own: other data, other models.

    Args:
        record: of the ablation.
        column: a category or the average.
    """
    if record.headroom is not None:
        return headroom_figure(record)
    along = _longest_axis(record)
    levels = list(along.levels)
    with rc_context(_STYLE):
        panels = 2 if record.published else 1
        figure = Figure(figsize=(_WIDTH, 2.7 * panels), layout="constrained")
        axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
        _draw_cells(axes[0], record, along, column)
        _label_levels(axes[0], levels, along.label)
        axes[0].set_ylabel(f"{column}, points")
        if record.published:
            _draw_published(axes[1], record, along)
    return figure


def headroom_figure(record: AblationRecord) -> Figure:
    """On each task the untrained encoder, both models for everything, and the best specialist; a line is the headroom.

    Args:
        record: of an ablation that asks for headroom and has its cells.
    """
    rows = headroom(record)
    places = list(range(len(rows), 0, -1))
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 1.2 + 0.24 * len(rows)), layout="constrained")
        axes = figure.subplots()
        low, high = ([100 * getattr(row, name) for row in rows] for name in ("generalist", "best_score"))
        axes.hlines(places, low, high, color=FAINT, linewidth=1)
        for name, marker, color, label in (
            ("backbone", "|", INK, "backbone"),
            ("generalist", "o", SERIES[0], "without instructions"),
            ("instructed", "s", SERIES[1], "with instructions"),
            ("best_score", ">", SERIES[2], "best specialist"),
        ):
            points = [100 * getattr(row, name) for row in rows]
            axes.plot(points, places, marker, color=color, markersize=4, label=label)
        axes.set_yticks(places, [row.task for row in rows], fontsize=_SMALL)
        axes.set_ylim(0.4, len(rows) + 0.6)
        axes.set_xlabel("points")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def forest(labels: Sequence[str], intervals: Sequence[Interval], label: str, *, zero: bool = False) -> Figure:
    """Estimates with their intervals, one below the other in the order given.

    Args:
        labels: one an interval.
        intervals: 0-1, shown as points.
        label: of the horizontal axis.
        zero: whether to mark it.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 0.7 + 0.32 * len(labels)), layout="constrained")
        axes = figure.subplots()
        places = range(len(labels), 0, -1)
        axes.errorbar(
            [100 * interval.estimate for interval in intervals],
            places,
            xerr=_errors(intervals),
            fmt="o",
            color=SERIES[0],
            capsize=3,
            markersize=4,
        )
        axes.set_yticks(places, [textwrap.fill(text, 26) for text in labels])
        axes.set_ylim(0.4, len(labels) + 0.6)
        axes.set_xlabel(label)
        if zero:
            axes.axvline(0, color=FAINT, linewidth=1)
    return figure


def inline_svg(figure: Figure, label: str) -> str:
    """The figure as an ``<svg>`` element; the same figure gives the same text.

    Its text stays text, and its colours follow the page's, in light and in dark.

    Args:
        figure: one of this module's.
        label: said instead of it where it cannot be seen. It also keeps the ids of figures on one page apart.
    """
    stream = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]  # without XML declaration and doctype
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<g) id="[^"]*"', r"\1", text)  # nothing refers to groups, and every figure names them alike
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    box = re.search(r'viewBox="[^"]*"', text)
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box[0] if box else ""} role="img"'
    return re.sub(r"<svg[^>]*>", f'{head} aria-label="{escape(label, quote=True)}">', text, count=1)


def _longest_axis(record: AblationRecord) -> Axis:
    return max(record.axes, key=lambda axis: len(axis.levels))


def _draw_cells(axes: Axes, record: AblationRecord, along: Axis, column: str) -> None:
    levels = list(along.levels)
    series: dict[str, list[Cell]] = {}
    for cell in record.cells:
        if not cell.reference and column in cell.scores:
            others = [level for axis, level in cell.levels.items() if axis != along.name]
            series.setdefault(", ".join(others), []).append(cell)
    for number, (name, cells) in enumerate(series.items()):
        aside = 0.12 * (number - (len(series) - 1) / 2)
        axes.errorbar(
            [levels.index(cell.levels[along.name]) + aside for cell in cells],
            [100 * cell.scores[column] for cell in cells],
            yerr=_errors([cell.intervals[column] for cell in cells]),
            fmt="o-",
            color=SERIES[number % len(SERIES)],
            linewidth=0.8,
            capsize=3,
            markersize=4,
            label=name or None,
        )
    for number, cell in enumerate(cell for cell in record.cells if cell.reference and column in cell.scores):
        style = (":", "--", "-.")[number % 3]
        axes.axhline(100 * cell.scores[column], color=FAINT, linestyle=style, linewidth=1.2, label=cell.label)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.32), ncols=2)


def _draw_published(axes: Axes, record: AblationRecord, along: Axis) -> None:
    """The paper's numbers: filled where they could be checked, hollow where they are second-hand."""
    levels = list(along.levels)
    places: list[str] = [level for level in levels if any(p.levels.get(along.name) == level for p in record.published)]
    places += [point.label for point in record.published if along.name not in point.levels]
    for point in record.published:
        place = places.index(point.levels.get(along.name, point.label))
        face = "none" if point.second_hand else INK
        axes.plot(place, point.points, "s", markeredgecolor=INK, markerfacecolor=face, markersize=5)
        if along.name in point.levels:  # else its place is called like it
            name = textwrap.fill(point.label, 18)
            axes.annotate(name, (place, point.points), xytext=(6, 0), textcoords="offset points", fontsize=_SMALL)
    _label_levels(axes, places, "")
    axes.set_ylabel("points")
    axes.set_title("the paper's (hollow: second-hand, not checked)")
    axes.margins(y=0.25)


def _label_levels(axes: Axes, levels: Sequence[str], label: str) -> None:
    many = len(levels) > 4
    width = 9 if many else 12  # characters that fit beside each other
    names = [textwrap.fill(level.replace("_", " "), width, break_long_words=False) for level in levels]
    axes.set_xticks(range(len(levels)), names, fontsize=_SMALL if many else None)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.set_xlabel(label)


def _errors(intervals: Sequence[Interval]) -> tuple[list[float], list[float]]:
    """Distances to the lower and the upper end, points."""
    low = [100 * (interval.estimate - interval.low) for interval in intervals]
    high = [100 * (interval.high - interval.estimate) for interval in intervals]
    return low, high
