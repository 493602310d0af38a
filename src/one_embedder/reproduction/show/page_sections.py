"""From records to the sections of the report page. Every number keeps its run, its commit and the hash of its data."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from one_embedder.errors import DataError
from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.ablation.record import AblationRecord
from one_embedder.reproduction.ablation.record import Cell as AblationCell
from one_embedder.reproduction.show.figures import ablation_figure, averages_figure, claims_figure, differences_figure
from one_embedder.reproduction.show.page_headroom import headroom_drawings, headroom_tables
from one_embedder.reproduction.show.page_model import (
    ALL_COLUMNS,
    ALL_HEADERS,
    Cell,
    Drawing,
    Link,
    Section,
    Table,
    difference_cell,
    number_cell,
    score_cell,
)
from one_embedder.reproduction.show.svg import inline_svg
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS, WITHOUT
from one_embedder.reproduction.steps.profiles import DEFAULT, make_command
from one_embedder.reproduction.table1.published import PublishedTable
from one_embedder.reproduction.table1.record import read_table1
from one_embedder.tracking.run_index import RunFile

RunFiles = Mapping[str, RunFile]


def table1_section(experiments: Path, profile: str, runs: RunFiles) -> Section:
    """The recorded reproduction of one profile, or what is to be run for it.

    Raises:
        DataError: the record is there but cannot be read.
    """
    title = f"Table 1, profile {profile}"
    path = experiments / "table1" / f"{profile}.json"
    if not path.is_file():
        command = make_command("reproduce-table1", profile)
        return Section(f"table1-{profile}", title, missing=[f"Profile {profile} was not run here: {command}"])
    record = read_table1(path)
    try:
        return Section(
            f"table1-{profile}",
            title,
            paragraphs=[record["statement"], _expected_against_obtained(record["verdicts"])],
            drawings=_table1_drawings(record),
            tables=[
                _table1(record, runs),
                _table1_claims(record),
                *_task_table(path.with_name(f"{profile}_tasks.csv")),
            ],
            facts=facts(record),
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not the record of a reproduction ({error!r}); run it again") from error


def paper_section(published: PublishedTable) -> Section:
    """The paper's own rows."""
    rows = [
        [
            Cell(f"{row.model} ({row.parameters})"),
            *(number_cell(value, ".1f") for value in (*(row.scores[column] for column in COLUMNS), row.average)),
        ]
        for row in published.rows
    ]
    note = (
        "Other data, other models and other tasks than ours: to be read beside our numbers, never in one column. Taken "
        "from a second-hand copy and checked against itself and against public scores of single tasks; averages are "
        "computed."
    )
    table = Table("The paper's headline table, points", ["model", *ALL_HEADERS], rows)
    return Section("paper", "The paper's rows", [published.source, note], tables=[table])


def ablation_section(record: AblationRecord, runs: RunFiles) -> Section:
    """One ablation: its figure, every cell, every claim, and headroom where that is asked for."""
    drawings = headroom_drawings(record)
    if not drawings and _is_drawn(record):
        drawings.append(_drawing(f"{record.name}: average with its interval", ablation_figure(record)))
    differences = claims_figure(record)
    if differences is not None:
        drawings.append(_drawing(f"{record.name}: the difference that decides each claim", differences))
    missing = [
        f"{len(record.missing)} of its runs are not there ({', '.join(record.missing)}): "
        + make_command(f"ablation-{record.name}", record.profile)
    ]
    return Section(
        f"ablation-{record.profile}-{record.name}",
        f"Ablation: {record.name.replace('_', ' ')}, profile {record.profile}",
        paragraphs=[record.question, f"Trainings of {record.trained}; {len(record.task_categories)} tasks."],
        missing=[] if record.is_complete else missing,
        drawings=drawings,
        tables=[
            *headroom_tables(record),
            _cell_table(record, runs),
            *([_claim_table(record)] if record.claims else []),
        ],
        facts=facts(record.provenance),
    )


def absent_ablations(names: Sequence[str], records: Sequence[AblationRecord]) -> Section:
    """The ablations that are configured and have no record on the default profile."""
    absent = sorted(set(names) - {record.name for record in records if record.profile == DEFAULT})
    return Section(
        "not-run",
        "Not run",
        paragraphs=[] if absent else [f"Every ablation has a record on the profile {DEFAULT}."],
        missing=[f"The ablation {name} was not run on the profile {DEFAULT}: make ablation-{name}" for name in absent],
    )


def runs_section(runs: RunFiles) -> Section:
    """Every run record that is kept."""
    if not runs:
        return Section("runs", "Run records", missing=["There are no run records: make reproduce-table1"])
    each = {run.target: run for run in runs.values()}
    rows = [_run_row(run) for run in sorted(each.values(), key=lambda run: run.id)]
    columns = ["run", "what", "status", "commit", "data", "steps", "minutes", "tokens/s", "GiB", "precision"]
    note = "The file behind each name holds the command, the settings, versions, hardware, cost and outcome."
    return Section("runs", "Run records", [note], tables=[Table("Runs", columns, rows)])


def facts(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Where numbers come from, in words: code, data, settings, environment, machine, intervals, cost."""
    code, machine, bootstrap = (provenance[key] for key in ("code", "hardware", "bootstrap"))
    environment = ", ".join(f"{key} {value}" for key, value in provenance["environment"].items())
    return {
        "commit": f"{code['commit'] or 'unknown'}{' with changes' if code['dirty'] else ''}",
        **{f"data: {name}": f"sha256 {value}" for name, value in provenance["data"].items()},
        "settings": f"sha256 {provenance['settings']}",
        "environment": environment,
        **({"kind of machine": "; ".join(provenance["machine_kind"])} if "machine_kind" in provenance else {}),
        "hardware": f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, "
        + (f"{machine['gpu_count']} x {machine['gpu']}" if machine["gpu"] else "no GPU"),
        "intervals": f"{100 * bootstrap['confidence']:g} %, paired bootstrap over test items and seeds, "
        f"{bootstrap['resamples']} resamples, seed {bootstrap['seed']}",
        "cost": _cost(provenance["cost"]),
    }


def _expected_against_obtained(verdicts: Mapping[str, Any]) -> str:
    counts = Counter(cell["verdict"] for cell in verdicts["cells"])
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    said = verdicts["note"] or f"Expected against obtained, cell by cell: {told}."
    return f"{said} {verdicts['warning']}".strip()


def _cost(cost: Mapping[str, Any]) -> str:
    seconds = {key.removesuffix("_s"): value for key, value in cost.items() if key.endswith("_s")}
    return ", ".join(f"{key} {value / 60:.1f} minutes" for key, value in seconds.items())


def _table1(record: Mapping[str, Any], runs: RunFiles) -> Table:
    rows = []
    for row in record["rows"]:
        bounds = {column: Interval(row["scores"][column], *row["intervals"][column]) for column in row["intervals"]}
        scores = [score_cell(row["scores"].get(column), bounds.get(column)) for column in ALL_COLUMNS]
        names = [Path(folder).parent.name for folder in row["results"]]
        rows.append([Cell(row["label"]), *scores, _links(names, runs)])
    return Table("Points, with intervals; finetuned rows are means over seeds", ["model", *ALL_HEADERS, "runs"], rows)


def _table1_claims(record: Mapping[str, Any]) -> Table:
    rows = [
        [
            Cell(claim["claim"]),
            Cell(claim["told"]),
            difference_cell(Interval(**claim["difference"])),
            number_cell(claim["p_adjusted"]),
        ]
        for claim in record["claims"]
    ]
    return Table("Claims; p values are two-sided", ["claim", "verdict", "difference", "p (Holm)"], rows)


def _table1_drawings(record: Mapping[str, Any]) -> list[Drawing]:
    drawings = [_drawing(f"Profile {record['profile']}: averages with their intervals", averages_figure(record))]
    if WITHOUT.id in record["differences"]:
        caption = f"Profile {record['profile']}: with instructions minus {WITHOUT.label}"
        drawings.append(_drawing(caption, differences_figure(record, WITHOUT.id)))
    return drawings


def _task_table(path: Path) -> list[Table]:
    """Every task, mean over seeds; no table where the file is not kept."""
    if not path.is_file():
        return []
    scores: dict[tuple[str, str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            task = (row["task"], row["category"], row["metric"], row["items"])
            scores[task][row["model"]].append(float(row["points"]))
    models = list(dict.fromkeys(model for of_task in scores.values() for model in of_task))
    rows = [
        [
            *(Cell(text) for text in task[:3]),
            number_cell(int(task[3]), "d"),
            *(number_cell(fmean(of_task[model]) if of_task[model] else None, ".1f") for model in models),
        ]
        for task, of_task in scores.items()
    ]
    return [Table("Every task, points", ["task", "category", "metric", "items", *models], rows)]


def _cell_table(record: AblationRecord, runs: RunFiles) -> Table:
    rows = []
    for cell in record.cells:
        scores = [score_cell(cell.scores.get(column), cell.intervals.get(column)) for column in ALL_COLUMNS]
        seeds = ", ".join(map(str, cell.seeds)) or "-"
        rows.append([Cell(cell.label), Cell(seeds), *scores, _links(_run_names(cell), runs)])
    return Table("Points, with intervals; means over seeds", ["model", "seeds", *ALL_HEADERS, "runs"], rows)


def _claim_table(record: AblationRecord) -> Table:
    rows = [
        [
            Cell(claim.text),
            Cell(record.told(claim)),
            difference_cell(claim.difference),
            number_cell(claim.p_adjusted),
            number_cell(claim.p_items),
            number_cell(claim.p_seeds),
            number_cell(claim.effect_seeds, "+.2f"),
            Cell("-" if claim.tasks_won is None else f"{claim.tasks_won} of {claim.tasks_total}", claim.tasks_won),
            Cell(claim.source),
        ]
        for claim in record.claims
    ]
    columns = ["claim", "verdict", "difference", "p (Holm)", "p items", "p seeds", "effect", "tasks won", "from"]
    return Table("Claims; p values are two-sided, effect is mean over deviation of seeds", columns, rows)


def _run_row(run: RunFile) -> list[Cell]:
    manifest, cost = run.manifest, run.manifest.get("cost") or {}
    data = ", ".join(str(item.get("sha256"))[:8] for item in manifest["data"][:1])
    more = f" and {len(manifest['data']) - 1} more" if len(manifest["data"]) > 1 else ""
    seconds = cost.get("wall_s")
    return [
        Cell(run.id, links=[Link(run.id, run.target)]),
        Cell(str(manifest["name"])),
        Cell(str(manifest["status"])),
        Cell(str(manifest["code"]["commit"])[:8] + (" with changes" if manifest["code"]["dirty"] else "")),
        Cell(data + more),
        number_cell(cost.get("steps"), "d"),
        number_cell(None if seconds is None else seconds / 60, ".1f"),
        number_cell(cost.get("tokens_per_s"), ".0f"),
        number_cell(cost.get("peak_memory_gib"), ".1f"),
        Cell(str((manifest.get("batch") or {}).get("precision", "-"))),
    ]


def _links(names: Sequence[str], runs: RunFiles) -> Cell:
    """The runs behind a row; a name without a link is a run whose record is not kept here."""
    return Cell(", ".join(names), links=[Link(name, runs[name].target if name in runs else None) for name in names])


def _run_names(cell: AblationCell) -> list[str]:
    return [] if cell.reference else list(dict.fromkeys(cell.runs))


def _is_drawn(record: AblationRecord) -> bool:
    return bool(record.axes) and any(not cell.reference and AVERAGE in cell.scores for cell in record.cells)


def _drawing(caption: str, figure: Any) -> Drawing:
    return Drawing(inline_svg(figure, caption), caption)
