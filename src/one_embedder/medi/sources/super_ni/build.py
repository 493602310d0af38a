"""MEDI from Super-NaturalInstructions, and sentence pairs where a folder of them is given."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError, DataError
from one_embedder.medi import candidates, leakage, miner, mining
from one_embedder.medi.assembly import is_built, publish, work_folder
from one_embedder.medi.candidates import CandidateTask, LabelTask
from one_embedder.medi.miner import Miner
from one_embedder.medi.record import MediRow
from one_embedder.medi.report import leakage_lines, task_lines
from one_embedder.medi.sources import pairs
from one_embedder.medi.sources.pairs import read_pairs
from one_embedder.medi.sources.super_ni.candidates import candidate_task
from one_embedder.medi.sources.super_ni.instructions import instruction_of
from one_embedder.medi.sources.super_ni.tasks import read_tasks
from one_embedder.medi.store import write_medi

logger = logging.getLogger(__name__)


def build_super_ni(cfg: Config, folder: Path) -> Path:
    """Build the training data; nothing is done when they are there already.

    Returns:
        ``folder``, with ``medi/`` and ``report.md``.

    Raises:
        ConfigError: if ``medi.root`` is not given.
        DataError: if a file cannot be used, or no task is left.
    """
    if cfg.medi.root is None:
        raise ConfigError("medi.root is not given: the folder of Super-NaturalInstructions, such as medi.root=DIR")
    started = time.monotonic()
    tasks, lost = _candidates(cfg)
    key = _key(cfg, tasks)
    if is_built(folder, key):
        logger.info("Super-NaturalInstructions is built already: %s", folder)
        return folder
    texts = sum(len(task.texts()) for task in tasks)
    logger.info("%d tasks with at most %d texts to embed; build in %s", len(tasks), texts, folder)
    work = work_folder(folder, key)
    mined = _mined(tasks, cfg, Miner(cfg.encoder, work))
    sha256 = write_medi(chain.from_iterable(mined), work / "medi", {"source": "super_ni", "key": key})
    rows = [row for task in mined for row in task]
    (work / "report.md").write_text(_report(tasks, rows, lost, sha256), encoding="utf-8")
    seconds = round(time.monotonic() - started, 1)
    publish(work, folder, {"key": key, "sha256": sha256, "rows": len(rows), "seconds": seconds})
    logger.info("%d rows of %d tasks, sha256 %s, %.0f s", len(rows), len(mined), sha256[:12], seconds)
    return folder


def _candidates(cfg: Config) -> tuple[list[CandidateTask], Mapping[str, int] | None]:
    """The tasks to mine, and what each lost to the benchmark; None if there is none to look at."""
    settings = cfg.medi
    tasks: list[CandidateTask] = [
        candidate_task(task, instruction_of(task, settings.instructions), settings.text_output)
        for task in read_tasks(Path(str(settings.root)), settings.instances_per_task)
    ]
    if settings.pairs is not None:
        tasks += read_pairs(Path(settings.pairs), settings.instances_of_pairs)
    if settings.leakage is None:
        return tasks, None
    return leakage.drop_overlapping(tasks, leakage.BenchmarkTexts.read(Path(settings.leakage)))


def _key(cfg: Config, tasks: Sequence[CandidateTask]) -> str:
    """A hash of everything that the rows depend on: candidates, code, encoder and settings."""
    digest = hashlib.sha256()
    for path in sorted(Path(inspect.getfile(module)) for module in (candidates, mining, miner, pairs)):
        digest.update(path.read_bytes())
    settings = [cfg.medi.rows_per_task, cfg.medi.min_rows_per_task, asdict(cfg.encoder)]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for task in tasks:
        digest.update(repr(task).encode())
    return digest.hexdigest()


def _mined(tasks: Sequence[CandidateTask], cfg: Config, encoder: Miner) -> list[list[MediRow]]:
    """The rows of every task that has enough, numbered in order."""
    embeddings = mining.embed_texts(tasks, encoder.encode) if any(task.texts() for task in tasks) else {}
    kept: list[list[MediRow]] = []
    for task in tasks:
        rows = mining.mine(task, len(kept), embeddings, cfg.medi.rows_per_task)
        if len(rows) >= cfg.medi.min_rows_per_task:
            kept.append(rows)
        else:
            logger.info("%s is left out: %d rows, fewer than medi.min_rows_per_task", task.name, len(rows))
    if not kept:
        raise DataError(f"{cfg.medi.root}: no task has medi.min_rows_per_task={cfg.medi.min_rows_per_task} rows")
    return kept


def _report(
    tasks: Sequence[CandidateTask], rows: Sequence[MediRow], lost: Mapping[str, int] | None, sha256: str
) -> str:
    kinds = {"classification": sum(isinstance(task, LabelTask) for task in tasks)}
    kinds["text output and pairs"] = len(tasks) - kinds["classification"]
    return "\n".join([
        "# Super-NaturalInstructions as training data: build report",
        "",
        f"{len(rows)} rows in {len({row.task_id for row in rows})} tasks, content sha256 `{sha256}`; "
        f"read were {', '.join(f'{count} tasks of {kind}' for kind, count in kinds.items())}.",
        "",
        *(leakage_lines(lost) if lost is not None else ["No benchmark was given to look for leakage.", ""]),
        *task_lines(rows),
    ])  # fmt: skip
