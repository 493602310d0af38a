"""An ablation's record as tables: Markdown, CSV, and text for a terminal. Points, where the record has 0-1."""

from __future__ import annotations

import csv
import io
import textwrap

from one_embedder.reproduction.ablation.headroom import headroom
from one_embedder.reproduction.ablation.headroom_tables import headroom_grid, headroom_section
from one_embedder.reproduction.ablation.record import AblationRecord, Cell, Tested
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMN_HEADERS, COLUMNS
from one_embedder.reproduction.table1.tables import ABSENT, format_difference

WIDTH = 120


def to_markdown(record: AblationRecord) -> str:
    """Cells, claims and the paper's numbers."""
    sections = [
        f"# Ablation {record.name}, profile {record.profile}",
        record.question,
        _POINTS,
        cell_grid(record).markdown(),
        *headroom_section(record),
        *_claims(record),
        *([_made(record)] if record.cells else []),
    ]
    if record.published:
        sections += ["## The paper's numbers, on other data and another benchmark", published_grid(record).markdown()]
    if record.missing:
        sections += [f"**Incomplete**: {', '.join(record.missing)} missing."]
    return "\n\n".join(sections) + "\n"


def _claims(record: AblationRecord) -> list[str]:
    if not record.claims:
        return []
    told = [f"- **{record.told(claim)}**: {claim.text} ({claim.source})" for claim in record.claims]
    return ["## Claims", *told, claim_grid(record).markdown(), _LEGEND]


def terminal(record: AblationRecord) -> str:
    """The same, shorter."""
    return "\n".join(
        [
            f"Ablation {record.name}, profile {record.profile}",
            textwrap.fill(record.question, WIDTH),
            _POINTS,
            cell_grid(record).text(),
            "",
            *([headroom_grid(record).text(), ""] if headroom(record) else []),
            *(f"  {record.told(claim)}: {claim.text} ({claim.source})" for claim in record.claims),
            *(["", claim_grid(record).text()] if record.claims else []),
        ]
    )


def cell_grid(record: AblationRecord) -> Grid:
    """One row a cell: points, mean over seeds with their deviation, and the interval of the average."""
    rows = []
    for cell in record.cells:
        scores = [_spread(cell, column) for column in (*COLUMNS, AVERAGE)]
        rows.append([cell.label, ", ".join(map(str, cell.seeds)) or ABSENT, *scores, _interval(cell)])
    return Grid(["model", "seeds", *(COLUMN_HEADERS[column] for column in COLUMNS), AVERAGE, "interval"], rows)


def claim_grid(record: AblationRecord) -> Grid:
    """One row a claim: its difference in points and all that speaks for or against it."""
    rows = [
        [
            claim.id,
            record.told(claim),
            ABSENT if claim.difference is None else format_difference(claim.difference),
            *(_p(value) for value in (claim.p_value, claim.p_adjusted, claim.p_items, claim.p_seeds)),
            _effect(claim.effect_seeds),
            _won(claim),
            _effect(claim.effect_tasks),
        ]
        for claim in record.claims
    ]
    headers = ["claim", "verdict", "difference", "p", "p (Holm)", "p (items)", "p (seeds)", "d (seeds)", "tasks won"]
    return Grid([*headers, "d (tasks)"], rows)


def published_grid(record: AblationRecord) -> Grid:
    """The paper's points, each with where it was read."""
    rows = [
        [point.label, f"{point.points:.1f}", f"{'second-hand: ' if point.second_hand else ''}{point.source}"]
        for point in record.published
    ]
    return Grid(["model", "average", "source"], rows)


def runs_csv(record: AblationRecord) -> str:
    """One row a run and evaluation; points with four decimals, empty where absent."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    axes = [axis.name for axis in record.axes]
    writer.writerow(["cell", *axes, "seed", "run", *COLUMNS, AVERAGE])
    for cell in record.cells:
        levels = [cell.levels.get(axis, "") for axis in axes]
        for seed, run, columns in zip(cell.seeds or ("",), cell.runs, cell.columns, strict=True):
            points = [f"{100 * columns[name]:.4f}" if name in columns else "" for name in (*COLUMNS, AVERAGE)]
            writer.writerow([cell.id, *levels, seed, run, *points])
    return stream.getvalue()


_POINTS = "Points; means over seeds, ± their standard deviation over several."

_LEGEND = (
    "difference: points, with its interval over test items and seeds; p: two-sided, of the same bootstrap; p (Holm): "
    "corrected for the number of claims above, what the verdict goes by; p (items), p (seeds): permutations; d: mean "
    "over standard deviation of the differences by seed and by task."
)


def _made(record: AblationRecord) -> str:
    """On what, where and in what time."""
    made, cost = record.provenance["hardware"], record.provenance["cost"]
    data = ", ".join(f"{name} {sha256[:8]}" for name, sha256 in record.provenance["data"].items())
    return (
        f"Trainings of {record.trained}. Data: {data}; "
        f"{made['cores']} cores ({made['cpu']}{', ' + made['gpu'] if made['gpu'] else ''}); "
        f"{cost['train_s'] / 60:.0f} minutes of training, {cost['evaluate_s'] / 60:.0f} of evaluation."
    )


def _spread(cell: Cell, column: str) -> str:
    if column not in cell.scores:
        return ABSENT
    deviation = f" ± {100 * cell.deviations[column]:.1f}" if len(cell.seeds) > 1 else ""
    return f"{100 * cell.scores[column]:.1f}{deviation}"


def _interval(cell: Cell) -> str:
    if AVERAGE not in cell.intervals:
        return ABSENT
    interval = cell.intervals[AVERAGE]
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _p(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}"


def _effect(value: float | None) -> str:
    return ABSENT if value is None else f"{value:+.1f}"


def _won(claim: Tested) -> str:
    return ABSENT if claim.tasks_won is None else f"{claim.tasks_won}/{claim.tasks_total}"
