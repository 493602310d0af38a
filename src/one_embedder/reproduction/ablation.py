"""One job of the sweep over training with and without instructions, and the table over its finished jobs.

Every job trains and scores one model and leaves one small record; then it tabulates whatever records are there. So the
table is right after any number of finished jobs, in any order, and a sweep that was interrupted goes on where it was.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.evaluation.benchmarks import TaskScore, overall_mean
from one_embedder.reproduction.children import benchmark_instructions, evaluation_config, training_config
from one_embedder.reproduction.circumstances import circumstances
from one_embedder.reproduction.compare import Circumstances
from one_embedder.reproduction.grid import Grid
from one_embedder.reproduction.layout import AVERAGE, COLUMN_HEADERS, COLUMNS, INSTRUCTOR, WITHOUT
from one_embedder.reproduction.scores import run_columns
from one_embedder.reproduction.stages import Stages, project_stages
from one_embedder.tracking.manifest import write_atomically

log = logging.getLogger(__name__)

ABLATION = "with_without_instructions"

Record = Mapping[str, Any]


def run_grid(cfg: Config, stages: Stages | None = None) -> None:
    """Both sides of the comparison for every seed of ``cfg.table.seeds``; what the sweep has trained is found again."""
    for with_instructions in (False, True):
        for seed in cfg.table.seeds:
            job = copy.deepcopy(cfg)
            job.with_instructions, job.seed = with_instructions, seed
            run_job(job, stages)


def run_job(cfg: Config, stages: Stages | None = None) -> float:
    """Train ``cfg`` (with or without instructions, ``cfg.seed``), score it on ``cfg.benchmark`` and tabulate the sweep.

    Returns:
        Mean of the category means, 0-1: what a Hydra sweeper may optimise.
    """
    stages = stages or project_stages()
    stages.build(replace(cfg, output=None))  # `output` is the table's place, not the data's
    run = stages.train(training_config(cfg, with_instructions=cfg.with_instructions, seed=cfg.seed))
    spec = INSTRUCTOR if cfg.with_instructions else WITHOUT
    child = evaluation_config(cfg, spec, run, benchmark_instructions(cfg))
    child.seed = 0  # as in Table 1, whatever a task draws is drawn alike for every job: only the training differs
    scores = tuple(stages.evaluate(child))
    folder = ablation_folder(cfg)
    folder.mkdir(parents=True, exist_ok=True)
    record = _record(cfg, run, scores, circumstances(cfg, stages.data_identity(cfg)))
    write_atomically(folder / f"{run.name}-{cfg.benchmark.split}.json", json.dumps(record, indent=1) + "\n")
    tabulate(folder)
    return overall_mean(scores)


def _record(cfg: Config, run: Path, scores: Sequence[TaskScore], now: Circumstances) -> Record:
    return {
        "run": run.name,
        "with_instructions": cfg.with_instructions,
        "seed": cfg.seed,
        "split": cfg.benchmark.split,
        "circumstances": {"data": dict(now.data), "settings": now.settings},
        "scores": run_columns(scores),
        "tasks": {score.task: score.main_score for score in scores},
    }


def ablation_folder(cfg: Config) -> Path:
    """Folder of the jobs' records; the tables lie beside it under the same name."""
    return Path(cfg.paths.experiments) / "ablations" / ABLATION


def tabulate(folder: Path) -> list[Path]:
    """Write ``<folder>.csv`` (one row a job) and ``<folder>.md`` (mean and spread over seeds) from its records."""
    records = _read_records(folder)
    contents = {folder.with_suffix(".csv"): _csv(records), folder.with_suffix(".md"): _markdown(records)}
    for path, content in contents.items():
        write_atomically(path, content)
        log.info("wrote %s (%d jobs)", path, len(records))
    return list(contents)


def summary(folder: Path) -> str:
    """The table over the finished jobs, for a terminal."""
    return "\n\n".join(f"{title}\n{grid.text()}" for title, grid in _grids(_read_records(folder)))


def _read_records(folder: Path) -> list[Record]:
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            record["scores"], record["circumstances"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: not the record of a job ({error!r}); delete it and run the sweep again"
            ) from error
        records.append(record)
    return sorted(
        records, key=lambda record: (record["split"], not record["with_instructions"], record["seed"], record["run"])
    )


def _csv(records: Sequence[Record]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["run", "with_instructions", "seed", "split", "settings", *COLUMNS, AVERAGE])
    for record in records:
        points = [_points(record["scores"].get(column), ".4f") for column in (*COLUMNS, AVERAGE)]
        settings = record["circumstances"]["settings"][:8]
        writer.writerow(
            [record["run"], record["with_instructions"], record["seed"], record["split"], settings, *points]
        )
    return stream.getvalue()


def _markdown(records: Sequence[Record]) -> str:
    title = "# Finetuning with and without instructions\n\nPoints; mean over seeds, ± standard deviation over several."
    return "\n\n".join([title, *(f"## {name}\n\n{grid.markdown()}" for name, grid in _grids(records))]) + "\n"


def _grids(records: Sequence[Record]) -> list[tuple[str, Grid]]:
    """One table for each split, data and settings: numbers of different ones are never put in one column."""
    comparable: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        comparable[json.dumps([record["split"], record["circumstances"]], sort_keys=True)].append(record)
    return [
        (f"{group[0]['split']} split, settings {group[0]['circumstances']['settings'][:8]}", _grid(group))
        for group in comparable.values()
    ]


def _grid(records: Sequence[Record]) -> Grid:
    rows = []
    for spec in (WITHOUT, INSTRUCTOR):
        own = [record for record in records if record["with_instructions"] is spec.trained_with_instructions]
        if own:
            seeds = ", ".join(str(record["seed"]) for record in own)
            cells = [_spread([record["scores"].get(column) for record in own]) for column in (*COLUMNS, AVERAGE)]
            rows.append([spec.label, seeds, *cells])
    return Grid(["model", "seeds", *(COLUMN_HEADERS[column] for column in COLUMNS), AVERAGE], rows)


def _spread(scores: Sequence[float | None]) -> str:
    known = [score for score in scores if score is not None]
    if len(known) != len(scores):
        return "-"
    deviation = f" ± {100 * stdev(known):.1f}" if len(known) > 1 else ""
    return f"{_points(fmean(known), '.1f')}{deviation}"


def _points(score: float | None, spec: str) -> str:
    return "" if score is None else format(100 * score, spec)
