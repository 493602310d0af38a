"""Which tasks a benchmark has: folders on disk, tasks of mteb's registry, or both; and those that are not here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from one_embedder.config.messages import nearest
from one_embedder.config.schema import BenchmarkConfig
from one_embedder.errors import ConfigError
from one_embedder.evaluation.benchmarks import AGGREGATES, CATEGORIES
from one_embedder.evaluation.results import NotRun
from one_embedder.evaluation.tasks.folder import TaskFolder, discover, folder_of, settings_of
from one_embedder.evaluation.tasks.registry import HubTask, hub_tasks

Task = TaskFolder | HubTask


@dataclass(frozen=True)
class Selection:
    """The tasks of a benchmark, by category in the order of Table 1, then by name.

    Attributes:
        tasks: to be scored.
        absent: belong to the benchmark, but there is no folder for them.
    """

    tasks: Sequence[Task]
    absent: Sequence[NotRun]


def select_tasks(benchmark: BenchmarkConfig) -> Selection:
    """What ``benchmark`` is made of.

    Without ``mteb`` and ``folders``: every folder below ``root``. ``tasks`` keeps some of it.

    Raises:
        DataError: if there is no task below ``root``, or its layout is wrong.
        ConfigError: if mteb does not know its benchmark, one of its tasks is named in ``folders`` or ``protocol`` too,
            or a name of ``tasks`` does not exist.
    """
    if benchmark.mteb is None and not benchmark.folders:
        return Selection(discover(Path(benchmark.root), benchmark.tasks, benchmark.protocol), [])
    named = [_named_folder(benchmark, name, category) for name, category in benchmark.folders.items()]
    found: list[Task] = [*(hub_tasks(benchmark.mteb) if benchmark.mteb else ())]
    if twice := sorted(benchmark.folders.keys() & {task.name for task in found}):
        raise ConfigError(f"benchmark.folders names {twice}, which benchmark.mteb={benchmark.mteb} has too; drop one")
    if unread := sorted(benchmark.protocol.keys() & {task.name for task in found}):
        raise ConfigError(
            f"benchmark.protocol names {unread}, but only folders of rows read it: benchmark.mteb={benchmark.mteb} has "
            "a protocol of its own; leave them out"
        )
    found += [task for task in named if isinstance(task, TaskFolder)]
    absent = [task for task in named if isinstance(task, NotRun)]
    kept = _kept_names(benchmark, [task.name for task in found] + [task.task for task in absent])
    return Selection(
        sorted((task for task in found if task.name in kept), key=lambda t: (CATEGORIES.index(t.category), t.name)),
        [task for task in absent if task.task in kept],
    )


def share_of(tasks: Sequence[Task], sizes: Mapping[str, int], share: int, shares: int) -> list[Task]:
    """The tasks that job ``share`` of ``shares`` scores: the largest go out first, each to whom has least so far.

    Args:
        tasks: of all jobs.
        sizes: task -> characters to embed; a task without a size counts as small.
        share: 0 to ``shares`` - 1.
        shares: number of jobs.
    """
    loads, dealt = [0] * shares, {}
    for task in sorted(tasks, key=lambda task: (-sizes.get(task.name, 1), task.name)):
        lightest = loads.index(min(loads))
        loads[lightest] += sizes.get(task.name, 1)
        dealt[task.name] = lightest
    return [task for task in tasks if dealt[task.name] == share]


def _named_folder(benchmark: BenchmarkConfig, name: str, category: str) -> TaskFolder | NotRun:
    if category not in CATEGORIES:
        raise ConfigError(f"benchmark.folders.{name}={category!r} must be {nearest(category, CATEGORIES)}")
    path = folder_of(Path(benchmark.root), category) / name
    if not path.is_dir():
        return NotRun(name, category, f"there is no folder {path}")
    return TaskFolder(name, category, path, settings_of(name, category, benchmark.protocol))


def _kept_names(benchmark: BenchmarkConfig, names: Sequence[str]) -> set[str]:
    if benchmark.tasks is None:
        return set(names)
    known = (*names, *(name for name, parts in AGGREGATES.items() if set(parts) <= set(names)))
    for task in benchmark.tasks:
        if task not in known:
            raise ConfigError(
                f"benchmark.tasks names {task!r}, which is no task of {benchmark.name}; {nearest(task, known)}"
            )
    return {part for task in benchmark.tasks for part in AGGREGATES.get(task, [task])}
