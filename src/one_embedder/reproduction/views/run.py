"""``reproduce`` with ``table.name=views``: data, trainings and the steering table; resumable at every step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from one_embedder.config.relations import require_instructions, require_reproducible, require_right_instructions
from one_embedder.config.schema import Config
from one_embedder.config.views import scored_sets
from one_embedder.encoder.limits import require_within
from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.views.plan import view_jobs
from one_embedder.evaluation.views.results import ViewResult
from one_embedder.evaluation.views.run import evaluate_views
from one_embedder.files.location import inside_project
from one_embedder.files.lock import holding
from one_embedder.medi.sources.assembly import DONE
from one_embedder.reproduction.statistics.layout import RowSpec
from one_embedder.reproduction.steps.configs import training_config, views_config
from one_embedder.reproduction.steps.profiles import EVALUATION_ONLY
from one_embedder.reproduction.steps.verbs import StageClock, Stages, made_by, project_stages, stage_name
from one_embedder.reproduction.table1.run import table_folder
from one_embedder.reproduction.views.bootstrap import view_bootstrap
from one_embedder.reproduction.views.claims import decide_steering
from one_embedder.reproduction.views.record import file_stem, require_recordable
from one_embedder.reproduction.views.report import ViewReport, averages, write_view_report
from one_embedder.reproduction.views.rows import MEAN, ROWS, ViewRow
from one_embedder.tracking.identity import facts, resolved
from one_embedder.tracking.machine import environment
from one_embedder.tracking.wandb_run import log_results

Score = Callable[[Config], Sequence[ViewResult]]

_SETTINGS = ("seed", "instruction_detail", "encoder", "sampler", "loss", "optimizer", "schedule", "trainer")


def reproduce_views(cfg: Config, stages: Stages | None = None, score: Score | None = None) -> int:
    """Fill the steering table for ``cfg.profile`` and print it.

    Args:
        cfg: the configuration. ``output`` is the folder of the table (default: ``<experiments>/views``); runs and
            results stay under ``paths.experiments``, where later runs, Table 1's too, find them again.
        stages: the functions that build and train; None: the project's own.
        score: measures one model; None: ``evaluate_views``.

    Returns:
        Exit code 0.

    Raises:
        ConfigError: the profile trains nothing, a set is called as the mean over the sets is, or what
            ``evaluate_views`` refuses, before anything is trained.
        DataError: what ``evaluate_views`` refuses, likewise; or less would be recorded than is.
        LockedError: another process makes the same table.
    """
    if cfg.profile == EVALUATION_ONLY:
        raise ConfigError(
            f"profile={cfg.profile} trains nothing that could be compared: measure its model with "
            "python -m one_embedder.evaluate_views"
        )
    require_instructions(cfg)
    require_right_instructions(cfg)
    require_reproducible(cfg)
    require_within(cfg)
    if MEAN in scored_sets(cfg):
        raise ConfigError(f"a view set cannot be called {MEAN}, as the mean over the sets is; give it another name")
    if not _is_built_with_the_data(cfg):
        view_jobs(cfg)  # refuse before hours of mining and training what nothing could be scored on
    if cfg.table.record:
        extent = {"seeds": len(cfg.table.seeds), "steps": cfg.trainer.max_steps, "tasks": len(scored_sets(cfg))}
        require_recordable(table_folder(cfg) / f"{file_stem(cfg.profile, cfg.views.part)}.json", extent)
    with holding(table_folder(cfg), cfg.profile):
        _fill(cfg, stages or project_stages(), score or _score)
    return 0


def _fill(cfg: Config, stages: Stages, score: Score) -> None:
    clock = StageClock(total=2 + sum(2 * len(cfg.table.seeds) if spec.is_trained else 1 for spec in ROWS))
    with clock.stage("data"):
        stages.build(replace(cfg, output=None))
        _require_built(cfg)
        view_jobs(cfg)
    rows = [_row(cfg, spec, stages, score, clock) for spec in ROWS]
    with clock.stage("intervals"):
        table = cfg.table
        bootstrap = view_bootstrap(
            rows, resamples=table.bootstrap_resamples, confidence=table.confidence, seed=cfg.seed
        )
        claims = decide_steering(bootstrap, len(table.seeds))
    report = ViewReport(cfg.profile, cfg.views.part, rows, bootstrap, claims, _provenance(cfg, rows, clock))
    written = write_view_report(report, table_folder(cfg))
    log_results(cfg, table_folder(cfg), "reproduce", f"{table.name} {report.stem}", {}, averages(report))
    sys.stdout.write("\n".join([report.terminal(), "", "Written:", *(f"  {path}" for path in written), ""]))


def _row(cfg: Config, spec: RowSpec, stages: Stages, score: Score, clock: StageClock) -> ViewRow:
    runs, folders = [], []
    for seed in cfg.table.seeds if spec.is_trained else [None]:
        run = None
        if seed is not None:
            with clock.stage(stage_name("train", spec, seed)):
                run = stages.train(
                    training_config(cfg, with_instructions=bool(spec.trained_with_instructions), seed=seed)
                )
        child = views_config(cfg, run)
        with clock.stage(stage_name("evaluate", spec, seed)):
            runs.append(tuple(score(child)))
        folders.append(inside_project(str(child.output)))
    return ViewRow(spec, tuple(cfg.table.seeds) if spec.is_trained else (), tuple(runs), tuple(folders))


def _score(cfg: Config) -> list[ViewResult]:
    return evaluate_views(cfg, wait=True)


def _is_built_with_the_data(cfg: Config) -> bool:
    return cfg.views.root is not None and Path(cfg.views.root).is_relative_to(cfg.medi.folder)


def _require_built(cfg: Config) -> None:
    if _is_built_with_the_data(cfg) and not Path(str(cfg.views.root)).is_dir():
        done = Path(cfg.medi.folder) / DONE
        raise DataError(
            f"{cfg.views.root}: there are no view sets, for the data beside were built before there were any; delete "
            f"{done} and run the same again, which builds the same data and the view sets"
        )


def _provenance(cfg: Config, rows: Sequence[ViewRow], clock: StageClock) -> dict[str, Any]:
    results = rows[0].runs[0]
    manifest = Path(cfg.medi.folder) / "medi" / "manifest.json"
    medi = json.loads(manifest.read_text(encoding="utf-8"))["sha256"] if manifest.is_file() else None
    return {
        "data": {"medi": medi, "views": {result.name: result.identity["data_sha256"] for result in results}},
        "instructions": {result.name: result.identity["instructions"] for result in results},
        "settings": {**facts(resolved(cfg), _SETTINGS), "views": results[0].identity["settings"]},
        "environment": environment(),
        **made_by(cfg, clock),
    }
