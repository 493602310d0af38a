"""A figure as SVG inside a page: its text stays text, and its colours follow the page's, in light and in dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from html import escape

from matplotlib import rc_context
from matplotlib.figure import Figure

from one_embedder.reproduction.show.figures import FAINT, INK, SERIES

VARIABLES: Mapping[str, str] = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    **{color: f"var(--series-{number})" for number, color in enumerate(SERIES, start=1)},
}
"""A colour of ``figures`` -> the page's custom property for it."""


def inline_svg(figure: Figure, label: str) -> str:
    """The figure as an ``<svg>`` element; the same figure gives the same text.

    Args:
        figure: with the colours of ``figures``.
        label: said instead of it where it cannot be seen. It also keeps the ids of figures on one page apart.
    """
    stream = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]  # without XML declaration and doctype
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<g) id="[^"]*"', r"\1", text)  # nothing refers to groups, and every figure names them alike
    for color, variable in VARIABLES.items():
        text = text.replace(color, variable)
    box = re.search(r'viewBox="[^"]*"', text)
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box[0] if box else ""} role="img"'
    return re.sub(r"<svg[^>]*>", f'{head} aria-label="{escape(label, quote=True)}">', text, count=1)
