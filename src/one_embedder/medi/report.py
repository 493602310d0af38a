"""What every build reports in Markdown: the tasks with an example each, and what was dropped as leakage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from one_embedder.medi.record import MediRow


def leakage_lines(lost: Mapping[str, int]) -> list[str]:
    """What was dropped; task -> pairs or texts."""
    lines = [
        "## Leakage",
        "",
        "Pairs or texts dropped before mining, because a text of theirs stands in the benchmark, wholly",
        f"or with eight words in a row: {sum(lost.values())} in {len(lost)} tasks. None that is left overlaps.",
        "",
    ]
    if lost:
        lines += ["| task | dropped |", "|---|---|", *(f"| {name} | {n} |" for name, n in sorted(lost.items())), ""]
    return lines


def task_lines(rows: Sequence[MediRow], counts: Mapping[str, int] | None = None) -> list[str]:
    """A table with one line a task.

    Args:
        rows: the first of each task is shown.
        counts: task name -> rows, where ``rows`` are not all of them.
    """
    counts = counts or Counter(row.task_name for row in rows)
    first = {row.task_name: row for row in reversed(rows)}
    lines = [
        "## Tasks",
        "",
        "| task | rows | query instruction | example: query -> positive / hard negative |",
        "|---|---|---|---|",
    ]
    for name, count in counts.items():
        row = first[name]
        example = f"{_cell(row.query[1])} -> {_cell(row.positive[1])} / {_cell(row.negative[1])}"
        lines.append(f"| {name} | {count} | {row.query[0].strip()} | {example} |")
    return [*lines, ""]


def _cell(text: str) -> str:
    text = text.replace("|", "\\|")
    return text if len(text) <= 90 else text[:87] + "..."
