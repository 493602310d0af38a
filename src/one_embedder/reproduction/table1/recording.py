"""What a run that later runs are judged by leaves under version control."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.reproduction.statistics.rows import RowRuns
from one_embedder.reproduction.steps.machine import machine_kind, run_folders
from one_embedder.reproduction.steps.places import require_as_much
from one_embedder.reproduction.table1.expected import RecordedRun, write_expected
from one_embedder.reproduction.table1.lines import runs_of
from one_embedder.reproduction.table1.record import read_table1
from one_embedder.reproduction.table1.report import Report
from one_embedder.reproduction.table1.verdicts import Circumstances
from one_embedder.tracking.manifest import MANIFEST, METRICS, cost_of


def record(cfg: Config, report: Report, now: Circumstances, folder: Path) -> list[Path]:
    """Write the expected values, and copy record and curves of every training from where git does not look.

    Args:
        cfg: of the reproduction.
        report: what was obtained.
        now: its circumstances.
        folder: of the table; the trainings' records go to ``runs/`` below it.

    Returns:
        What was written.

    Raises:
        DataError: if the recorded table rests on more.
    """
    require_recordable(cfg, folder, extent_of(report.record))
    runs = Path(cfg.paths.experiments) / "runs"
    # Beside published numbers there is nothing else to be judged by.
    expected = [_write_expected(cfg, report, now)] if report.beside is None else []
    return [*expected, *_keep_trainings(runs, report.results.rows, folder / "runs")]


def require_recordable(cfg: Config, folder: Path, extent: Mapping[str, int]) -> None:
    """Refuse to put a table in the place of one that rests on more, see ``require_as_much``."""
    path = folder / f"{cfg.profile}.json"
    if path.is_file():
        require_as_much(path, extent_of(read_table1(path)), extent)


def require_one_kind(cfg: Config, rows: Sequence[RowRuns]) -> None:
    """Refuse to record runs of several kinds of machine; asked after each row, so that the next ones are not made.

    Raises:
        DataError: naming the kinds.
    """
    kinds = machine_kind(rows, Path(cfg.paths.experiments) / "runs")
    if len(kinds) > 1:
        raise DataError(
            f"{cfg.table.expected}: not recorded, because these runs were made on several kinds of machine "
            f"({'; '.join(kinds)}): make all of them on one, with another paths.experiments"
        )


def extent_of(record: Mapping[str, Any]) -> dict[str, int]:
    """What a table rests on."""
    seeds = [len(row["seeds"]) for row in record["rows"]]
    return {"seeds": max(seeds), "steps": max(record["steps"], default=0), "tasks": sum(record["tasks"].values())}


def _write_expected(cfg: Config, report: Report, now: Circumstances) -> Path:
    path = PROJECT_ROOT / cfg.table.expected
    rows = report.results.rows
    run = RecordedRun(
        kind=report.provenance["machine_kind"][0],
        runs=runs_of(rows),
        environment=now.environment,
        recorded={
            "seeds": list(cfg.table.seeds),
            "runs": sorted({Path(folder).parent.name for row in rows for folder in row.folders}),
            "cost": _cost(report.provenance["cost"], rows, Path(cfg.paths.experiments) / "runs"),
            **{key: report.provenance[key] for key in ("bootstrap", "code", "hardware")},
        },
    )
    write_expected(path, profile=cfg.profile, run=run, circumstances=now, task_counts=report.results.counts)
    return path


def _cost(cost: Mapping[str, Any], rows: Sequence[RowRuns], runs: Path) -> dict[str, Any]:
    """What it takes to do the work, not to find it again: later estimates go by it.

    A stage whose work was done before took what its own record says; ``wall_s`` is all stages one after the other.
    """
    own = {name: cost_of(folder) for name, folder in run_folders(rows, runs)}
    stages = {name: max(seconds, own.get(name, {}).get("wall_s", 0.0)) for name, seconds in cost["stages"].items()}
    peaks = [of_run.get("peak_memory_gib") or 0.0 for of_run in own.values()]
    return {
        **cost,
        "stages": stages,
        "wall_s": round(sum(stages.values()), 1),
        "peak_memory_gib": max(cost["peak_memory_gib"], *peaks),
    }


def _keep_trainings(runs: Path, rows: Sequence[RowRuns], kept: Path) -> list[Path]:
    trainings = {Path(folder).parent.name for row in rows if row.seeds for folder in row.folders}
    copies = []
    for run in (runs / name for name in sorted(trainings)):
        for source, copy in ((run / MANIFEST, kept / f"{run.name}.yaml"), (run / METRICS, kept / f"{run.name}.csv")):
            if source.is_file():
                kept.mkdir(parents=True, exist_ok=True)
                copies.append(Path(shutil.copyfile(source, copy)))
    return copies
