"""What the report tells of MEDI-documentation: the packages, and what the benchmark holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from one_embedder.medi.sources.documentation.extract import DocObject
from one_embedder.medi.sources.report import Report, leakage_lines, table


def report_of(
    objects: Sequence[DocObject],
    lost: Mapping[str, int],
    benchmark: Mapping[str, Mapping[str, int]],
    licences: Mapping[str, str],
) -> Report:
    """Sources by side, leakage, benchmark sizes, licences of the packages."""
    counts = Counter((obj.side, obj.domain, obj.package) for obj in objects)
    files = [(task, ", ".join(f"{name} {n}" for name, n in sizes.items())) for task, sizes in benchmark.items()]
    lines = [
        "## Sources",
        "",
        *table(["side", "domain", "package", "documented objects"], [(*of, n) for of, n in sorted(counts.items())]),
        *leakage_lines(lost),
        "## Benchmark",
        "",
        *table(["task folder", "rows of its files"], files),
    ]
    return Report("MEDI-documentation", licences, lines)
