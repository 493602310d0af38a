"""Whether a benchmark has the categories that claims are about, asked before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from one_embedder.config.schema import BenchmarkConfig
from one_embedder.errors import ConfigError
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS

log = logging.getLogger(__name__)


def require_categories(benchmark: BenchmarkConfig, columns: Collection[str]) -> None:
    """Tell of claims that no run on this benchmark can decide.

    Args:
        benchmark: built already.
        columns: what the claims are about: categories, or the average, which needs all nine.

    Raises:
        ConfigError: if ``benchmark.tasks`` leaves out a category. A benchmark that has none of it gives a warning,
            because its other columns can still be filled.
    """
    from one_embedder.evaluation.tasks.chosen import select_tasks

    if benchmark.mteb is None and not Path(benchmark.root).is_dir():
        return  # whoever reads the data says so
    chosen = select_tasks(benchmark)
    there = {task.category for task in (*chosen.tasks, *chosen.absent)}
    absent = [column for column in (COLUMNS if AVERAGE in columns else columns) if column not in there]
    if absent and benchmark.tasks is not None:
        raise ConfigError(
            f"benchmark.tasks={list(benchmark.tasks)} leaves out {', '.join(absent)}, and no claim can be decided: an "
            "average is that of all nine categories. Name a task of each, or leave benchmark.tasks out; "
            "python -m one_embedder.evaluate scores single tasks"
        )
    if absent:
        log.warning("%s has no task of %s: claims about the average will be missing", benchmark.root, ", ".join(absent))
