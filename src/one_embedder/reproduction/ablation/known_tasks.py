"""Whether the tasks that an ablation names exist, as soon as its data are there and before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from one_embedder.config.messages import nearest
from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError


def require_tasks(cfg: Config, configurations: Mapping[str, Config]) -> None:
    """Refuse training tasks and benchmark tasks that the data do not have; data that are not built are not looked at.

    Args:
        cfg: the ablation's configuration.
        configurations: child -> its own.

    Raises:
        ConfigError: naming the child or the kind of task, and what there is.
    """
    for child, own in configurations.items():
        manifest = Path(own.medi.folder) / "medi" / "manifest.json"
        if own.sampler.tasks is not None and manifest.is_file():
            _require_training_tasks(cfg.ablation.name, child, own.sampler.tasks, manifest)
    root = Path(cfg.benchmark.root)
    there = sorted({path.parent.name for path in root.rglob("*.jsonl*")})
    for kind, tasks in cfg.ablation.headroom.mirrors.items():
        for task in tasks:
            if there and task not in there:
                raise ConfigError(
                    f"ablation {cfg.ablation.name}: headroom.mirrors.{kind} names {task!r}, and the benchmark {root} "
                    f"has no such task: it must be {nearest(task, tuple(there))}"
                )


def _require_training_tasks(ablation: str, child: str, patterns: list[str], manifest: Path) -> None:
    from one_embedder.medi.batches.chosen_tasks import named_tasks  # loads what only training needs

    tasks = json.loads(manifest.read_text(encoding="utf-8"))["tasks"]
    try:
        named_tasks({task["task_id"]: task["task_name"] for task in tasks}, patterns)
    except ConfigError as error:
        raise ConfigError(f"ablation {ablation}, child {child}: {error}") from error
