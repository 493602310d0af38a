"""MEDI mined from what is given: Super-NaturalInstructions, a folder of pairs, view sets, or several of them."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config, MiningConfig
from one_embedder.config.views import trained_sets
from one_embedder.errors import ConfigError, DataError
from one_embedder.medi.mining import leakage, miner
from one_embedder.medi.mining import rules as mining
from one_embedder.medi.mining.candidates import CandidateTask, LabelTask
from one_embedder.medi.mining.negatives import HardNegatives
from one_embedder.medi.row import MediRow
from one_embedder.medi.sources.assembly import is_built, publish, settings_of, work_folder
from one_embedder.medi.sources.build_key import build_key
from one_embedder.medi.sources.pairs import read_pairs
from one_embedder.medi.sources.report import Report, leakage_lines
from one_embedder.medi.sources.super_ni.instructions import instruction_of
from one_embedder.medi.sources.super_ni.tasks import NOT_STATED, candidate_task, read_tasks
from one_embedder.medi.sources.views import held_out_files, read_views
from one_embedder.medi.store import write_medi

logger = logging.getLogger(__name__)

_CHOSEN = (
    "medi.root",
    "medi.tasks",
    "medi.instances_per_task",
    "medi.text_output",
    "medi.instructions",
    "medi.pairs",
    "medi.instances_of_pairs",
    "medi.pair_instructions",
    "medi.views",
    "medi.view_sets",
    "medi.crossed_views",
    "medi.leakage",
    "medi.rows_per_task",
    "medi.min_rows_per_task",
)


@dataclass(frozen=True)
class Candidates:
    """What is mined.

    Attributes:
        tasks: without the texts that stand in the benchmark.
        licences: task -> licence of its instances.
        lost: task -> what it lost to the benchmark, if anything; None if there is none to look at.
    """

    tasks: Sequence[CandidateTask]
    licences: Mapping[str, str]
    lost: Mapping[str, int] | None


@dataclass(frozen=True)
class MinedTask:
    """One task by itself, among those of other sources; see ``one_embedder.medi.sources.parts.TaskBuilder``.

    Attributes:
        task: its texts.
        about: JSON values for the report.
        limit: rows at most.
        settings: of the mining encoder.
        mining: which candidates become hard negatives.
        encoder: embeds.
    """

    task: CandidateTask
    about: Mapping[str, Any]
    limit: int
    settings: Mapping[str, Any]
    mining: MiningConfig
    encoder: miner.Miner

    @property
    def name(self) -> str:
        """Of the task."""
        return self.task.name

    @property
    def key(self) -> str:
        """Everything that the rows depend on."""
        return build_key(
            "super_ni task",  # as they were called when there were no others
            candidates=repr(self.task),
            limit=self.limit,
            encoder=dict(self.settings),
            mining=asdict(self.mining),
        )

    def build(self) -> tuple[Sequence[MediRow], Mapping[str, Any]]:
        """Mine it."""
        negatives = HardNegatives(self.mining)
        rows = mining.mine(self.task, 0, mining.embed_texts([self.task], self.encoder.encode), self.limit, negatives)
        self.encoder.forget()
        return rows, {**self.about, "mining": negatives.facts}


def chosen_keys(cfg: Config) -> list[str]:
    """The settings by which the user chooses what is mined, and how."""
    return [*miner.MINING_KEYS, *_CHOSEN, *(["views.sets"] if cfg.medi.views is not None else [])]


def mixture_tasks(cfg: Config, encoder: miner.Miner, benchmark: leakage.BenchmarkTexts | None) -> list[MinedTask]:
    """Every task that is given by itself, to be built with those of another source; perhaps none.

    Texts of the benchmark are left out.

    Raises:
        ConfigError: if a task lacks its instruction.
        DataError: if a file cannot be used.
    """
    found = _candidates(cfg, benchmark)
    if found.tasks:
        logger.info("%d tasks to be mined", len(found.tasks))
    settings = miner.mining_settings(cfg.encoder)
    return [
        MinedTask(
            task,
            {"licence": found.licences.get(task.name, NOT_STATED), "overlapping": (found.lost or {}).get(task.name, 0)},
            cfg.medi.rows_per_task,
            settings,
            cfg.medi.mining,
            encoder,
        )
        for task in found.tasks
    ]


def build_mixture(cfg: Config, folder: Path) -> Path:
    """Build the training data; nothing is done when they are there already.

    Returns:
        ``folder``, with ``medi/`` and ``report.md``.

    Raises:
        ConfigError: if nothing is given to build from, a task lacks its instruction, or the folder holds data that were
            built with other settings.
        DataError: if a file cannot be used, or no task is left.
    """
    _require_given(cfg)
    started = time.monotonic()
    found = _candidates(cfg, leakage.BenchmarkTexts.of(cfg.medi, held_out_files(cfg)))
    tasks = found.tasks
    key = _key(cfg, tasks)
    settings = settings_of(cfg, *chosen_keys(cfg))
    if is_built(folder, key, settings):
        logger.info("the training data are built already: %s", folder)
        return folder
    texts = sum(len(task.texts()) for task in tasks)
    logger.info("%d tasks with at most %d texts to embed; build in %s", len(tasks), texts, folder)
    work = work_folder(folder, key)
    negatives = HardNegatives(cfg.medi.mining)
    mined = _mined(tasks, cfg, miner.Miner(cfg.encoder, work), negatives)
    about = {"source": cfg.medi.source, "key": key, "mining": negatives.facts}
    if cfg.medi.views is not None:
        about["view_sets"] = trained_sets(cfg)
    sha256 = write_medi(chain.from_iterable(mined), work / "medi", about)
    _report(found, cfg.medi.source).write(work, sha256)
    rows = sum(map(len, mined))
    seconds = round(time.monotonic() - started, 1)
    publish(work, folder, {"key": key, "settings": settings, "sha256": sha256, "rows": rows, "seconds": seconds})
    logger.info("%d rows of %d tasks, sha256 %s, %.0f s", rows, len(mined), sha256[:12], seconds)
    return folder


def _require_given(cfg: Config) -> None:
    medi = cfg.medi
    if medi.source == "super_ni" and medi.root is None:
        raise ConfigError("medi.root is not given: the folder of Super-NaturalInstructions, such as medi.root=DIR")
    if medi.root is None and medi.pairs is None and medi.views is None:
        raise ConfigError(
            "nothing is given to build training data from: name a folder of view sets (medi.views=DIR), of pairs "
            "(medi.pairs=DIR) or of Super-NaturalInstructions (medi.root=DIR), or several of them"
        )


def _candidates(cfg: Config, benchmark: leakage.BenchmarkTexts | None) -> Candidates:
    tasks, licences = _super_ni(cfg)
    if cfg.medi.pairs is not None:
        tasks += read_pairs(Path(cfg.medi.pairs), cfg.medi.instances_of_pairs, cfg.medi.pair_instructions)
    tasks += read_views(cfg)
    _require_different([task.name for task in tasks])
    if benchmark is None:
        return Candidates(tasks, licences, None)
    kept, lost = leakage.drop_overlapping(tasks, benchmark)
    return Candidates(kept, licences, lost)


def _super_ni(cfg: Config) -> tuple[list[CandidateTask], dict[str, str]]:
    """The tasks of ``medi.root`` that are asked for, and their licences."""
    settings = cfg.medi
    tasks: list[CandidateTask] = []
    licences: dict[str, str] = {}
    if settings.root is None:
        return tasks, licences
    unused = set(settings.tasks or ())
    for task in read_tasks(Path(settings.root), settings.instances_per_task):
        fitting = {pattern for pattern in settings.tasks or ("*",) if fnmatchcase(task.name, pattern)}
        unused -= fitting
        if fitting:
            instruction = instruction_of(task, settings.instructions)
            tasks.append(candidate_task(task, instruction, settings.text_output))
            licences[task.name] = task.licence
    if unused:
        raise ConfigError(f"medi.tasks: {min(unused)!r} fits no task in {settings.root}; correct it or leave it out")
    return tasks, licences


def _require_different(names: Sequence[str]) -> None:
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ConfigError(f"two tasks are called {', '.join(twice)}; rename the file of pairs in medi.pairs")


def _key(cfg: Config, tasks: Sequence[CandidateTask]) -> str:
    candidates = hashlib.sha256()
    for task in tasks:
        candidates.update(repr(task).encode())
    return build_key(
        cfg.medi.source,
        candidates=candidates.hexdigest(),
        encoder=miner.mining_settings(cfg.encoder),
        mining=asdict(cfg.medi.mining),
        rows_per_task=cfg.medi.rows_per_task,
        min_rows_per_task=cfg.medi.min_rows_per_task,
    )


def _mined(
    tasks: Sequence[CandidateTask], cfg: Config, encoder: miner.Miner, negatives: HardNegatives
) -> list[list[MediRow]]:
    """The rows of every task that has enough, numbered in order."""
    embeddings = mining.embed_texts(tasks, encoder.encode)
    kept: list[list[MediRow]] = []
    for task in tasks:
        rows = mining.mine(task, len(kept), embeddings, cfg.medi.rows_per_task, negatives)
        if len(rows) >= cfg.medi.min_rows_per_task:
            kept.append(rows)
        else:
            logger.info("%s is left out: %d rows, fewer than medi.min_rows_per_task", task.name, len(rows))
    if not kept:
        raise DataError(f"no task has medi.min_rows_per_task={cfg.medi.min_rows_per_task} rows")
    return kept


def _report(found: Candidates, source: str) -> Report:
    classes = sum(isinstance(task, LabelTask) for task in found.tasks)
    read = f"Read were {classes} tasks of classification and {len(found.tasks) - classes} of text output and pairs."
    licences = {task.name: NOT_STATED for task in found.tasks} | dict(found.licences)
    title = "Super-NaturalInstructions" if source == "super_ni" else "A mixture"
    return Report(f"{title} as training data", licences, [read, "", *leakage_lines(found.lost)])
