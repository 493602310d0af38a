"""An ablation's record as tables: Markdown, CSV, and text for a terminal. Points, where the record has 0-1."""

from __future__ import annotations

import textwrap

from one_embedder.reproduction.ablation.headroom import headroom
from one_embedder.reproduction.ablation.headroom_tables import headroom_grid, headroom_section
from one_embedder.reproduction.ablation.record import AblationRecord, Cell, Tested
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMN_HEADERS, COLUMNS
from one_embedder.reproduction.table1.tables import ABSENT, format_bounds, format_difference, points, points_csv

WIDTH = 120
_DECIDED = ("difference", "p (Holm)", "tasks won", "verdict")


def to_markdown(record: AblationRecord) -> str:
    """Cells, claims and the paper's numbers."""
    sections = [
        f"# {_title(record)}",
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
    told = [f"  {record.told(claim)}: {claim.text} ({claim.source})" for claim in record.claims]
    top = [_title(record), textwrap.fill(record.question, WIDTH), _POINTS, cell_grid(record).text(), ""]
    top += [headroom_grid(record).text(), ""] if headroom(record) else []
    return "\n".join([*top, *told, *(["", claim_grid(record).text()] if record.claims else [])])


def _title(record: AblationRecord) -> str:
    return f"Ablation {record.name}, profile {record.profile}"


def cell_grid(record: AblationRecord) -> Grid:
    """One row a cell: points, mean over seeds with their deviation, and the interval of the average."""
    rows = []
    for cell in record.cells:
        scores = [_spread(cell, column) for column in (*COLUMNS, AVERAGE)]
        rows.append(
            [cell.label, ", ".join(map(str, cell.seeds)) or ABSENT, *scores, format_bounds(cell.intervals.get(AVERAGE))]
        )
    return Grid(["model", "seeds", *(COLUMN_HEADERS[column] for column in COLUMNS), AVERAGE, "interval"], rows)


def claim_grid(record: AblationRecord) -> Grid:
    """One row a claim, by its name: what decided it, and its verdict."""
    return Grid(["claim", *_DECIDED], [[claim.id, *_decided(record, claim)] for claim in record.claims])


def claim_sentences(record: AblationRecord) -> Grid:
    """The same with the sentence of each claim, and where it comes from."""
    rows = [[claim.text, claim.source, *_decided(record, claim)] for claim in record.claims]
    return Grid(["claim", "from", *_DECIDED], rows)


def _decided(record: AblationRecord, claim: Tested) -> list[str]:
    return [
        ABSENT if claim.difference is None else format_difference(claim.difference),
        ABSENT if claim.p_adjusted is None else f"{claim.p_adjusted:.3f}",
        ABSENT if claim.tasks_won is None else f"{claim.tasks_won} of {claim.tasks_total}",
        record.told(claim),
    ]


def published_grid(record: AblationRecord) -> Grid:
    """The paper's points, each with where it was read."""
    rows = [
        [point.label, f"{point.points:.1f}", f"{'second-hand: ' if point.second_hand else ''}{point.source}"]
        for point in record.published
    ]
    return Grid(["model", "average", "source"], rows)


def runs_csv(record: AblationRecord) -> str:
    """One row a run and evaluation; points with four decimals, empty where absent."""
    rows = [
        {"cell": cell.id, **cell.levels, "seed": seed, "run": run, **points(columns)}
        for cell in record.cells
        for seed, run, columns in zip(cell.seeds or ("",), cell.runs, cell.columns, strict=True)
    ]
    return points_csv(rows, ["cell", *(axis.name for axis in record.axes), "seed", "run", *COLUMNS, AVERAGE])


_POINTS = "Points; means over seeds, ± their standard deviation over several."

_LEGEND = (
    "difference: points, with its interval over test items and seeds; p (Holm): two-sided, of the same bootstrap, "
    "corrected for the number of claims above. The verdict goes by both."
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
