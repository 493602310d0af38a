"""The verb ``evaluate_views``: measure with one encoder how far instructions steer; what is already there is kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from one_embedder.config.schema import Config
from one_embedder.encoder.truncation import Truncation
from one_embedder.errors import DataError
from one_embedder.evaluation.completed import require_own
from one_embedder.evaluation.encoder import CachingEncoder
from one_embedder.evaluation.items import item_ids
from one_embedder.evaluation.results import identity_sha256
from one_embedder.evaluation.run import load_embedder
from one_embedder.evaluation.views.cells import MEASURES, score_cell
from one_embedder.evaluation.views.plan import ViewJob, view_jobs
from one_embedder.evaluation.views.results import ViewResult, read_view_result, write_view_result
from one_embedder.evaluation.views.steering import COLUMNS, mean_over_labelings
from one_embedder.files.lock import holding
from one_embedder.tracking.identity import config_hash
from one_embedder.tracking.manifest import RunRecord, is_complete
from one_embedder.tracking.wandb_run import Table, encoder_name, log_results

if TYPE_CHECKING:
    from one_embedder.evaluation.encoder import TextEncoder

log = logging.getLogger(__name__)


def evaluate_views(cfg: Config, encoder: TextEncoder | None = None, *, wait: bool = False) -> list[ViewResult]:
    """Score every set of ``cfg.views`` with ``cfg.encoder``: texts under each labeling's instruction and under none.

    Results go to ``cfg.output``, or to ``<experiments>/evaluations/<run id>``. A set is not scored again if its result
    is there and came from the same encoder, instructions, texts, settings and library versions.

    Args:
        cfg: the configuration.
        encoder: scored instead of loading ``cfg.encoder``.
        wait: for another process that scores the same, whose results are then taken, instead of refusing.

    Raises:
        ConfigError: if no set is asked for, one has no instructions, or ``cfg.output`` is another verb's run.
        CheckpointError: if the encoder cannot be found.
        DataError: if a set is not there, or its rows cannot be used.
        EvaluationError: if an embedding is not finite.
        LockedError: another process scores into the same folder.
    """
    jobs = view_jobs(cfg)
    if cfg.output:
        require_own(Path(cfg.output), "evaluate_views")
    encoder = encoder or load_embedder(cfg)
    revision = encoder.revision
    identities = {job.name: job.identity_with(revision) for job in jobs}
    hashes = (f"{name} {identity_sha256(identity)}" for name, identity in identities.items())
    run_id = f"views-s{cfg.seed}-{config_hash(cfg, [], *hashes)[:8]}"
    output = Path(cfg.output) if cfg.output else Path(cfg.paths.experiments) / "evaluations" / run_id
    with holding(output, wait=wait):
        found = {job.name: kept for job in jobs if (kept := _kept(output, job.name, identities[job.name])) is not None}
        if found:
            log.info("%d of %d results in %s are up to date", len(found), len(jobs), output)
        if len(found) < len(jobs) or not is_complete(output, run_id):
            missing = [job for job in jobs if job.name not in found]
            with _record(cfg, output, jobs, encoder, run_id) as record:
                found |= _score_each(cfg, missing, encoder, output)
                record.complete(_metrics([found[job.name] for job in jobs]))
            _track(cfg, output, [found[job.name] for job in jobs])
    return [found[job.name] for job in jobs]


def headline(results: Sequence[ViewResult], measure: str) -> dict[str, float]:
    """Column -> mean over the sets of the mean over their labelings, 0-1."""
    means = [mean_over_labelings(result.table(measure)) for result in results]
    return {column: float(np.mean([scores[column] for scores in means])) for column in COLUMNS}


def _kept(output: Path, name: str, identity: Mapping[str, object]) -> ViewResult | None:
    if not (output / "results" / f"{name}.json").is_file():
        return None
    try:
        kept = read_view_result(output, name)
    except DataError as error:
        log.warning("%s", error)
        return None
    changed = sorted(key for key in {*kept.identity, *identity} if kept.identity.get(key) != identity.get(key))
    if changed:
        log.info("the result of %s in %s is of another %s: scored again", name, output, ", ".join(changed))
    return None if changed else kept


def _record(cfg: Config, output: Path, jobs: Sequence[ViewJob], encoder: TextEncoder, run_id: str) -> RunRecord:
    data = [{"name": job.name, "sha256": job.identity["data_sha256"], "texts": len(job.texts)} for job in jobs]
    model = {"base": cfg.encoder.name_or_path, "revision": encoder.revision}
    return RunRecord.start(output, name="evaluate_views", cfg=cfg, data=data, model=model, identity=run_id)


def _score_each(cfg: Config, jobs: Sequence[ViewJob], encoder: TextEncoder, output: Path) -> dict[str, ViewResult]:
    found = {}
    progress = tqdm(jobs, desc="evaluate_views", unit="set")
    for job in progress:
        progress.set_postfix_str(job.name)
        began = time.monotonic()
        found[job.name], truncation = _score(cfg, job, encoder)
        about = {"truncation": asdict(truncation), "seconds": round(time.monotonic() - began, 1)}
        write_view_result(output, found[job.name], about)
        if truncation.cut:
            log.log(logging.WARNING if truncation.lost else logging.INFO, "%s: %s", job.name, truncation.sentence())
    return found


def _score(cfg: Config, job: ViewJob, encoder: TextEncoder) -> tuple[ViewResult, Truncation]:
    cache = CachingEncoder(encoder, batch_size=cfg.evaluation.batch_size, max_entries=0)  # no text comes twice
    settings, cells = cfg.views, {}
    for name, instruction in job.instructions.items():
        embeddings = cache.encode(job.texts, instruction, task=job.name)
        with threadpool_limits(1):  # as tasks are scored: the last bits of a sum depend on the number of threads
            cells[name] = {
                labeling: score_cell(
                    embeddings,
                    of,
                    neighbours=settings.neighbours,
                    repeats=settings.repeats,
                    seed=settings.seed,
                )
                for labeling, of in job.labelings.items()
            }
    identity = job.identity_with(cache.revision)
    return ViewResult(job.name, item_ids(job.texts), job.labelings, cells, identity), cache.truncation[job.name]


def _metrics(results: Sequence[ViewResult]) -> dict[str, dict[str, float]]:
    return {measure: headline(results, measure) for measure in MEASURES}


def _track(cfg: Config, output: Path, results: Sequence[ViewResult]) -> None:
    """The table of an evaluation, for W&B; scores 0-1, as in the result files."""
    rows = [
        [result.name, measure, *(float(value) for value in mean_over_labelings(result.table(measure)).values())]
        for result in results
        for measure in MEASURES
    ]
    summary = {
        f"{measure}/{column}": value for measure, of in _metrics(results).items() for column, value in of.items()
    }
    name = f"{encoder_name(cfg)} on view sets {cfg.views.name} {cfg.views.part}"
    log_results(cfg, output, "evaluate_views", name, {"views": Table(["set", "measure", *COLUMNS], rows)}, summary)
