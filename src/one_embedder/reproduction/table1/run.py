"""The verb ``reproduce``: data, trainings, evaluations and the table, in one process and resumable at every step."""

from __future__ import annotations

import logging
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from one_embedder.config.own_class import class_name
from one_embedder.config.relations import require_instructions, require_reproducible
from one_embedder.config.schema import Config, InstructionsConfig
from one_embedder.encoder.limits import require_within
from one_embedder.errors import ConfigError
from one_embedder.evaluation.results import IncompleteEvaluation, NotRun
from one_embedder.files.location import CONF, PROJECT_ROOT, inside_project
from one_embedder.files.lock import holding
from one_embedder.reproduction.ablation.tabulate import ablate
from one_embedder.reproduction.show.wandb_tables import averages, wandb_tables
from one_embedder.reproduction.statistics.bootstrap import paired_bootstrap
from one_embedder.reproduction.statistics.claims import decide_claims
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS, ROWS, RowSpec
from one_embedder.reproduction.statistics.rows import RowRuns
from one_embedder.reproduction.steps.categories import require_categories
from one_embedder.reproduction.steps.circumstances import circumstances
from one_embedder.reproduction.steps.configs import benchmark_instructions, evaluation_config, training_config
from one_embedder.reproduction.steps.machine import machine_kind
from one_embedder.reproduction.steps.places import tables_folder, told_written
from one_embedder.reproduction.steps.profiles import PAPER_SCALE, read_about, statement
from one_embedder.reproduction.steps.verbs import StageClock, Stages, made_by, project_stages, stage_name
from one_embedder.reproduction.table1.expected import ExpectedTable, read_expected
from one_embedder.reproduction.table1.lines import runs_of, with_differences
from one_embedder.reproduction.table1.preamble import preamble
from one_embedder.reproduction.table1.published import PublishedTable, load_published
from one_embedder.reproduction.table1.published_models import Beside, load_published_models
from one_embedder.reproduction.table1.recording import record, require_one_kind, require_recordable
from one_embedder.reproduction.table1.report import Report, write_report
from one_embedder.reproduction.table1.results import Results
from one_embedder.reproduction.table1.tables import points, tasks_frame
from one_embedder.reproduction.table1.verdicts import Circumstances, Comparison, Line, compare
from one_embedder.tracking.machine import hardware
from one_embedder.tracking.manifest import cost_of
from one_embedder.tracking.wandb_run import log_results

if TYPE_CHECKING:
    from one_embedder.evaluation.results import NotRun, TaskScore

log = logging.getLogger(__name__)


def reproduce(cfg: Config, stages: Stages | None = None) -> int:
    """Fill Table 1 for ``cfg.profile``, print it, and judge it; or do what ``ablation.ablate`` does if there is one.

    Args:
        cfg: the configuration. ``output`` is the folder of the table (default: ``<experiments>/own/table1``, with
            ``table.record`` ``<experiments>/table1``); runs and results stay under ``paths.experiments``, where later
            runs find them again.
        stages: the functions that do the work; None: the project's own.

    Returns:
        Exit code: 0 if every cell is ok, 1 if any is off, else 2 if any is missing or stale, else 3 if any is near
        (0 with ``table.accept_near``).

    Raises:
        ConfigError: if the settings contradict each other, or what is compared.
        LockedError: another process makes the same table.
    """
    if cfg.ablation.name:
        return ablate(cfg, stages)
    require_instructions(cfg)
    # Read before anything is computed: a damaged file should not cost the user a training.
    published = load_published(PROJECT_ROOT / cfg.table.published)
    beside = _beside(cfg, published) if cfg.profile in PAPER_SCALE else None
    rows = beside.rows if beside else ROWS
    if any(spec.is_trained for spec in rows):
        require_reproducible(cfg)
        require_within(cfg)
    stages = stages or project_stages()
    if cfg.benchmark.shares > 1:
        return _evaluate_share(cfg, rows, stages)
    expected = None if beside else read_expected(PROJECT_ROOT / cfg.table.expected)
    if cfg.table.record:
        require_recordable(cfg, table_folder(cfg), {"seeds": len(cfg.table.seeds), "steps": cfg.trainer.max_steps})
    with holding(table_folder(cfg), cfg.profile):  # of several profiles, each has its own files there
        return _fill(cfg, rows, expected, published, beside, stages)


def _fill(
    cfg: Config,
    rows: Sequence[RowSpec],
    expected: ExpectedTable | None,
    published: PublishedTable,
    beside: Beside | None,
    stages: Stages,
) -> int:
    clock = StageClock(total=_stage_count(cfg, rows))
    _say(preamble(cfg, rows, expected, hardware()))

    runs, now = _obtain(cfg, rows, stages, clock)
    with clock.stage("intervals and verdicts"):
        kinds = machine_kind(runs, Path(cfg.paths.experiments) / "runs")
        comparison = _beside_published(cfg, runs, now, beside) if beside else _judged(cfg, runs, now, expected, kinds)
        bootstrap = paired_bootstrap(
            runs, resamples=cfg.table.bootstrap_resamples, confidence=cfg.table.confidence, seed=cfg.seed
        )
        results = Results(
            cfg.profile, runs, bootstrap, comparison, decide_claims(bootstrap, max(len(row.seeds) for row in runs))
        )
    provenance = {"machine_kind": kinds, "steps": _steps_trained(cfg, runs), **_provenance(cfg, now, clock)}
    about = statement(cfg.profile, cfg.about.description)
    report = Report(results, published, about, read_about(CONF), provenance, beside)
    written = record(cfg, report, now, table_folder(cfg)) if cfg.table.record else []
    written += write_report(report, table_folder(cfg))
    name = f"{cfg.table.name} {cfg.profile}"
    tables = wandb_tables(report.record, tasks_frame(runs))
    log_results(cfg, table_folder(cfg), "reproduce", name, tables, averages(report.record))
    _say("\n".join([report.terminal(), "", _cost_text(provenance["cost"]), "", told_written(cfg, written)]))
    return results.comparison.exit_code


def _steps_trained(cfg: Config, rows: Sequence[RowRuns]) -> list[int]:
    """Of the trainings behind the rows, by their own records: early stopping, for one, ends some of them sooner."""
    runs = Path(cfg.paths.experiments) / "runs"
    trained = [runs / Path(folder).parent.name for row in rows if row.seeds for folder in row.folders]
    return sorted({int(cost_of(run).get("steps", cfg.trainer.max_steps)) for run in trained})


def table_folder(cfg: Config) -> Path:
    """Where the rendered tables go."""
    return Path(cfg.output) if cfg.output else tables_folder(cfg) / cfg.table.name


def _beside(cfg: Config, table: PublishedTable) -> Beside:
    models = load_published_models(PROJECT_ROOT / cfg.table.published_models, table)
    bare = "" if cfg.evaluation.document_instructions else ", none on the documents of retrieval tasks"
    learner = class_name(cfg.prompt_retrieval.learner)
    with_model = learner == "model"
    return models.beside(
        cfg.profile,
        cfg.encoder.name_or_path,
        backbone=cfg.table.backbone,
        with_language_model=with_model,
        told=[
            f"instructions of INSTRUCTOR: table {cfg.instructions.name}{bare}; of the backbone: none",
            f"prompt retrieval by {cfg.prompt_retrieval.model.name_or_path if with_model else learner}",
        ],
    )


def _evaluate_share(cfg: Config, rows: Sequence[RowSpec], stages: Stages) -> int:
    """Score this run's share of the tasks for every row; the run without shares makes the table of all."""
    if any(spec.is_trained for spec in rows):
        raise ConfigError(
            f"benchmark.shares divides evaluations, and profile={cfg.profile} trains: divide "
            "python -m one_embedder.evaluate of its checkpoint instead"
        )
    instructions, code = benchmark_instructions(cfg), 0
    for spec in rows:
        try:
            stages.evaluate(evaluation_config(cfg, spec, None, instructions))
        except IncompleteEvaluation as error:  # the other rows are still to be scored
            log.error("%s: %s", spec.label, error)
            code = 2
    _say(f"share {cfg.benchmark.share} of {cfg.benchmark.shares} is scored; the same without shares makes the table")
    return code


def _stage_count(cfg: Config, rows: Sequence[RowSpec]) -> int:
    return 2 + sum(2 * len(cfg.table.seeds) if spec.is_trained else 1 for spec in rows)


def _obtain(
    cfg: Config, rows: Sequence[RowSpec], stages: Stages, clock: StageClock
) -> tuple[list[RowRuns], Circumstances]:
    instructions = benchmark_instructions(cfg)
    with clock.stage("data and benchmark"):
        if any(spec.is_trained for spec in rows):
            stages.build(replace(cfg, output=None))  # `output` is the table's place, not the data's
        now = circumstances(cfg, stages.data_identity(cfg))
        require_categories(cfg.benchmark, [AVERAGE])
    obtained: list[RowRuns] = []
    for spec in rows:
        obtained.append(_obtain_row(cfg, spec, instructions, stages, clock))
        if cfg.table.record:
            require_one_kind(cfg, obtained)
    return obtained, now


def _obtain_row(
    cfg: Config, spec: RowSpec, instructions: InstructionsConfig, stages: Stages, clock: StageClock
) -> RowRuns:
    runs: list[list[TaskScore]] = []
    folders: list[str] = []
    not_run: dict[str, NotRun] = {}
    for seed in cfg.table.seeds if spec.is_trained else [None]:
        run = None
        if seed is not None:
            with clock.stage(stage_name("train", spec, seed)):
                run = stages.train(
                    training_config(cfg, with_instructions=bool(spec.trained_with_instructions), seed=seed)
                )
        child = evaluation_config(cfg, spec, run, instructions)
        with clock.stage(stage_name("evaluate", spec, seed)):
            try:
                runs.append(list(stages.evaluate(child)))
            except IncompleteEvaluation as error:
                if cfg.profile not in PAPER_SCALE:
                    raise
                runs.append(list(error.scores))
                not_run |= {task.task: task for task in error.not_run}
        folders.append(inside_project(str(child.output)))
    # A task that lacks a score in one run is not run in the row: its mean over seeds would be another's.
    whole = tuple(tuple(score for score in run if score.task not in not_run) for run in runs)
    return RowRuns(
        spec, tuple(cfg.table.seeds) if spec.is_trained else (), whole, tuple(folders), tuple(not_run.values())
    )


def _judged(
    cfg: Config, rows: Sequence[RowRuns], now: Circumstances, expected: ExpectedTable | None, kinds: Sequence[str]
) -> Comparison:
    """Every run of every row, and the differences between rows, against what was recorded, unless this is recorded."""
    obtained = with_differences(runs_of(rows))
    against = None if cfg.table.record else expected
    return compare(
        against.cells("; ".join(kinds), obtained) if against else None,
        against.circumstances(now.environment) if against else None,
        obtained,
        now,
        required=[(line, column) for line in obtained for column in (*COLUMNS, AVERAGE)],
        accept_near=cfg.table.accept_near,
    )


def _beside_published(cfg: Config, rows: Sequence[RowRuns], now: Circumstances, beside: Beside) -> Comparison:
    """Every row against its published numbers, which have no settings to be stale by."""
    cells = beside.expected(rows[0].tasks())
    return compare(
        {Line(row): columns for row, columns in cells.items()},
        now,
        {Line(row.spec.id): points(row.columns()) for row in rows},
        now,
        required=[(Line(row.spec.id), column) for row in rows for column in (*COLUMNS, AVERAGE)],
        not_run={(Line(row.spec.id), column) for row in rows if row.not_run for column in (*row.incomplete, AVERAGE)},
        accept_near=cfg.table.accept_near,
    )


def _provenance(cfg: Config, now: Circumstances, clock: StageClock) -> dict[str, Any]:
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    made = made_by(cfg, clock)
    made["cost"]["largest_child_gib"] = round(children / 1024**3, 3)
    return {"data": dict(now.data), "settings": now.settings, "environment": dict(now.environment), **made}


def _cost_text(cost: Mapping[str, Any]) -> str:
    lines = [f"  {seconds:8.1f} s  {name}" for name, seconds in cost["stages"].items()]
    total = f"  {cost['wall_s']:8.1f} s  in all; peak memory {cost['peak_memory_gib']:.1f} GiB"
    child = cost["largest_child_gib"]
    return "\n".join(["Time and memory", *lines, total + (f", largest child process {child:.1f} GiB" if child else "")])


def _say(text: str) -> None:
    """To standard output: the table is this command's product, and logging goes elsewhere."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
