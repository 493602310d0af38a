"""From records to the sections of the report page. Every number keeps its run, its commit and the hash of its data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from one_embedder.errors import DataError
from one_embedder.reproduction.ablation.headroom import headroom
from one_embedder.reproduction.ablation.headroom_tables import LEGEND, headroom_grid
from one_embedder.reproduction.ablation.record import AblationRecord
from one_embedder.reproduction.ablation.tables import claim_sentences, published_grid
from one_embedder.reproduction.compare.side_by_side_record import (
    ABOVE_FIRST,
    difference_grid,
    interval_grid,
    main_grid,
    read_side_by_side,
)
from one_embedder.reproduction.show.figures import (
    averages_figure,
    claims_figure,
    differences_figure,
    growth_figure,
    headroom_figure,
    inline_svg,
)
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.show.page_model import Drawing, Link, Section, Table
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMN_HEADERS, COLUMNS, WITHOUT
from one_embedder.reproduction.steps.places import RECORDED
from one_embedder.reproduction.steps.profiles import DEFAULT, make_command
from one_embedder.reproduction.table1.published import PublishedTable
from one_embedder.reproduction.table1.record import read_table1
from one_embedder.reproduction.table1.tables import (
    ABSENT,
    ALL_COLUMNS,
    bounds_of,
    claim_grid,
    format_interval,
    means_over_seeds,
    paper_grid,
    task_grid,
)
from one_embedder.reproduction.table1.verdicts import Verdict
from one_embedder.tracking.run_index import RunFile

RunFiles = Mapping[str, RunFile]

_MEANS: Mapping[Verdict, str] = {
    Verdict.OK: "are the same, up to what a repetition may change",
    Verdict.NEAR: "are a little further apart than that",
    Verdict.OFF: "differ by more than a repetition may change",
    Verdict.MISSING: "are missing",
    Verdict.NOT_RUN: "were not run",
    Verdict.STALE: "belong to other settings or data",
    Verdict.OTHER_DATA: "belong to the data of another environment",
    Verdict.NO_EXPECTED: "have nothing to be compared with",
}
_HEADERS = [*(COLUMN_HEADERS[column] for column in COLUMNS), AVERAGE]


def table1_title(profile: str, whose: str) -> str:
    """Of a reproduction's section."""
    return f"Table 1, profile {profile}: {whose}"


def table1_section(path: Path, whose: str, runs: RunFiles) -> Section:
    """A reproduction of one profile.

    Args:
        path: of its record.
        whose: as ``places`` says.
        runs: every run record that is kept.

    Raises:
        DataError: the record cannot be read.
    """
    record, profile = read_table1(path), path.stem
    try:
        title = table1_title(profile, whose)
        return Section(
            "result",
            _anchor("table1", profile, whose),
            title,
            paragraphs=[record["statement"], _expected_against_obtained(record["verdicts"], whose)],
            drawings=_table1_drawings(record, title),
            tables=[
                _table1(record, runs),
                Table("Claims; p values are two-sided", claim_grid(record)),
                *_task_table(path.with_name(f"{profile}_tasks.csv")),
            ],
            facts=facts(record),
        )
    except (LookupError, TypeError) as error:
        raise DataError(f"{path}: not the record of a reproduction ({error!r}); run it again") from error


def paper_section(published: PublishedTable) -> Section:
    """The paper's own rows."""
    note = (
        "Other data, other models and other tasks than ours: to be read beside our numbers, never in one column. Taken "
        "from a second-hand copy and checked against itself and against public scores of single tasks; averages are "
        "computed."
    )
    table = Table("The paper's headline table, points", paper_grid(published))
    return Section("paper", "paper", "The paper's rows", paragraphs=[published.source, note], tables=[table])


def claims_section(records: Sequence[tuple[AblationRecord, str]]) -> Section:
    """What every ablation found: one table for each profile, one's own apart."""
    grids: dict[str, list[list[str]]] = {}
    for record, whose in records:
        rows = [[record.name.replace("_", " "), *row] for row in claim_sentences(record).rows]
        grids.setdefault(f"Profile {record.profile}: {whose}", []).extend(rows)
    headers = ["ablation", "claim", "from", "difference", "p (Holm)", "tasks won", "verdict"]
    tables = [Table(f"{title}; p values are two-sided", Grid(headers, rows)) for title, rows in grids.items() if rows]
    note = (
        "Each changes one thing of the recipe. Differences are points; figures and every model are in the folded parts."
    )
    return Section("result", "ablations", "Ablations: what each part is worth", paragraphs=[note], tables=tables)


def ablation_section(record: AblationRecord, whose: str, runs: RunFiles) -> Section:
    """One ablation: its figures, every cell, the paper's numbers, and headroom where that is asked for."""
    title = f"Ablation: {record.name.replace('_', ' ')}, profile {record.profile}: {whose}"
    differences, has_headroom = claims_figure(record), bool(headroom(record))
    drawings = []
    if (growth := growth_figure(record)) is not None:
        drawings.append(_drawing(f"{record.name}: the average against the steps of training", growth))
    if has_headroom:
        caption = f"{record.name}: every task's models for everything, and its best specialist"
        drawings.append(_drawing(caption, headroom_figure(record)))
    if differences is not None:
        drawings.append(_drawing(f"{title}. The difference that decides each claim", differences))
    missing = [
        f"{len(record.missing)} of its runs are not there ({', '.join(record.missing)}): "
        + make_command(f"ablation-{record.name}", record.profile)
    ]
    counts = Counter(claim.verdict for claim in record.claims)
    return Section(
        "detail",
        _anchor("ablation", f"{record.profile}-{record.name}", whose),
        title,
        summary=", ".join(f"{count} {verdict}" for verdict, count in counts.items()),
        paragraphs=[record.question, f"Trainings of {record.trained}; {len(record.task_categories)} tasks."],
        missing=[] if record.is_complete else missing,
        drawings=drawings,
        tables=[
            *([Table(f"Headroom, points. {LEGEND}", headroom_grid(record))] if has_headroom else []),
            _cell_table(record, runs),
            *([Table("The paper's numbers, on other data", published_grid(record))] if record.published else []),
        ],
        facts=facts(record.provenance),
    )


def side_by_side_section(path: Path) -> Section:
    """Evaluations of a folder benchmark that were recorded side by side.

    Raises:
        DataError: the record cannot be read.
    """
    record = read_side_by_side(path)
    try:
        rows = record["rows"]
        tables = [Table("Points", main_grid(record)), Table("Every column with its interval", interval_grid(record))]
        if rows[1:]:
            tables.append(Table(f"Difference from {rows[0]['label']}, points", difference_grid(record)))
        return Section(
            "detail",
            f"folder-{path.stem}",
            f"Side by side: {path.stem.replace('_', ' ')}",
            summary=f"{len(rows)} models on the same tasks",
            paragraphs=[ABOVE_FIRST] if rows[1:] else [],
            tables=tables,
            facts={
                **{row["label"]: "; ".join(map(_evaluation_facts, row["evaluations"])) for row in rows},
                "data, sha256": ", ".join(map(_data_fact, rows[0]["evaluations"][0]["data"])),
            },
        )
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a record of evaluations side by side ({error!r}); make it again") from error


def absent_section(tables: Sequence[Path], names: Sequence[str], records: Sequence[AblationRecord]) -> Section:
    """What of the default profile has no record and was not run here.

    Args:
        tables: the records of Table 1 that are there.
        names: of all ablations that are configured.
        records: of those that ran.
    """
    absent = sorted(set(names) - {record.name for record in records if record.profile == DEFAULT})
    missing = [f"The ablation {name} was not run on the profile {DEFAULT}: make ablation-{name}" for name in absent]
    if DEFAULT not in {path.stem for path in tables}:
        missing.insert(
            0, f"Table 1 of the profile {DEFAULT} was not run here: {make_command('reproduce-table1', DEFAULT)}"
        )
    everything = [f"Table 1 and every ablation have a record on the profile {DEFAULT}."]
    return Section("todo", "not-run", "Not run", paragraphs=[] if missing else everything, missing=missing)


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


def _anchor(kind: str, name: str, whose: str) -> str:
    return f"{kind}-{name}" if whose == RECORDED else f"{kind}-{name}-own"


def _expected_against_obtained(verdicts: Mapping[str, Any], whose: str) -> str:
    """What a repetition showed, in words."""
    if whose == RECORDED and verdicts["note"]:
        return "This is the record: what you run is compared with it."
    counts = Counter(Verdict(cell["verdict"]) for cell in verdicts["cells"])
    told = ", ".join(f"{count} {_MEANS[verdict]}" for verdict, count in counts.items())
    said = verdicts["note"] or f"Compared with the run recorded before, of {counts.total()} numbers {told}."
    return f"{said} {verdicts['warning']}".strip()


def _cost(cost: Mapping[str, Any]) -> str:
    seconds = {key.removesuffix("_s"): value for key, value in cost.items() if key.endswith("_s")}
    return ", ".join(f"{key} {value / 60:.1f} minutes" for key, value in seconds.items())


def _table1(record: Mapping[str, Any], runs: RunFiles) -> Table:
    rows, links = [], []
    for row in record["rows"]:
        cells = [bounds_of(row, column) for column in ALL_COLUMNS]
        rows.append([row["label"], *(ABSENT if cell is None else format_interval(cell) for cell in cells)])
        links.append(_links([Path(folder).parent.name for folder in row["results"]], runs))
    return Table(f"Points, with intervals; {means_over_seeds(record)}", Grid(["model", *_HEADERS], rows), links)


def _table1_drawings(record: Mapping[str, Any], title: str) -> list[Drawing]:
    if WITHOUT.id not in record["differences"]:
        return [_drawing(f"{title}. Averages with their intervals", averages_figure(record))]
    return [_drawing(f"{title}. With instructions minus {WITHOUT.label}", differences_figure(record, WITHOUT.id))]


def _task_table(path: Path) -> list[Table]:
    """Every task, mean over seeds; no table where the file is not kept."""
    return [Table("Every task, points", task_grid(pd.read_csv(path)), folded=True)] if path.is_file() else []


def _cell_table(record: AblationRecord, runs: RunFiles) -> Table:
    rows, links = [], []
    for cell in record.cells:
        scores = [format_interval(cell.intervals[name]) if name in cell.scores else ABSENT for name in ALL_COLUMNS]
        rows.append([cell.label, ", ".join(map(str, cell.seeds)) or ABSENT, *scores])
        links.append([] if cell.reference else _links(list(dict.fromkeys(cell.runs)), runs))
    return Table("Points, with intervals; means over seeds", Grid(["model", "seeds", *_HEADERS], rows), links)


def _links(names: Sequence[str], runs: RunFiles) -> list[Link]:
    """The runs behind a row; a name without a link is a run whose record is not kept here."""
    return [Link(name, runs[name].target if name in runs else None) for name in names]


def _drawing(caption: str, figure: Any) -> Drawing:
    return Drawing(inline_svg(figure, caption), caption)


def _data_fact(data: Mapping[str, Any]) -> str:
    """A task folder by its hash; a data set of the hub by its revision."""
    return f"{data['name']} {str(data.get('sha256') or data.get('revision'))[:12]}"


def _evaluation_facts(evaluation: Mapping[str, Any]) -> str:
    machine, minutes = evaluation["hardware"], evaluation["cost"]["wall_s"] / 60
    return (
        f"{evaluation['model']['base']}, instructions {evaluation['instructions']}, run {evaluation['run_id']}, commit "
        f"{str(evaluation['code']['commit'])[:8]}, {machine['cores']} cores ({machine['cpu']}), {minutes:.0f} minutes"
    )
