"""A folder of JSON-lines files -> an mteb task of its category: the offline way to run any benchmark.

A task is ``eval/<Category>/<Task>/``, ``prompt_retrieval/<Task>/`` or ``billboard/<Task>/`` below a root;
``docs/evaluation.md`` tells the files and fields of each category. A task's folder may hold ``instructions.json`` with
its instructions, for ``instructions=own``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from one_embedder.config.schema import TaskFolderConfig
from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.benchmarks import CATEGORIES, spellings
from one_embedder.evaluation.task_instructions import sides_of
from one_embedder.files.documents import read_json
from one_embedder.files.json_lines import SUFFIXES, content_sha256
from one_embedder.instructions.table import written_out

logger = logging.getLogger(__name__)

OWN_FOLDERS = {"PromptRetrieval": "prompt_retrieval", "TextEvaluation": "billboard"}
"""Categories that mteb does not know, and the folder of their tasks below the root."""

SETTINGS = {"samples_per_label": "Classification", "splits": "STS", "ignore_identical_ids": "Retrieval"}
"""What ``benchmark.protocol`` may set, and the category that reads it."""

READING = {"Retrieval": 2, "PromptRetrieval": 2}
"""Raised when folders of a category are read or scored otherwise, so that older results are not taken for current."""

_ALMOST = 0.85  # share of the letters of two names that agree; FEVERRetrieval and ClimateFEVERRetrieval have 0.8

NO_PROTOCOL: Mapping[str, TaskFolderConfig] = MappingProxyType({})


@dataclass(frozen=True)
class TaskFolder:
    """One task on disk.

    Attributes:
        name: of the task: the folder's name.
        category: one of ``CATEGORIES``.
        path: the folder.
        settings: where it departs from its category's protocol.
    """

    name: str
    category: str
    path: Path
    settings: TaskFolderConfig = field(default_factory=TaskFolderConfig, hash=False)

    @cached_property
    def sha256(self) -> str:
        """Hash of the task's data."""
        return content_sha256(self.path)

    @property
    def instructions(self) -> Mapping[str, str]:
        """What ``instructions.json`` beside the rows says: side -> instruction; nothing where there is no such file.

        Raises:
            DataError: if it cannot be read, is no object of instructions, or has a side that the category has not.
        """
        path = self.path / "instructions.json"
        if not path.is_file():
            return {}
        try:
            sides = written_out({self.name: read_json(path)})[self.name]
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is not readable JSON ({error}); correct it") from error
        except ConfigError as error:
            raise DataError(f"{path}: {error}") from error
        known = sides_of(self.category)
        if unknown := sorted(sides.keys() - set(known)):
            raise DataError(f"{path}: {unknown} is no side of {self.category}; it has {' and '.join(known)}")
        return sides

    @property
    def identity(self) -> Mapping[str, Any]:
        """What of a result's identity is the task."""
        chosen = {key: value for key, value in asdict(self.settings).items() if value is not None}
        reading = {"reading": READING[self.category]} if self.category in READING else {}
        return {"data_sha256": self.sha256, **reading, **({"settings": chosen} if chosen else {})}

    @property
    def record(self) -> Mapping[str, Any]:
        """The task's data in a run record."""
        return {"name": self.name, "sha256": self.sha256}


def discover(
    root: Path, tasks: Sequence[str] | None = None, protocol: Mapping[str, TaskFolderConfig] = NO_PROTOCOL
) -> list[TaskFolder]:
    """All tasks below a root, by category in the order of Table 1, then by name.

    Args:
        root: holds ``eval``, ``billboard`` and ``prompt_retrieval``, each optional.
        tasks: names to keep; None: all.
        protocol: settings of tasks, found under either of their ``spellings``; those of no task here are not used, and
            told where they look like a misspelt task.

    Raises:
        DataError: if there is no task, a folder is no category's, or two tasks have the same name.
        ConfigError: if a name of ``tasks`` does not exist, or a task's category does not read one of its settings.
    """
    if not root.is_dir():
        raise DataError(
            f"{root}: no such benchmark folder; build it (python -m one_embedder.build_medi) or set benchmark.root"
        )
    _refuse_unknown_categories(root)
    found = [folder for category in CATEGORIES for folder in _of_category(root, category, protocol)]
    if not found:
        raise DataError(f"{root}: no task folder below eval/, billboard/ or prompt_retrieval/")
    paths: dict[str, Path] = {}
    for folder in found:
        if folder.name in paths:
            raise DataError(f"{folder.path} and {paths[folder.name]} have the same task name; rename one of them")
        paths[folder.name] = folder.path
    tell_misspelt("benchmark.protocol", protocol, [spellings(task.name, task.category) for task in found])
    if tasks is None:
        return found
    missing = sorted(set(tasks) - set(paths))
    if missing:
        raise ConfigError(f"benchmark.tasks names {missing}, which {root} does not hold; it holds {sorted(paths)}")
    return [folder for folder in found if folder.name in tasks]


def folders_with_rows(root: Path) -> list[Path]:
    """Every folder below ``root`` that holds JSON-lines files, links to folders followed."""
    every = os.walk(root, followlinks=True)  # rglob passes links by
    return sorted(Path(folder) for folder, _, names in every if any(name.endswith(SUFFIXES) for name in names))


def folder_of(root: Path, category: str) -> Path:
    """Where the tasks of a category lie below a root."""
    return root / OWN_FOLDERS[category] if category in OWN_FOLDERS else root / "eval" / category


def _of_category(root: Path, category: str, protocol: Mapping[str, TaskFolderConfig]) -> list[TaskFolder]:
    parent = folder_of(root, category)
    if not parent.is_dir():
        return []
    paths = [path for path in sorted(parent.iterdir()) if path.is_dir()]
    return [TaskFolder(path.name, category, path, settings_of(path.name, category, protocol)) for path in paths]


def settings_of(task: str, category: str, protocol: Mapping[str, TaskFolderConfig]) -> TaskFolderConfig:
    """The settings of one task; the defaults where ``protocol`` does not name it.

    Raises:
        ConfigError: if they set what another category reads.
    """
    name = next((name for name in spellings(task, category) if name in protocol), None)
    settings = TaskFolderConfig() if name is None else protocol[name]
    for key, reader in SETTINGS.items():
        if getattr(settings, key) is not None and reader != category:
            raise ConfigError(
                f"benchmark.protocol.{name}.{key} has an effect on {reader} tasks only; {task} is one of {category}"
            )
    return settings


def tell_misspelt(key: str, settings: Mapping[str, Any], tasks: Sequence[Sequence[str]]) -> None:
    """Warn of settings that no task here takes and that are named almost as one without settings.

    Args:
        key: of the settings.
        settings: by the name of a task.
        tasks: the names under which each task's settings are looked for.
    """
    known = {name for names in tasks for name in names}
    plain = [name for names in tasks if settings.keys().isdisjoint(names) for name in names]
    for name in sorted(settings.keys() - known):
        if close := get_close_matches(name, plain, n=1, cutoff=_ALMOST):
            logger.warning("%s.%s belongs to no task here and has no effect; did you mean %s?", key, name, close[0])


def _refuse_unknown_categories(root: Path) -> None:
    known = [category for category in CATEGORIES if category not in OWN_FOLDERS]
    parent = root / "eval"
    for path in sorted(parent.iterdir()) if parent.is_dir() else []:
        if path.is_dir() and path.name not in known:
            raise DataError(f"{path}: not the name of a category; the categories are {known}")
