"""The verb ``reproduce`` with ``ablation=NAME``: one child of it, or the tables over those that ran.

``--multirun`` runs every child (see ``config.ablation``), each a job of Hydra's launcher that leaves a run record; one
that fails stops none of the others. Without it nothing is trained or scored: the records and results that are there
become ``<profile>.json``, ``.csv`` and ``.md``, and what is missing is named.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from one_embedder.config.ablation import Child, Variant, cell_id, children, variants
from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.evaluation.benchmarks import TaskScore, load_scores
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.files.lock import holding
from one_embedder.reproduction.ablation.child import (
    ChildRecord,
    ablation_folder,
    children_folder,
    extent_of,
    read_children,
    require_possible,
    require_recordable,
    run_child,
)
from one_embedder.reproduction.ablation.headroom import headroom_cells
from one_embedder.reproduction.ablation.headroom_tables import headroom_csv
from one_embedder.reproduction.ablation.record import AblationRecord, Axis, Cell, PublishedPoint, write_record
from one_embedder.reproduction.ablation.tables import runs_csv, terminal, to_markdown
from one_embedder.reproduction.show.wandb_tables import ablation_tables
from one_embedder.reproduction.statistics.bootstrap import Bootstrap, paired_bootstrap
from one_embedder.reproduction.statistics.contrasts import Evidence, decide_all
from one_embedder.reproduction.statistics.layout import RowSpec
from one_embedder.reproduction.statistics.rows import RowRuns, run_columns
from one_embedder.reproduction.steps.places import told_written
from one_embedder.reproduction.steps.profiles import make_command
from one_embedder.reproduction.steps.verbs import Stages
from one_embedder.tracking.manifest import read_settings, write_atomically
from one_embedder.tracking.wandb_run import log_results

EXIT_MISSING = 2


def ablate(cfg: Config, stages: Stages | None = None) -> int:
    """Run the child that ``cfg.ablation.child`` names; without one, tabulate.

    Returns:
        Exit code: 0, or 2 if children are missing.
    """
    if cfg.ablation.child is not None:
        run_child(cfg, stages)
        return 0
    require_possible(cfg)
    with holding(ablation_folder(cfg), cfg.profile):
        return tabulate(cfg)


def tabulate(cfg: Config) -> int:
    """Write the tables over the children that have run, print them, and name those that have not.

    Returns:
        Exit code: 0, or 2 if children are missing, or categories that a claim needs.

    Raises:
        DataError: if a record is damaged, two are of the same run, they belong to different data or settings, their
            results are not those that they tell of, or the recorded table rests on more.
    """
    names = {child.id for child in children(cfg.ablation)}
    found = [record for record in read_children(children_folder(cfg)) if record.id in names]
    records = comparable(found, cfg.ablation.name)
    missing = _missing(cfg, records)
    record = _record(cfg, {name: found for name, found in records.items() if found.status == "completed"}, missing)
    if cfg.table.record:
        require_recordable(ablation_folder(cfg) / f"{cfg.profile}.json", extent_of(record))
    written = _write(record, ablation_folder(cfg))
    name = f"{record.name} {record.profile}"
    log_results(cfg, ablation_folder(cfg), "ablation", name, ablation_tables(record), {})
    lines = [terminal(record), "", *(f"missing: {what}" for what in missing.values())]
    if missing:
        command = make_command(f"ablation-{cfg.ablation.name}", cfg.profile)
        lines.append(f"run them with: {command}; what has been done is not done again")
    sys.stdout.write("\n".join([*lines, told_written(cfg, written)]) + "\n")
    return EXIT_MISSING if missing or any(claim.verdict == "missing" for claim in record.claims) else 0


def comparable(records: Sequence[ChildRecord], name: str) -> dict[str, ChildRecord]:
    """The records by child, once it is sure that they may stand in one table.

    Raises:
        DataError: if completed ones were run on different data, or with different settings beside their levels'.
    """
    completed = [record for record in records if record.status == "completed"]
    _require_one("data", {record.id: record.data for record in completed}, name)
    _require_one("settings", {record.id: {"hash": record.metrics["settings"]} for record in completed}, name)
    return {record.id: record for record in records}


def _require_one(what: str, facts: Mapping[str, Mapping[str, str]], name: str) -> None:
    """Raise DataError unless all children have the same facts (name -> hash)."""
    groups: dict[str, list[str]] = defaultdict(list)
    for child, hashes in facts.items():
        groups[", ".join(f"{key} {value[:8]}" for key, value in hashes.items())].append(child)
    if len(groups) > 1:
        listed = "; ".join(f"{hashes}: {', '.join(ids)}" for hashes, ids in groups.items())
        raise DataError(
            f"the runs of ablation {name} belong to different {what} and cannot be compared ({listed}). Run those of "
            f"older {what} again (make ablation-{name}), or keep them apart with output=FOLDER"
        )


def _missing(cfg: Config, records: Mapping[str, ChildRecord]) -> dict[str, str]:
    """Child -> why it is missing."""
    missing = {}
    for child in children(cfg.ablation):
        record = records.get(child.id)
        if record is None:
            missing[child.id] = f"{child.id} has not run"
        elif record.status == "failed":
            missing[child.id] = f"{child.id} failed ({record.error}), see {record.folder}"
        elif record.status != "completed":
            missing[child.id] = f"{child.id} was started and has not ended"
        else:
            wanted = [variant.levels for variant in variants(cfg.ablation, child)]
            if any(levels not in [done["levels"] for done in record.metrics["evaluations"]] for levels in wanted):
                missing[child.id] = f"{child.id} was not scored in every variant"
    return missing


def _record(cfg: Config, records: Mapping[str, ChildRecord], missing: Mapping[str, str]) -> AblationRecord:
    groups = _cells(cfg, {name: found for name, found in records.items() if name not in missing})
    rows = {name: _row(name, runs, cfg) for name, runs in groups.items()}
    table = cfg.table
    bootstrap = Bootstrap({}, {}, table.confidence)
    if rows:
        bootstrap = paired_bootstrap(
            list(rows.values()), resamples=table.bootstrap_resamples, confidence=table.confidence, seed=cfg.seed
        )
    first = next(iter(rows.values())).runs[0] if rows else ()
    ablation = cfg.ablation
    cells = [_cell(row, groups[name], bootstrap) for name, row in rows.items()]
    return AblationRecord(
        name=ablation.name,
        profile=cfg.profile,
        question=ablation.question,
        seeds=list(ablation.seeds),
        axes=[Axis(name, axis.label or name, axis.evaluated, axis.levels) for name, axis in ablation.axes.items()],
        cells=cells,
        claims=decide_all(ablation, Evidence(rows, bootstrap)),
        published=[
            PublishedPoint(point.label, point.levels, point.points, point.source, point.second_hand)
            for point in ablation.published
        ],
        missing=list(missing),
        task_categories={score.task: score.category for score in first},
        headroom=headroom_cells(ablation, cells),
        provenance=_provenance(cfg, records),
    )


Runs = Sequence[tuple[Child, Variant, ChildRecord]]


def _cells(cfg: Config, records: Mapping[str, ChildRecord]) -> dict[str, Runs]:
    """Cell -> its children, references first; only cells whose every seed is there."""
    cells: dict[str, list[tuple[Child, Variant, ChildRecord]]] = defaultdict(list)
    wanted: dict[str, int] = defaultdict(int)
    for child in children(cfg.ablation):
        for variant in variants(cfg.ablation, child):
            name = child.id if child.seed is None else cell_id(cfg.ablation, {**child.levels, **variant.levels})
            wanted[name] += 1
            if child.id in records:
                cells[name].append((child, variant, records[child.id]))
    return {name: runs for name, runs in cells.items() if len(runs) == wanted[name]}


def _row(name: str, runs: Runs, cfg: Config) -> RowRuns:
    is_reference = runs[0][0].seed is None
    spec = RowSpec(name, _label(name), None if is_reference else True, True)
    scores, folders = [], []
    for _, variant, record in runs:
        evaluation = _evaluation(record, variant)
        folders.append(str(evaluation["results"]))
        scores.append(_scores(evaluation, record))
    return RowRuns(spec, () if is_reference else tuple(cfg.ablation.seeds), tuple(scores), tuple(folders))


def _label(name: str) -> str:
    return name.replace("_", " ").replace("+", ", ")


def _evaluation(record: ChildRecord, variant: Variant) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(done for done in record.metrics["evaluations"] if done["levels"] == variant.levels)
    return found


def _scores(evaluation: Mapping[str, Any], record: ChildRecord) -> tuple[TaskScore, ...]:
    """The results of an evaluation, with their items.

    Raises:
        DataError: if they are gone, or others have taken their place.
    """
    folder = PROJECT_ROOT / evaluation["results"]
    scores = tuple(score for score in load_scores(folder) if score.task in evaluation["tasks"])
    if {score.task: score.main_score for score in scores} != dict(evaluation["tasks"]):
        raise DataError(
            f"{folder} does not hold the results that {record.folder} tells of: run the child {record.id} again"
        )
    return scores


def _cell(row: RowRuns, runs: Runs, bootstrap: Bootstrap) -> Cell:
    child, variant, _ = runs[0]
    scores = row.columns()
    return Cell(
        id=row.spec.id,
        label=row.spec.label,
        reference=not row.seeds,
        levels={**child.levels, **variant.levels},
        seeds=list(row.seeds),
        runs=[str(record.metrics["run"]) for _, _, record in runs],
        results=list(row.folders),
        columns=[run_columns(run) for run in row.runs],
        tasks={score.task: [run[task].main_score for run in row.runs] for task, score in enumerate(row.runs[0])},
        scores=scores,
        deviations=row.deviations(),
        intervals={column: bootstrap.interval(row.spec.id, column) for column in scores},
        steps=[_steps(record) for _, _, record in runs] if row.seeds else [],
    )


def _provenance(cfg: Config, records: Mapping[str, ChildRecord]) -> dict[str, Any]:
    """Of the children where it is theirs; empty without any."""
    if not records:
        return {}
    last = max(records.values(), key=lambda record: str(record.manifest["started_at"]))
    return {
        "data": dict(last.data),
        "settings": last.metrics["settings"],
        "environment": last.metrics["environment"],
        "code": last.manifest["code"],
        "hardware": last.manifest["hardware"],
        "bootstrap": {
            "resamples": cfg.table.bootstrap_resamples,
            "confidence": cfg.table.confidence,
            "seed": cfg.seed,
        },
        "steps": sorted({_steps(record) for record in records.values() if record.metrics["seed"] is not None}),
        "cost": {
            key: round(sum(float(record.metrics[key]) for record in records.values()), 1)
            for key in ("train_s", "evaluate_s")
        },
    }


def _steps(record: ChildRecord) -> int:
    if record.metrics.get("steps") is not None:
        return int(record.metrics["steps"])
    return int(read_settings(record.folder)["trainer"]["max_steps"])


def _write(record: AblationRecord, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{record.profile}.{ending}" for ending in ("json", "csv", "md")]
    write_record(paths[0], record)
    write_atomically(paths[1], runs_csv(record))
    write_atomically(paths[2], to_markdown(record))
    if table := headroom_csv(record):
        paths.append(folder / f"{record.profile}_headroom.csv")
        write_atomically(paths[-1], table)
    return paths
