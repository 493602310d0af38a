"""Headroom as tables: Markdown, and CSV. Points, where the record has 0-1."""

from __future__ import annotations

import csv
import io

from one_embedder.reproduction.ablation.headroom import Headroom, headroom, rank_correlation
from one_embedder.reproduction.ablation.record import AblationRecord
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.layout import AVERAGE
from one_embedder.reproduction.table1.tables import ABSENT

HEADERS = (
    "task", "backbone", "without", "with", "best specialist", "its score", "headroom", "gain",
    "own specialist", "its score", "harmed by",
)  # fmt: skip
LEGEND = (
    "without, with: finetuned on all tasks, without and with instructions. headroom: best specialist minus without; "
    "an upper bound, since the best is chosen by these scores. gain: with minus without. own specialist: the best of "
    "those whose training data are made as the task is. harmed by: those of them that are below the backbone."
)


def headroom_section(record: AblationRecord) -> list[str]:
    """Title, table and legend in Markdown; nothing where headroom is not asked for or its cells are missing."""
    return ["## Headroom", headroom_grid(record).markdown(), agreement(record), LEGEND] if headroom(record) else []


def agreement(record: AblationRecord) -> str:
    """One sentence: whether instructions gain where separate models would."""
    rows = headroom(record)
    count = sum(row.task != AVERAGE for row in rows)
    return (
        f"Rank correlation of headroom and gain over these {count} tasks: {rank_correlation(rows):+.2f} (Spearman; "
        "both are differences from the same model, which lifts it)."
    )


def headroom_grid(record: AblationRecord) -> Grid:
    """One row a task."""
    return Grid(HEADERS, [shown(record, row) for row in headroom(record)])


def shown(record: AblationRecord, row: Headroom) -> list[str]:
    """The cells of a row, in points, under ``HEADERS``."""
    labels = {cell.id: cell.label for cell in record.cells} | {"": ABSENT}
    return [
        row.task,
        *(f"{100 * score:.1f}" for score in (row.backbone, row.generalist, row.instructed)),
        "each task's own best" if row.task == AVERAGE else labels[row.best],
        f"{100 * row.best_score:.1f}",
        f"{100 * row.headroom:+.1f}",
        f"{100 * row.gain:+.1f}",
        labels[row.own],
        ABSENT if row.own_score is None else f"{100 * row.own_score:.1f}",
        "; ".join(labels[name] for name in row.harmed_by) or ABSENT,
    ]


def headroom_csv(record: AblationRecord) -> str:
    """One row a task; points with four decimals, cells by id, empty where absent; without rows empty."""
    rows = headroom(record)
    if not rows:
        return ""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    headers = ["task", "category", "backbone", "generalist", "instructed", "best", "best_score", "headroom", "gain"]
    writer.writerow([*headers, "own", "own_score", "harmed_by"])
    for row in rows:
        scores = [f"{100 * score:.4f}" for score in (row.backbone, row.generalist, row.instructed)]
        differences = [f"{100 * score:.4f}" for score in (row.best_score, row.headroom, row.gain)]
        own = "" if row.own_score is None else f"{100 * row.own_score:.4f}"
        category = record.task_categories.get(row.task, "")
        writer.writerow([row.task, category, *scores, row.best, *differences, row.own, own, " ".join(row.harmed_by)])
    return stream.getvalue()
