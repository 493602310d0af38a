"""What an evaluation is to do: its tasks, what their texts are joined with, and what each result depends on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config, InstructionsConfig
from one_embedder.errors import DataError
from one_embedder.evaluation.benchmarks import CATEGORIES, spellings
from one_embedder.evaluation.prompt_retrieval.protocol import PromptProtocol
from one_embedder.evaluation.results import NotRun, identity_sha256
from one_embedder.evaluation.task_instructions import InstructionTable, TaskInstructions, sides_of
from one_embedder.evaluation.tasks.chosen import Selection, Task, select_tasks, share_of
from one_embedder.evaluation.tasks.estimate import sizes
from one_embedder.evaluation.tasks.folder import TaskFolder, tell_misspelt
from one_embedder.tracking.identity import config_hash

logger = logging.getLogger(__name__)

PROTOCOL = 2
"""Raised when this package computes a score differently, so that older results are not taken for current ones."""

LIBRARIES = ("mteb", "torch", "transformers", "tokenizers", "scikit-learn", "scipy", "numpy", "rouge-score")
"""Libraries whose version can move a score."""


def for_evaluation(cfg: Config) -> Config:
    """The settings of an evaluation as they were meant: ``with_instructions=false`` leaves out the table."""
    return cfg if cfg.with_instructions else replace(cfg, instructions=InstructionsConfig())


@dataclass(frozen=True)
class Job:
    """One task to score.

    Attributes:
        task: where its data come from.
        instructions: what its texts are joined with.
        identity: everything its result depends on.
    """

    task: Task
    instructions: TaskInstructions
    identity: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """Checked before anything is loaded.

    Attributes:
        selection: the tasks.
        instructions: of each task.
        prompts: how prompt retrieval is done; None where no task needs it, and so no learner.
        unreadable: tasks whose files are damaged; they stop none of the others.
    """

    selection: Selection
    instructions: Mapping[str, TaskInstructions]
    prompts: PromptProtocol | None
    unreadable: Sequence[NotRun] = ()

    @classmethod
    def of(cls, cfg: Config) -> Plan:
        """The plan of a configuration.

        Raises:
            ConfigError: if the instruction table does not fit the tasks, or a task name is unknown.
            CheckpointError: if the language model of prompt retrieval cannot be found.
            DataError: if there is no benchmark.
        """
        selection, unreadable = _readable(select_tasks(cfg.benchmark), beside=cfg.instructions.beside_tasks)
        table = InstructionTable(
            cfg.instructions.name,
            _beside(selection.tasks) if cfg.instructions.beside_tasks else cfg.instructions.table,
            document_instructions=cfg.evaluation.document_instructions,
            given=cfg.evaluation.instructions,
            detail=cfg.instruction_detail,
        )
        instructions = {task.name: table.for_task(task.name, task.category) for task in selection.tasks}
        _tell_doubts(table, selection.tasks, instructions)
        prompted = [[task.name] for task in selection.tasks if task.category == "PromptRetrieval"]
        tell_misspelt("prompt_retrieval.tasks", cfg.prompt_retrieval.tasks, prompted)
        return cls(selection, instructions, PromptProtocol.of(cfg) if prompted else None, unreadable)

    def jobs(self, cfg: Config, revision: str) -> list[Job]:
        """One job a task, for the encoder of that revision."""
        return [
            Job(task, self.instructions[task.name], self._identity(cfg, task, revision))
            for task in self.selection.tasks
        ]

    def _identity(self, cfg: Config, task: Task, revision: str) -> Mapping[str, Any]:
        identity: dict[str, Any] = {
            "protocol": PROTOCOL,
            "encoder_revision": revision,
            **task.identity,
            "instructions": asdict(self.instructions[task.name]),
            "versions": versions(),
        }
        if cfg.evaluation.dtype != "float32":
            identity["dtype"] = cfg.evaluation.dtype
        if self.prompts is not None and task.category == "PromptRetrieval":
            identity["prompt_retrieval"] = self.prompts.identity(task.name)
        return identity


@dataclass(frozen=True)
class Share:
    """The part of an evaluation that one run does: all of it, unless ``benchmark.shares`` divides it.

    Attributes:
        jobs: this run's.
        absent: tasks of the benchmark that cannot be scored by anyone; told by the undivided run alone.
        output: where results go, those of all shares together.
        record: folder of this run's record; no two runs side by side have the same.
        run_id: the same for all shares.
    """

    jobs: Sequence[Job]
    absent: Sequence[NotRun]
    output: Path
    record: Path
    run_id: str

    @classmethod
    def of(cls, cfg: Config, plan: Plan, revision: str) -> Share:
        """What ``cfg.benchmark.share`` is to do with the encoder of that revision."""
        jobs = plan.jobs(cfg, revision)
        run_id = f"evaluate-s{cfg.seed}-{config_hash(cfg, [], *(identity_sha256(job.identity) for job in jobs))[:8]}"
        output = Path(cfg.output) if cfg.output else Path(cfg.paths.experiments) / "evaluations" / run_id
        share, shares = cfg.benchmark.share, cfg.benchmark.shares
        if shares == 1:
            return cls(jobs, [*plan.selection.absent, *plan.unreadable], output, output, run_id)
        tasks = plan.selection.tasks
        own = {task.name for task in share_of(tasks, sizes(tasks), share, shares)}
        record = output / "shares" / f"{share}-of-{shares}"
        return cls([job for job in jobs if job.task.name in own], [], output, record, run_id)


def _readable(selection: Selection, *, beside: bool) -> tuple[Selection, list[NotRun]]:
    """The selection without tasks whose files cannot be read, and those; ``beside``: their instructions' file too."""
    kept: list[Task] = []
    unreadable = []
    for task in selection.tasks:
        try:
            _ = task.identity  # reads every file of a folder
            if beside and isinstance(task, TaskFolder):
                _ = task.instructions
            kept.append(task)
        except DataError as error:
            unreadable.append(NotRun(task.name, task.category, str(error)))
    return Selection(kept, selection.absent), unreadable


def _beside(tasks: Sequence[Task]) -> Mapping[str, Mapping[str, str]]:
    """The table that the tasks' own folders make; a task that says nothing has no instruction."""
    bare = [task.name for task in tasks if not (isinstance(task, TaskFolder) and task.instructions)]
    if bare:
        logger.warning("instructions=own, and no instructions.json of theirs: %s get no instruction", ", ".join(bare))
    said = {task.name: task.instructions if isinstance(task, TaskFolder) else {} for task in tasks}
    none = {task.name: dict.fromkeys(sides_of(task.category), "") for task in tasks}
    return {name: {**none[name], **sides} for name, sides in said.items()}


def _tell_doubts(table: InstructionTable, tasks: Sequence[Task], instructions: Mapping[str, TaskInstructions]) -> None:
    """Say what is allowed and yet hardly meant: a score would not show it."""
    known = {name for task in tasks for name in (*spellings(task.name, task.category), task.category)}
    unused = sorted(set(table.table) - known - set(CATEGORIES))
    if unused and not set(CATEGORIES).isdisjoint(table.table):  # a misspelt task has got its category's
        logger.warning("instructions.table names %s, which is no task here; is a name misspelt?", ", ".join(unused))
    glued = [name for name, told in instructions.items() if any(map(_is_glued, (told.query, told.document)))]
    if glued:
        logger.warning("instructions without a space at their end are joined to the text as they are: %s", glued)


def _is_glued(instruction: str) -> bool:
    return instruction != "" and not instruction[-1].isspace()


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that can move a score."""
    return {library: version(library) for library in LIBRARIES}
