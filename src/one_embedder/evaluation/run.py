"""The verb ``evaluate``: score every task of a benchmark with one encoder; what is already there is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from one_embedder.config.schema import Config
from one_embedder.encoder.truncation import Truncation
from one_embedder.errors import DataError
from one_embedder.evaluation.benchmarks import TaskScore, category_means, combine_not_run, combine_parts, overall_mean
from one_embedder.evaluation.completed import require_own
from one_embedder.evaluation.plan import Job, Plan, Share
from one_embedder.evaluation.prompt_retrieval.protocol import PromptProtocol
from one_embedder.evaluation.results import (
    IncompleteEvaluation,
    NotRun,
    identity_sha256,
    read_result,
    scored_on,
    write_result,
)
from one_embedder.evaluation.tasks.estimate import estimate
from one_embedder.files.lock import holding
from one_embedder.tracking.identity import config_hash
from one_embedder.tracking.manifest import RunRecord, is_complete
from one_embedder.tracking.wandb_run import Table, encoder_name, log_results

if TYPE_CHECKING:
    from one_embedder.evaluation.encoder import TextEncoder

log = logging.getLogger(__name__)


def evaluate(cfg: Config, encoder: TextEncoder | None = None, *, wait: bool = False) -> list[TaskScore]:
    """Score every task of ``cfg.benchmark`` with ``cfg.encoder`` and ``cfg.instructions``.

    Results go to ``cfg.output``, or to ``<experiments>/evaluations/<run id>``. A task whose result is there already is
    not scored again if it came from the same encoder, instructions, data, settings and library versions. With
    ``cfg.benchmark.shares`` only one share of the tasks is scored, into the same place as the others.

    Args:
        cfg: the configuration.
        encoder: scored instead of loading ``cfg.encoder``.
        wait: for another process that scores the same, whose results are then taken, instead of refusing.

    Returns:
        The scores by category in the order of Table 1, then by task name; parts of a task combined.

    Raises:
        ConfigError: if the instruction table does not fit the tasks, a task name is unknown, or ``cfg.output`` is the
            folder of another verb's run.
        CheckpointError: if the encoder, or the language model of prompt retrieval, cannot be found.
        DataError: if there is no benchmark.
        LockedError: another process scores into the same folder (with shares: the same share).
        IncompleteEvaluation: after all tasks, if some could not be scored; it names them and holds the others.
    """
    plan = Plan.of(cfg)
    if cfg.output:
        require_own(Path(cfg.output), "evaluate")
    encoder = encoder or load_embedder(cfg)
    share = Share.of(cfg, plan, encoder.revision)
    if not share.jobs and not share.absent:  # of more shares than tasks, some have nothing to do
        return []
    with holding(share.record, wait=wait):
        scores = {job.task.name: score for job in share.jobs if (score := _kept(share.output, job)) is not None}
        if scores:
            log.info("%d of %d results in %s are up to date", len(scores), len(share.jobs), share.output)
        whole = len(scores) == len(share.jobs) and not share.absent
        if not whole or not is_complete(share.record, share.run_id):
            _score_missing(cfg, share, scores, encoder, plan.prompts)
    done = combine_parts(_by_job(share, scores))
    if done:  # a share of the tasks may hold nothing but parts of one
        log.info("%s", sentence(done, share.output))
    return done


def sentence(scores: Sequence[TaskScore], output: Path) -> str:
    """What was obtained, in points, and where it is."""
    means = category_means(scores)
    columns = {**means, "mean of the categories": overall_mean(scores)} if len(means) > 1 else means
    told = ", ".join(f"{name} {100 * score:.1f}" for name, score in columns.items())
    return f"{len(scores)} task{'s' * (len(scores) > 1)}, points: {told}; {output / 'results'}"


def identity_of_tasks(cfg: Config) -> str:
    """Hash of what ``evaluate``'s scores depend on, but encoder and versions; refuses what ``evaluate`` refuses."""
    plan = Plan.of(cfg)
    if plan.unreadable:
        raise DataError(plan.unreadable[0].reason)
    facts = [{"task": job.task.name, **job.identity, "versions": None} for job in plan.jobs(cfg, "")]
    return config_hash(cfg, [], *(identity_sha256(fact) for fact in facts))


def load_embedder(cfg: Config) -> TextEncoder:
    """The encoder of ``cfg.encoder``, to be scored."""
    from one_embedder.embedding.embedder import InstructionEmbedder
    from one_embedder.encoder.checkpoint import load_encoder

    encoder = load_encoder(
        cfg.encoder.name_or_path,
        joining=cfg.encoder.joining,
        revision=cfg.encoder.revision,
        max_length=cfg.encoder.max_length,
        layers=cfg.encoder.layers,
    )
    return InstructionEmbedder(encoder, dtype=cfg.evaluation.dtype)


def _kept(output: Path, job: Job) -> TaskScore | None:
    """The score of an earlier run, if it is whole and depends on the same things."""
    if not (output / "results" / f"{job.task.name}.json").is_file():
        return None
    try:
        kept = read_result(output, job.task.name)
    except DataError as error:
        log.warning("%s", error)
        return None
    changed = sorted(key for key in {*kept.identity, *job.identity} if kept.identity.get(key) != job.identity.get(key))
    if kept.score.category != job.task.category:  # of files with the same fields
        changed.append("category")
    if changed:
        log.info("the result of %s in %s is of another %s: scored again", job.task.name, output, ", ".join(changed))
    return None if changed else kept.score


def _score_missing(
    cfg: Config, share: Share, scores: dict[str, TaskScore], encoder: TextEncoder, prompts: PromptProtocol | None
) -> None:
    """Score the jobs that ``scores`` lacks, add them to it, and keep a run record."""
    from one_embedder.evaluation.encoder import CachingEncoder
    from one_embedder.evaluation.scoring import Scorer

    cache = CachingEncoder(encoder, batch_size=cfg.evaluation.batch_size)
    scorer = Scorer(cache, f"one-embedder/{Path(cfg.encoder.name_or_path).name}", prompts)
    data = [job.task.record for job in share.jobs]
    model = {"base": cfg.encoder.name_or_path, "revision": encoder.revision}
    missing = [job for job in share.jobs if job.task.name not in scores]
    with (
        RunRecord.start(
            share.record, name="evaluate", cfg=cfg, data=data, model=model, identity=share.run_id
        ) as record,
        _datasets_at_work(),
    ):
        for line in estimate([job.task for job in missing], encoder, cfg.evaluation.batch_size):
            log.info("%s", line)
        not_run = [*share.absent, *_score_each(missing, scorer, scores, share.output)]
        cut = _tell_cut(cache.truncation)
        if not_run:
            raise IncompleteEvaluation(
                f"{len(not_run)} of {len(share.jobs) + len(share.absent)} tasks could not be scored: "
                + "; ".join(f"{task.task} ({task.reason})" for task in not_run)
                + f". The other results are in {share.output}; running again scores only what is missing",
                *combine_not_run(_by_job(share, scores), not_run),
            )
        done = combine_parts(_by_job(share, scores))
        record.complete(_metrics(done), {"encoded_texts": cache.encoded, "cache_hits": cache.hits, **cut})
    _track(cfg, share.output, done)


def _score_each(jobs: Sequence[Job], scorer: Any, scores: dict[str, TaskScore], output: Path) -> list[NotRun]:
    """Score and write one task after the other; a failing one stops none of the others."""
    failures = []
    progress = tqdm(jobs, desc="evaluate", unit="task")
    for job in progress:
        name = job.task.name
        progress.set_postfix_str(name)
        try:
            score, fields = scorer.score(job.task, job.instructions)
        except Exception as error:  # whatever it is, it belongs to this task and is reported with the others
            log.error("task %s could not be scored: %s", name, error, exc_info=not isinstance(error, DataError))
            failures.append(NotRun(name, job.task.category, str(error)))
            continue
        scores[name] = replace(score, scored_on=scored_on(job.identity))
        write_result(output, fields, score, job.identity)
    return failures


def _tell_cut(truncation: Mapping[str, Truncation]) -> dict[str, int]:
    """Say once what the maximum length took away in the tasks scored now; the counts for the record."""
    total = sum(truncation.values(), Truncation())
    if total.cut:
        lost = [task for task, counts in truncation.items() if counts.lost]
        log.log(
            logging.WARNING if lost else logging.INFO,
            "%s%s",
            total.sentence(),
            f" (in {', '.join(lost)})" if lost else "",
        )
    return {"texts_cut": total.cut, "texts_lost": total.lost}


def _by_job(share: Share, scores: Mapping[str, TaskScore]) -> list[TaskScore]:
    return [scores[job.task.name] for job in share.jobs if job.task.name in scores]


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
def _datasets_at_work() -> Iterator[None]:
    """Hide the progress bars of ``datasets``, which flash by for every chunk of a corpus, and keep none of its copies.

    mteb writes each chunk once more in a layout of its own: twice the corpus, which otherwise stays in the cache.
    """
    import datasets

    hidden, kept = datasets.are_progress_bars_disabled(), datasets.is_caching_enabled()
    datasets.disable_progress_bars()
    datasets.disable_caching()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()
        if kept:
            datasets.enable_caching()
