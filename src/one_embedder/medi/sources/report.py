"""The report with which every build ends: Markdown and figures, counted from the data that it made."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from one_embedder.medi.sources.survey import SIDES, Survey, TaskSurvey, is_of_the_template, survey

logger = logging.getLogger(__name__)

REPORT_FILE = "report.md"
FIGURES = "figures"
SIDE_NAMES = dict(zip(SIDES, ("query", "positive", "hard negative"), strict=True))
NAMES_SHOWN = 12
INSTRUCTIONS_SHOWN = 20


@dataclass(frozen=True)
class Report:
    """What a source says about its data, beside what can be counted.

    Attributes:
        title: the heading.
        licences: task, data set or package -> licence, as its source states it.
        lines: Markdown about how the data came to be.
    """

    title: str
    licences: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[str] = ()

    def write(self, folder: Path, sha256: str) -> None:
        """Write ``report.md`` and ``figures/`` beside the data in ``folder/medi``."""
        found = survey(folder / "medi")
        (folder / FIGURES).mkdir(exist_ok=True)
        _draw_sizes(found, folder / FIGURES / "rows_per_task.png")
        _draw_lengths(found, folder / FIGURES / "text_lengths.png")
        text = "\n".join([
            f"# {self.title}: build report",
            "",
            f"{found.rows} rows in {len(found.tasks)} tasks, content sha256 `{sha256}`.",
            "",
            *self.lines,
            *_sizes(found),
            *_lengths(found),
            *_instructions(found),
            *_licences(self.licences),
            *_tasks(found),
        ])  # fmt: skip
        (folder / REPORT_FILE).write_text(text, encoding="utf-8")


def leakage_lines(lost: Mapping[str, int] | None) -> list[str]:
    """What was dropped; task -> pairs or texts, None if nothing was compared."""
    if lost is None:
        return ["## Leakage", "", "No benchmark was given to look for leakage.", ""]
    lines = [
        "## Leakage",
        "",
        "Rows, pairs or texts that were dropped because a text of theirs stands in the benchmark, wholly",
        f"or with eight words in a row: {sum(lost.values())} in {len(lost)} tasks. None that is left overlaps.",
        "",
    ]
    return lines + (table(["task", "dropped"], sorted(lost.items())) if lost else [])


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table and the blank line after it."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [*(f"| {' | '.join(map(str, cells))} |" for cells in lines), ""]


def _sizes(found: Survey) -> list[str]:
    rows = [task.rows for task in found.tasks]
    return [
        "## Sizes",
        "",
        f"Rows of a task: {min(rows)} to {max(rows)}, half of the tasks have at least {int(np.median(rows))}.",
        "",
        f"![rows of each task]({FIGURES}/rows_per_task.png)",
        "",
    ]


def _lengths(found: Survey) -> list[str]:
    rows = []
    for side, lengths in found.lengths.items():
        quantiles = np.percentile(lengths, (50, 95, 100)).round().astype(int)
        rows.append([SIDE_NAMES[side], f"{lengths.mean():.0f}", *quantiles])
    return [
        "## Lengths",
        "",
        "Characters of a text, its instruction left out.",
        "",
        *table(["text", "mean", "median", "95 % are at most", "longest"], rows),
        f"![lengths of the texts]({FIGURES}/text_lengths.png)",
        "",
    ]


def _instructions(found: Survey) -> list[str]:
    counts = found.instructions()
    without = counts.pop("", 0)
    odd = Counter({words: count for words, count in counts.items() if not is_of_the_template(words)})
    lines = [
        "## Instructions",
        "",
        f"{len(counts)} different ones. Texts without an instruction: {without} of {3 * found.rows}. Texts whose "
        f"instruction does not follow the template: {odd.total()}, by {len(odd)} different ones.",
        "",
    ]
    if odd:
        logger.warning("%d texts have an instruction that does not follow the template; they are kept", odd.total())
        lines += table(
            ["not of the template", "texts"], [(_cell(w), n) for w, n in odd.most_common(INSTRUCTIONS_SHOWN)]
        )
    return lines


def _licences(licences: Mapping[str, str]) -> list[str]:
    if not licences:
        return ["## Licences", "", "The source does not state the licences of its texts.", ""]
    names: dict[str, list[str]] = defaultdict(list)
    for name, licence in licences.items():
        names[licence].append(name)
    largest_first = sorted(names.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = [(_escaped(licence), len(of), _some(of)) for licence, of in largest_first]
    return ["## Licences", "", "As each source states them.", "", *table(["licence", "sources", "of"], rows)]


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _tasks(found: Survey) -> list[str]:
    heads = ["task", "rows", "mean characters", "query instruction", "document instruction", "example"]
    return ["## Tasks", "", *table(heads, [_task(task) for task in found.tasks])]


def _task(task: TaskSurvey) -> list[object]:
    query, positive, negative = map(_cell, task.example)
    characters = " / ".join(f"{task.mean_characters(side):.0f}" for side in SIDES)
    usual = [_usual(task.instructions[side]) for side in ("query", "pos")]
    return [task.name, task.rows, characters, *usual, f"{query} -> {positive} / {negative}"]


def _usual(instructions: Counter[str]) -> str:
    ((most, _),) = instructions.most_common(1)
    more = f" and {len(instructions) - 1} others" if len(instructions) > 1 else ""
    return (_cell(most.strip()) or "none") + more


def _cell(text: str) -> str:
    text = _escaped(text)
    return text if len(text) <= 90 else text[:87] + "..."


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _draw_sizes(found: Survey, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    rows = sorted((task.rows for task in found.tasks), reverse=True)
    axes.bar(range(1, len(rows) + 1), rows, width=1.0)
    axes.set(xlabel="tasks, largest first", ylabel="rows", yscale="log", ylim=(1, 2 * rows[0]))
    figure.savefig(path, dpi=150)


def _draw_lengths(found: Survey, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    longest = max(int(lengths.max()) for lengths in found.lengths.values())
    edges = np.geomspace(1, longest + 1, 60)
    for side, lengths in found.lengths.items():
        axes.stairs(np.histogram(lengths, edges)[0], edges, label=SIDE_NAMES[side])
    axes.set(xlabel="characters of a text", ylabel="texts", xscale="log")
    axes.legend()
    figure.savefig(path, dpi=150)
