"""What a run that later runs are judged by leaves under version control."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from one_embedder.config.location import PROJECT_ROOT
from one_embedder.config.schema import Config
from one_embedder.reproduction.compare import Circumstances
from one_embedder.reproduction.expected import write_expected
from one_embedder.reproduction.report import Report
from one_embedder.reproduction.scores import RowRuns
from one_embedder.reproduction.table import points
from one_embedder.tracking.manifest import MANIFEST, METRICS


def record(cfg: Config, report: Report, now: Circumstances, folder: Path) -> list[Path]:
    """Write the expected values, and copy record and curves of every training from where git does not look.

    Args:
        cfg: of the reproduction.
        report: what was obtained.
        now: its circumstances.
        folder: of the table; the trainings' records go to ``runs/`` below it.

    Returns:
        What was written.
    """
    runs = Path(cfg.paths.experiments) / "runs"
    return [_write_expected(cfg, report, now), *_keep_trainings(runs, report.results.rows, folder / "runs")]


def _write_expected(cfg: Config, report: Report, now: Circumstances) -> Path:
    path = PROJECT_ROOT / cfg.table.expected
    rows = report.results.rows
    write_expected(
        path,
        profile=cfg.profile,
        points={row.spec.id: points(row.columns()) for row in rows},
        deviations={row.spec.id: points(row.deviations()) for row in rows},
        circumstances=now,
        task_counts=report.results.counts,
        recorded={
            "seeds": list(cfg.table.seeds),
            "runs": sorted({Path(folder).parent.name for row in rows for folder in row.folders}),
            "average_intervals": {
                row.spec.id: [round(100 * bound, 3) for bound in (interval.low, interval.high)]
                for row in rows
                for interval in [report.results.bootstrap.interval(row.spec.id)]
            },
            "claims": report.claims(),
            **{key: report.provenance[key] for key in ("bootstrap", "code", "hardware", "cost")},
        },
    )
    return path


def _keep_trainings(runs: Path, rows: Sequence[RowRuns], kept: Path) -> list[Path]:
    trainings = {Path(folder).parent.name for row in rows if row.seeds for folder in row.folders}
    copies = []
    for run in (runs / name for name in sorted(trainings)):
        for source, copy in ((run / MANIFEST, kept / f"{run.name}.yaml"), (run / METRICS, kept / f"{run.name}.csv")):
            if source.is_file():
                kept.mkdir(parents=True, exist_ok=True)
                copies.append(Path(shutil.copyfile(source, copy)))
    return copies
