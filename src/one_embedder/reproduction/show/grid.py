"""A table of strings, and its renderings: Markdown, LaTeX (booktabs), plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LATEX_SPECIAL = {"\\": r"\textbackslash{}", **{character: f"\\{character}" for character in "&%$#_{}"}}


@dataclass(frozen=True)
class Grid:
    """Headers and rows of text. The first column is left-aligned, the others are numbers and right-aligned."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """A pipe table."""
        align = [":--"] + ["--:"] * (len(self.headers) - 1)
        lines = (self.headers, align, *self.rows)
        return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)

    def latex(self, caption: str) -> str:
        """A ``table*`` environment for the booktabs package."""
        lines = [" & ".join(_escape(cell) for cell in line) + r" \\" for line in (self.headers, *self.rows)]
        return "\n".join(
            [
                r"% needs \usepackage{booktabs}",
                r"\begin{table*}",
                r"\centering\small",
                rf"\caption{{{_escape(caption)}}}",
                rf"\begin{{tabular}}{{l{'r' * (len(self.headers) - 1)}}}",
                r"\toprule",
                lines[0],
                r"\midrule",
                *lines[1:],
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table*}",
                "",
            ]
        )

    def text(self) -> str:
        """Aligned columns between rules; a header's last word takes a second line, to keep numbers narrow."""
        headers = [header.rsplit(" ", 1) if index else [header] for index, header in enumerate(self.headers)]
        first = [words[0] for words in headers]
        second = [words[1] if len(words) > 1 else "" for words in headers]
        lines = [first, second, *self.rows] if any(second) else [first, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headers))]
        rendered = [_align(line, widths) for line in lines]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        head = len(lines) - len(self.rows)
        return "\n".join([rule, *rendered[:head], rule, *rendered[head:], rule])


def _align(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = list(zip(cells, widths, strict=True))
    return "  ".join([pairs[0][0].ljust(pairs[0][1]), *(cell.rjust(width) for cell, width in pairs[1:])])


def _escape(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)
