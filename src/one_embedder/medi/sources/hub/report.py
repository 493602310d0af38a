"""The report of a build from the hub: what each task is made of, under which licence, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from one_embedder.config.schema import HubDatasetConfig
from one_embedder.medi.parts import Part
from one_embedder.medi.report import task_lines


def render_report(parts: Sequence[Part], datasets: Mapping[str, HubDatasetConfig], sha256: str) -> str:
    """Markdown."""
    rows = sum(part.rows for part in parts)
    lines = [
        "# MEDI from the hub: build report",
        "",
        f"{rows} rows in {len(parts)} tasks, content sha256 `{sha256}`.",
        "",
        *task_lines([next(part.read(number)) for number, part in enumerate(parts)], {p.name: p.rows for p in parts}),
        "## Sources",
        "",
        "| task | data set | commit | read | drawn | negatives | licence | in the paper's evaluation | left out |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(part, datasets[part.name]) for part in parts if part.name in datasets]
    doubts = [f"- {part.name}: {told}" for part in parts if (told := _doubt(part.name, datasets))]
    return "\n".join([*lines, "", *(["## Not verified on the hub", "", *doubts, ""] if doubts else [])])


def _line(part: Part, dataset: HubDatasetConfig) -> str:
    lost = ", ".join(f"{count} {why}" for why, count in part.about["lost"].items() if count)
    cells = [
        part.name,
        f"{dataset.repo}: {', '.join(part.about['files'])}",
        part.about["commit"][:12],
        part.about["read"],
        part.about["drawn"],
        dataset.negatives,
        dataset.licence,
        "yes" if dataset.seen_in_evaluation else "no",
        lost or "-",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _doubt(name: str, datasets: Mapping[str, HubDatasetConfig]) -> str | None:
    return datasets[name].unverified if name in datasets else None
