"""The tasks that an ablation names, as soon as its data are there and before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from one_embedder.config.messages import nearest
from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError
from one_embedder.evaluation.tasks.folder import folders_with_rows


def require_tasks(cfg: Config, configurations: Mapping[str, Config]) -> None:
    """Refuse training tasks and benchmark tasks that the data do not have; data that are not built are not looked at.

    Args:
        cfg: the ablation's configuration.
        configurations: child -> its own.

    Raises:
        ConfigError: naming the child or the kind of task, and what there is.
    """
    for child, own in configurations.items():
        try:
            _chosen(own)
        except ConfigError as error:
            raise ConfigError(f"ablation {cfg.ablation.name}, child {child}: {error}") from error
    root = Path(cfg.benchmark.root)
    there = sorted({folder.name for folder in folders_with_rows(root)})
    for kind, tasks in cfg.ablation.headroom.mirrors.items():
        for task in tasks:
            if there and task not in there:
                raise ConfigError(
                    f"ablation {cfg.ablation.name}: headroom.mirrors.{kind} names {task!r}, and the benchmark {root} "
                    f"has no such task: it must be {nearest(task, tuple(there))}"
                )


def part_of_steps(own: Config) -> float:
    """About what part of ``trainer.max_steps`` a child trains for, by the rows of its tasks; 1 without data."""
    chosen = _chosen(own) if own.trainer.share_of_steps else None
    return 1.0 if chosen is None else sum(chosen.values()) / sum(task["rows"] for task in _tasks(own))


def _chosen(own: Config) -> dict[int, int] | None:
    """Id of each training task that is asked for -> its rows; None without a choice or without data."""
    tasks = _tasks(own)
    if own.sampler.tasks is None or not tasks:
        return None
    from one_embedder.medi.batches.chosen_tasks import named_tasks  # loads what only training needs

    found = named_tasks({task["task_id"]: task["task_name"] for task in tasks}, own.sampler.tasks)
    return {task["task_id"]: task["rows"] for task in tasks if task["task_id"] in found}


def _tasks(own: Config) -> list[dict[str, Any]]:
    """As the data's manifest lists them; none without data."""
    path = Path(own.medi.folder) / "medi" / "manifest.json"
    return list(json.loads(path.read_text(encoding="utf-8")).get("tasks", [])) if path.is_file() else []
