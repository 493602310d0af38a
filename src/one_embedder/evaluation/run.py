"""The verb ``evaluate``: score every task of a benchmark folder with one encoder; what is already there is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from one_embedder.config.schema import Config
from one_embedder.errors import DataError, EvaluationError
from one_embedder.evaluation.benchmarks import TaskScore, category_means, overall_mean
from one_embedder.evaluation.in_context.protocol import PromptProtocol
from one_embedder.evaluation.instructions import InstructionTable, TaskInstructions
from one_embedder.evaluation.results import identity_sha256, read_result, write_result
from one_embedder.evaluation.task_folder import TaskFolder, discover
from one_embedder.tracking.identity import config_hash
from one_embedder.tracking.manifest import RunRecord, is_complete
from one_embedder.tracking.wandb_run import Table, encoder_name, log_results

if TYPE_CHECKING:
    from one_embedder.evaluation.mteb_encoder import TextEncoder

log = logging.getLogger(__name__)

PROTOCOL = 1
"""Raised when this package computes a score differently, so that older results are not taken for current ones."""

LIBRARIES = ("mteb", "torch", "transformers", "tokenizers", "scikit-learn", "scipy", "numpy", "rouge-score")
"""Libraries whose version can move a score."""


@dataclass(frozen=True)
class Job:
    """One task to score.

    Attributes:
        folder: its data.
        instructions: what its texts are joined with.
        identity: everything its result depends on.
    """

    folder: TaskFolder
    instructions: TaskInstructions
    identity: Mapping[str, Any]


def evaluate(cfg: Config, encoder: TextEncoder | None = None) -> list[TaskScore]:
    """Score every task below ``cfg.benchmark.root`` with ``cfg.encoder`` and ``cfg.instructions``.

    Results go to ``cfg.output``, or to ``<experiments>/evaluations/<run id>``. A task whose result is there already is
    not scored again if it came from the same encoder, instructions, data, settings and library versions.

    Args:
        cfg: the configuration.
        encoder: scored instead of loading ``cfg.encoder``.

    Returns:
        The scores by category in the order of Table 1, then by task name.

    Raises:
        ConfigError: if the instruction table does not fit the tasks, or a task name is unknown.
        CheckpointError: if the encoder, or the language model of prompt retrieval, cannot be found.
        DataError: if there is no benchmark.
        EvaluationError: after all tasks, if some could not be scored; it names them.
    """
    folders, instructions, prompts = _tasks(cfg)
    encoder = encoder or _load(cfg)
    jobs = [_job(cfg, folder, instructions[folder.name], encoder.revision, prompts) for folder in folders]
    run_id = f"evaluate-s{cfg.seed}-{config_hash(cfg, [], *(identity_sha256(job.identity) for job in jobs))[:8]}"
    output = Path(cfg.output) if cfg.output else Path(cfg.paths.experiments) / "evaluations" / run_id
    scores = {job.folder.name: score for job in jobs if (score := _kept(output, job)) is not None}
    if scores:
        log.info("%d of %d results in %s are up to date", len(scores), len(jobs), output)
    if len(scores) < len(jobs) or not is_complete(output, run_id):
        _score_missing(cfg, jobs, scores, encoder, prompts, output, run_id)
    return [scores[folder.name] for folder in folders]


def identity_of_tasks(cfg: Config) -> str:
    """Hash of what ``evaluate``'s scores depend on, but encoder and versions; refuses what ``evaluate`` refuses."""
    folders, instructions, prompts = _tasks(cfg)
    jobs = [_job(cfg, folder, instructions[folder.name], "", prompts) for folder in folders]
    facts = [{"task": job.folder.name, **job.identity, "versions": None} for job in jobs]
    return config_hash(cfg, [], *(identity_sha256(fact) for fact in facts))


def _tasks(cfg: Config) -> tuple[list[TaskFolder], dict[str, TaskInstructions], PromptProtocol | None]:
    """The tasks, their instructions by name, and how prompt retrieval is done; checked before anything is loaded."""
    folders = discover(Path(cfg.benchmark.root), cfg.benchmark.tasks)
    table = InstructionTable(
        cfg.instructions.name,
        cfg.instructions.table,
        document_instructions=cfg.evaluation.document_instructions,
        given=cfg.evaluation.instructions,
        detail=cfg.instruction_detail,
    )
    instructions = {folder.name: table.for_task(folder.name, folder.category) for folder in folders}
    return folders, instructions, _prompts(cfg, folders)


def _load(cfg: Config) -> TextEncoder:
    from one_embedder.encoder.checkpoint import load_encoder
    from one_embedder.encoder.embedder import InstructionEmbedder

    encoder = load_encoder(
        cfg.encoder.name_or_path,
        joining=cfg.encoder.joining,
        revision=cfg.encoder.revision,
        max_length=cfg.encoder.max_length,
        layers=cfg.encoder.layers,
    )
    return InstructionEmbedder(encoder, dtype=cfg.evaluation.dtype)


def _prompts(cfg: Config, folders: Sequence[TaskFolder]) -> PromptProtocol | None:
    """How prompt retrieval is done; None where no task needs it, and so no learner."""
    return PromptProtocol.of(cfg) if any(folder.category == "PromptRetrieval" for folder in folders) else None


def _job(
    cfg: Config, folder: TaskFolder, instructions: TaskInstructions, revision: str, prompts: PromptProtocol | None
) -> Job:
    identity: dict[str, Any] = {
        "protocol": PROTOCOL,
        "encoder_revision": revision,
        "data_sha256": folder.sha256,
        "instructions": asdict(instructions),
        "versions": _versions(),
    }
    if cfg.evaluation.dtype != "float32":
        identity["dtype"] = cfg.evaluation.dtype
    if prompts is not None and folder.category == "PromptRetrieval":
        identity["prompt_retrieval"] = prompts.identity(folder.name)
    return Job(folder, instructions, identity)


@cache
def _versions() -> dict[str, str]:
    return {library: version(library) for library in LIBRARIES}


def _kept(output: Path, job: Job) -> TaskScore | None:
    """The score of an earlier run, if it is whole and depends on the same things."""
    if not (output / "results" / f"{job.folder.name}.json").is_file():
        return None
    try:
        score, identity = read_result(output, job.folder.name)
    except DataError as error:
        log.warning("%s", error)
        return None
    return score if identity == job.identity else None


def _score_missing(
    cfg: Config,
    jobs: Sequence[Job],
    scores: dict[str, TaskScore],
    encoder: TextEncoder,
    prompts: PromptProtocol | None,
    output: Path,
    run_id: str,
) -> None:
    """Score the jobs that ``scores`` lacks, add them to it, and keep a run record."""
    from one_embedder.evaluation.mteb_encoder import CachingEncoder
    from one_embedder.evaluation.scoring import Scorer

    cache = CachingEncoder(encoder, batch_size=cfg.evaluation.batch_size)
    scorer = Scorer(cache, f"one-embedder/{Path(cfg.encoder.name_or_path).name}", prompts)
    data = [{"name": job.folder.name, "sha256": job.folder.sha256} for job in jobs]
    model = {"base": cfg.encoder.name_or_path, "revision": encoder.revision}
    with (
        RunRecord.start(output, name="evaluate", cfg=cfg, data=data, model=model, identity=run_id) as record,
        _without_inner_bars(),
    ):
        failures = _score_each([job for job in jobs if job.folder.name not in scores], scorer, scores, output)
        if failures:
            raise EvaluationError(
                f"{len(failures)} of {len(jobs)} tasks could not be scored: "
                + "; ".join(f"{task} ({error})" for task, error in failures.items())
                + f". The other results are in {output}; running again scores only what is missing"
            )
        record.complete(_metrics(list(scores.values())), {"encoded_texts": cache.encoded, "cache_hits": cache.hits})
    _track(cfg, output, list(scores.values()))


def _score_each(jobs: Sequence[Job], scorer: Any, scores: dict[str, TaskScore], output: Path) -> dict[str, Exception]:
    """Score and write one task after the other; a failing one stops none of the others."""
    failures: dict[str, Exception] = {}
    progress = tqdm(jobs, desc="evaluate", unit="task")
    for job in progress:
        name = job.folder.name
        progress.set_postfix_str(name)
        try:
            score, fields = scorer.score(job.folder, job.instructions)
        except Exception as error:  # whatever it is, it belongs to this task and is reported with the others
            log.error("task %s could not be scored: %s", name, error, exc_info=not isinstance(error, DataError))
            failures[name] = error
            continue
        write_result(output, fields, score, job.identity)
        scores[name] = score
    return failures


def _metrics(scores: Sequence[TaskScore]) -> dict[str, Any]:
    tasks = {score.task: score.main_score for score in scores}
    return {"tasks": tasks, "categories": category_means(scores), "mean": overall_mean(scores)}


def _track(cfg: Config, output: Path, scores: Sequence[TaskScore]) -> None:
    """The table of an evaluation, for W&B; scores 0-1, as in the result files."""
    table = Table(
        ["task", "category", "metric", "items", "main_score"],
        [[score.task, score.category, score.metric, len(score.items), score.main_score] for score in scores],
    )
    name = f"{encoder_name(cfg)} on {cfg.benchmark.name} {cfg.benchmark.split}"
    means = {**category_means(scores), "mean": overall_mean(scores)}
    log_results(cfg, output, "evaluate", name, {"tasks": table}, means)


@contextmanager
def _without_inner_bars() -> Iterator[None]:
    """Hide the progress bars of ``datasets``: one flashes by for every retrieval task."""
    import datasets

    hidden = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()
