"""The report of MEDI-documentation: what is in the training data, what the benchmark holds, what was dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from one_embedder.medi.record import MediRow
from one_embedder.medi.report import leakage_lines, task_lines
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
        *leakage_lines(lost),
        *task_lines(rows),
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


def _benchmark(sizes: Mapping[str, Mapping[str, int]]) -> list[str]:
    lines = ["## Benchmark", "", "| task folder | rows of its files |", "|---|---|"]
    return [
        *lines,
        *(f"| {task} | {', '.join(f'{name} {n}' for name, n in files.items())} |" for task, files in sizes.items()),
        "",
    ]
