"""Which of the tasks on disk a run is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
import pyarrow.compute as pc

from one_embedder.config.schema import SamplerConfig
from one_embedder.errors import ConfigError
from one_embedder.medi.batches.strategies import Rows
from one_embedder.medi.store import Medi

_MOST_NAMES = 5  # that a message shows


def selected_rows(medi: Medi, settings: SamplerConfig) -> Rows | None:
    """Numbers of the rows whose task is asked for, ascending; None where no task is left out.

    Raises:
        ConfigError: a name or pattern of ``sampler.tasks`` fits no task, or no task is left.
    """
    if settings.tasks is None and settings.symmetric is None:
        return None
    names = medi.task_names
    chosen = set(names) if settings.tasks is None else named_tasks(names, settings.tasks)
    if settings.symmetric is not None:
        symmetric = symmetric_tasks(medi)
        chosen = {task for task in chosen if (task in symmetric) is settings.symmetric}
    if not chosen:
        raise ConfigError(
            f"sampler.symmetric={settings.symmetric}, sampler.tasks={settings.tasks}: no task of {medi.folder} is left"
        )
    rows: Rows = np.flatnonzero(np.isin(medi.task_ids, list(chosen)))
    return rows


def symmetric_tasks(medi: Medi) -> set[int]:
    """Ids of the tasks whose query and positive have the same instruction in every row.

    The paper's symmetric tasks are those of one kind of text on both sides, which there get one instruction.
    """
    columns = medi.dataset.data
    alike = pc.equal(columns.column("query_instruction"), columns.column("pos_instruction")).to_numpy()
    return set(medi.task_names) - set(np.unique(medi.task_ids[~alike]).tolist())


def named_tasks(names: Mapping[int, str], patterns: Sequence[str]) -> set[int]:
    """Ids of the tasks that any of the names or patterns fits; raises as ``selected_rows``.

    Args:
        names: task id -> name.
        patterns: as of ``sampler.tasks``.
    """
    chosen: set[int] = set()
    for pattern in patterns:
        fitting = {task for task, name in names.items() if fnmatchcase(name, pattern)}
        if not fitting:
            some = ", ".join(sorted(names.values())[:_MOST_NAMES])
            raise ConfigError(f"sampler.tasks: {pattern!r} fits none of the {len(names)} tasks, such as {some}")
        chosen |= fitting
    return chosen
