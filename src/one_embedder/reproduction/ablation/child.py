"""One child of an ablation: train it, score it in every variant, and keep a run record of it.

The record is ``<ablation's folder>/<profile>/<child>/manifest.yaml``. Its ``outcome.metrics`` holds

- ``child``, ``levels``, ``seed``: a ``config.ablation.Child``, and ``run``: the training's id, or the encoder;
- ``settings``: hash of the ablation's settings before any level's were applied, ``environment``: what data come from;
- ``evaluations``: for each variant its ``levels``, the folder of its ``results``, ``columns`` and ``tasks`` (0-1);
- ``steps``: of the training; None for a reference, or where its record does not tell;
- ``train_s`` and ``evaluate_s``: seconds of the work, also where an earlier run had done it.

Trainings and evaluations are those of the other verbs: what any of them has done is found again by what it depends on,
so an ablation that holds Table 1's models trains them once, and a sweep goes on where it was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from one_embedder.config.ablation import Child, Variant, child_of, children, variants
from one_embedder.config.relations import require_reproducible
from one_embedder.config.schema import Config
from one_embedder.encoder.limits import require_within
from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.benchmarks import TaskScore
from one_embedder.files.location import inside_project
from one_embedder.files.lock import holding
from one_embedder.reproduction.ablation.known_tasks import require_tasks
from one_embedder.reproduction.ablation.record import AblationRecord, read_record
from one_embedder.reproduction.statistics.layout import RowSpec
from one_embedder.reproduction.statistics.rows import run_columns
from one_embedder.reproduction.steps.categories import require_categories
from one_embedder.reproduction.steps.circumstances import circumstances
from one_embedder.reproduction.steps.configs import (
    benchmark_instructions,
    evaluation_config,
    training_config,
    with_settings,
)
from one_embedder.reproduction.steps.places import require_as_much, tables_folder
from one_embedder.reproduction.steps.verbs import Stages, project_stages
from one_embedder.reproduction.table1.verdicts import Circumstances
from one_embedder.tracking.manifest import MANIFEST, RunRecord, cost_of, read_manifest

_TOLD_BY_FOLDER = {"with_instructions", "encoder.layers", "encoder.name_or_path"}
"""Settings of a reference that the name of its folder of results tells."""


@dataclass(frozen=True)
class ChildRecord:
    """A child's run record as it was read.

    Attributes:
        id: of the child.
        folder: where the record lies.
        status: started | completed | failed.
        error: of a failed one.
        data: name -> sha256.
        metrics: ``outcome.metrics``; empty unless completed.
        manifest: all of it.
    """

    id: str
    folder: Path
    status: str
    error: str
    data: Mapping[str, str]
    metrics: Mapping[str, Any]
    manifest: Mapping[str, Any]


def ablation_folder(cfg: Config) -> Path:
    """Where an ablation's tables lie: ``output``, or ``ablations/<name>`` among one's own or the recorded ones."""
    return Path(cfg.output) if cfg.output else tables_folder(cfg) / "ablations" / cfg.ablation.name


def children_folder(cfg: Config) -> Path:
    """Where the records of its children lie, each in a folder of its name."""
    return ablation_folder(cfg) / cfg.profile


def run_child(cfg: Config, stages: Stages | None = None) -> None:
    """Run the child ``cfg.ablation.child``.

    Raises:
        ConfigError: if there is no such child, its settings or those of a sibling cannot work, or the claims need
            categories that ``benchmark.tasks`` leaves out.
        Exception: whatever training or evaluation raise; the record then says so.
    """
    stages = stages or project_stages()
    child = child_of(cfg.ablation)
    configurations = require_possible(cfg)
    own = configurations[child.id]
    if cfg.table.record:
        longest = max(each.trainer.max_steps for each in configurations.values())
        extent = {"seeds": len(cfg.ablation.seeds), "steps": longest}
        require_recordable(ablation_folder(cfg) / f"{cfg.profile}.json", extent)
    if child.seed is not None:
        require_within(own)
    stages.build(replace(cfg, output=None))  # `output` is the tables' place, not the data's
    require_tasks(cfg, configurations)
    now = circumstances(cfg, stages.data_identity(cfg))
    require_categories(cfg.benchmark, [claim.column for claim in cfg.ablation.claims.values()])
    folder = children_folder(cfg) / child.id
    with (
        holding(folder),
        RunRecord.start(
            folder,
            name="ablation",
            cfg=own,
            data=[{"name": name, "sha256": sha256} for name, sha256 in now.data.items()],
            model={"base": own.encoder.name_or_path},
            identity=f"{cfg.ablation.name}-{child.id}",
        ) as record,
    ):
        record.complete(_run(cfg, child, own, now, stages))


def require_recordable(path: Path, extent: Mapping[str, int]) -> None:
    """Refuse to put a record in the place of one that rests on more, see ``require_as_much``."""
    if path.is_file():
        require_as_much(path, extent_of(read_record(path)), extent)


def extent_of(record: AblationRecord) -> dict[str, int]:
    """What an ablation rests on."""
    return {
        "seeds": len(record.seeds),
        "steps": max(record.provenance.get("steps", ()), default=0),
        "tasks": len(record.task_categories),
        "runs": sum(len(cell.runs) for cell in record.cells),
    }


def require_possible(cfg: Config) -> dict[str, Config]:
    """Child -> its configuration, once the settings of every child and variant have been applied and checked.

    Raises:
        ConfigError: naming the child whose settings cannot work, or whose tasks the data do not have.
    """
    configurations = {}
    for child in children(cfg.ablation):
        try:
            own = with_settings(cfg, child.settings)
            if child.seed is not None:
                require_reproducible(own)
            for variant in variants(cfg.ablation, child):
                with_settings(own, variant.settings)
        except ConfigError as error:
            raise ConfigError(f"ablation {cfg.ablation.name}, child {child.id}: {error}") from error
        own.seed = cfg.seed if child.seed is None else child.seed
        configurations[child.id] = own
    require_tasks(cfg, configurations)
    return configurations


def read_children(folder: Path) -> list[ChildRecord]:
    """The records below ``folder``, by folder name.

    Raises:
        DataError: if one is damaged, or two are of the same run.
    """
    found: dict[str, ChildRecord] = {}
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        record = _read(path.parent)
        if record.id in found:
            raise DataError(
                f"{record.folder} and {found[record.id].folder} are two runs with the id {record.id!r}: "
                "delete the one that is not wanted"
            )
        found[record.id] = record
    return list(found.values())


def _read(folder: Path) -> ChildRecord:
    manifest = read_manifest(folder)
    try:
        outcome = manifest["outcome"] or {}
        whole = manifest["status"] == "completed"
        metrics = outcome["metrics"] if whole else {}
        for key in ("child", "levels", "seed", "run", "settings", "evaluations") if whole else ():
            metrics[key]
        return ChildRecord(
            id=str(metrics["child"]) if whole else folder.name,
            folder=folder,
            status=manifest["status"],
            error=f"{outcome.get('error')}: {outcome.get('message')}" if manifest["status"] == "failed" else "",
            data={str(item["name"]): str(item["sha256"]) for item in manifest["data"]},
            metrics=metrics,
            manifest=manifest,
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{folder / MANIFEST}: not the record of an ablation's child ({error!r}); delete its folder and run it "
            "again"
        ) from error


def _run(cfg: Config, child: Child, own: Config, now: Circumstances, stages: Stages) -> dict[str, Any]:
    run, train_s = None, 0.0
    if child.seed is not None:
        began = time.monotonic()
        run = stages.train(training_config(own, with_instructions=own.with_instructions, seed=child.seed))
        train_s = _seconds(run, began)
    evaluations, evaluate_s = [], 0.0
    for variant in variants(cfg.ablation, child):
        began = time.monotonic()
        scored = variant_config(cfg, child, own, variant, run)
        evaluations.append(_evaluation(variant, str(scored.output), stages.evaluate(scored)))
        evaluate_s += _seconds(Path(str(scored.output)), began)
    return {
        "child": child.id,
        "levels": dict(child.levels),
        "seed": child.seed,
        "run": run.name if run is not None else own.encoder.name_or_path,
        "settings": now.settings,
        "environment": dict(now.environment),
        "evaluations": evaluations,
        "steps": None if run is None else cost_of(run).get("steps"),
        "train_s": round(train_s, 1),
        "evaluate_s": round(evaluate_s, 1),
    }


def variant_config(cfg: Config, child: Child, own: Config, variant: Variant, run: Path | None) -> Config:
    """Score a child in a variant: where its scoring is plain, in the folder where Table 1 scores the same model.

    Args:
        cfg: the ablation's configuration. Its seed serves every evaluation, so that whatever a task draws is drawn
            alike for every child.
        child: the child.
        own: its configuration.
        variant: the variant.
        run: its training; None for a reference.
    """
    chosen = with_settings(replace(own, output=None, seed=cfg.seed), variant.settings)
    spec = RowSpec(child.id, child.id, None, chosen.with_instructions)
    scored = evaluation_config(chosen, spec, run, benchmark_instructions(chosen))
    changed = variant.settings if run is not None else set(child.settings) - _TOLD_BY_FOLDER
    if changed:
        scored.output = f"{scored.output}-{cfg.ablation.name}-{variant.name or child.id}"
    return scored


def _evaluation(variant: Variant, output: str, scores: Sequence[TaskScore]) -> dict[str, Any]:
    return {
        "levels": dict(variant.levels),
        "results": inside_project(output),
        "columns": run_columns(scores),
        "tasks": {score.task: score.main_score for score in scores},
    }


def _seconds(folder: Path, began: float) -> float:
    """What the work took when it was done: as its own record says, else since ``began``."""
    return float(cost_of(folder).get("wall_s", time.monotonic() - began))
