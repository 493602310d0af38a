"""The report at the end of a build: what is in the training data, what the benchmark holds, what was dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from one_embedder.medi.record import MediRow
from one_embedder.medi.sources.documentation.extract import DocObject


def render_report(
    objects: Sequence[DocObject],
    rows: Sequence[MediRow],
    lost: Mapping[str, int],
    benchmark: Mapping[str, Mapping[str, int]],
    sha256: str,
) -> str:
    """Markdown: sources by side, tasks with sizes and one example each, benchmark sizes, leakage."""
    return "\n".join([
        "# MEDI-documentation: build report",
        "",
        f"{len(rows)} rows in {len({row.task_id for row in rows})} tasks, content sha256 `{sha256}`.",
        "",
        *_sources(objects),
        *_leakage(lost),
        *_tasks(rows),
        *_benchmark(benchmark),
    ])  # fmt: skip


def _sources(objects: Sequence[DocObject]) -> list[str]:
    counts = Counter((obj.side, obj.domain, obj.package) for obj in objects)
    lines = ["## Sources", "", "| side | domain | package | documented objects |", "|---|---|---|---|"]
    return [
        *lines,
        *(f"| {side} | {domain} | {package} | {n} |" for (side, domain, package), n in sorted(counts.items())),
        "",
    ]


def _leakage(lost: Mapping[str, int]) -> list[str]:
    lines = [
        "## Leakage",
        "",
        "Pairs or texts dropped before mining, because a text of theirs stands in the dev or test benchmark, wholly",
        f"or with eight words in a row: {sum(lost.values())} in {len(lost)} tasks. None that is left overlaps.",
        "",
    ]
    if lost:
        lines += ["| task | dropped |", "|---|---|", *(f"| {name} | {n} |" for name, n in sorted(lost.items())), ""]
    return lines


def _tasks(rows: Sequence[MediRow]) -> list[str]:
    counts = Counter(row.task_name for row in rows)
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


def _benchmark(sizes: Mapping[str, Mapping[str, int]]) -> list[str]:
    lines = ["## Benchmark", "", "| task folder | rows of its files |", "|---|---|"]
    return [
        *lines,
        *(f"| {task} | {', '.join(f'{name} {n}' for name, n in files.items())} |" for task, files in sizes.items()),
        "",
    ]
