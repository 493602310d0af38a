"""Figures drawn from records: points with their intervals.

Every function takes a record and gives a matplotlib figure; none computes a score. Scores are shown as points. Figures
are narrow, so that they can be read on a phone.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.ablation.headroom import headroom
from one_embedder.reproduction.ablation.record import AblationRecord, Axis
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


def growth_figure(record: AblationRecord) -> Figure | None:
    """The average against the steps of training, a line for each level of what else varies.

    Untrained references are level lines. None where steps are no axis, or a category has no task.
    """
    axis = next((axis for axis in record.axes if _is_of_steps(axis)), None)
    if axis is None or any(AVERAGE not in cell.scores for cell in record.cells):
        return None
    steps = {level: int(settings["trainer.max_steps"]) for level, settings in axis.levels.items()}
    lines: dict[str, dict[int, Interval]] = defaultdict(dict)
    for cell in record.cells:
        if not cell.reference:
            others = ", ".join(f"{level} {name}" for name, level in cell.levels.items() if name != axis.name)
            lines[others][steps[cell.levels[axis.name]]] = cell.intervals[AVERAGE]
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        for color, (label, points) in zip(cycle(SERIES), lines.items(), strict=False):
            heights = [100 * interval.estimate for interval in points.values()]
            errors = _errors(list(points.values()))
            axes.errorbar(
                list(points), heights, yerr=errors, fmt="o-", color=color, capsize=3, markersize=4, label=label
            )
        for cell in record.cells:
            if cell.reference:
                axes.axhline(100 * cell.scores[AVERAGE], color=FAINT, linewidth=1, label=cell.label)
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(steps.values()), list(map(str, steps.values())))
        axes.set_xlabel("training steps")
        axes.set_ylabel("average, points")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _is_of_steps(axis: Axis) -> bool:
    return all(set(settings) == {"trainer.max_steps"} for settings in axis.levels.values())


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
    text = _svg(figure, label, transparent=True)
    text = text[text.index("<svg") :]  # without XML declaration and doctype
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<g) id="[^"]*"', r"\1", text)  # nothing refers to groups, and every figure names them alike
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    box = re.search(r'viewBox="[^"]*"', text)
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box[0] if box else ""} role="img"'
    return re.sub(r"<svg[^>]*>", f'{head} aria-label="{escape(label, quote=True)}">', text, count=1)


def svg_file(figure: Figure, label: str) -> str:
    """The figure as the text of an SVG file, on white; the same figure gives the same text.

    Args:
        figure: one of this module's.
        label: tells its ids from other figures'.
    """
    return "".join(f"{line.rstrip()}\n" for line in _svg(figure, label, transparent=False).splitlines())


def _svg(figure: Figure, salt: str, *, transparent: bool) -> str:
    stream = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(stream, format="svg", transparent=transparent, metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _errors(intervals: Sequence[Interval]) -> tuple[list[float], list[float]]:
    """Distances to the lower and the upper end, points."""
    low = [100 * (interval.estimate - interval.low) for interval in intervals]
    high = [100 * (interval.high - interval.estimate) for interval in intervals]
    return low, high
