"""What the report tells of a build from the hub: where each task is from, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from one_embedder.config.schema import HubDatasetConfig
from one_embedder.medi.sources.parts import Part
from one_embedder.medi.sources.report import Report, leakage_lines, table

HEADS = ("task", "data set", "commit", "read", "drawn", "negatives", "in the paper's evaluation", "left out")


def report_of(parts: Sequence[Part], datasets: Mapping[str, HubDatasetConfig], *, compared: bool) -> Report:
    """The report of these tasks, some of which may be of another source.

    Args:
        parts: the tasks.
        datasets: those that are from the hub.
        compared: whether texts of a benchmark were left out.
    """
    hub = [part for part in parts if part.name in datasets]
    doubts = [f"- {part.name}: {told}" for part in hub if (told := datasets[part.name].unverified)]
    lost = {part.name: lost for part in parts if (lost := part.about.get("overlapping"))}
    lines = [
        f"{len(hub)} tasks are from the hub, {len(parts) - len(hub)} from another source.",
        "",
        *leakage_lines(lost if compared else None),
        "## Data sets of the hub",
        "",
        *table(HEADS, [_line(part, datasets[part.name]) for part in hub]),
        *(["## Not verified on the hub", "", *doubts, ""] if doubts else []),
    ]
    return Report("MEDI", {part.name: part.about.get("licence", "not stated") for part in parts}, lines)


def _line(part: Part, dataset: HubDatasetConfig) -> Sequence[object]:
    lost = ", ".join(f"{count} {why}" for why, count in part.about["lost"].items() if count)
    return (
        part.name,
        f"{dataset.repo}: {', '.join(part.about['files'])}",
        part.about["commit"][:12],
        part.about["read"],
        part.about["drawn"],
        dataset.negatives,
        "yes" if dataset.seen_in_evaluation else "no",
        lost or "-",
    )
