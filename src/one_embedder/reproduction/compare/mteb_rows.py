"""Whether a folder has the rows of MTEB's task, as far as numbers tell: mteb ships the counts of every split.

A published score is of MTEB's rows. Compared with it is only what was scored on as many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from one_embedder.config.schema import TaskFolderConfig
from one_embedder.evaluation.tasks.folder import TaskFolder, settings_of
from one_embedder.evaluation.tasks.folder_mteb import SPLIT, TASKS
from one_embedder.evaluation.tasks.registry import row_counts

BENCHMARK = "MTEB(eng, v1)"


def unlike_mteb(task: str, folder: TaskFolder, protocol: Mapping[str, TaskFolderConfig]) -> str | None:
    """How the rows of a folder differ in number from MTEB's task; None if they do not, or mteb does not know it.

    Args:
        task: its name in MTEB.
        folder: holds the rows.
        protocol: settings of tasks; a task of several files is counted whole.

    Raises:
        DataError: if the folder's data is unusable.
    """
    wanted = row_counts(BENCHMARK, task)
    found = _rows(replace(folder, settings=settings_of(folder.name, folder.category, protocol))) if wanted else {}
    differences = [
        f"{found[part]:,} in {part} where MTEB has {wanted[part]:,}"
        for part in found
        if part in wanted and found[part] != wanted[part]
    ]
    return f"{folder.path}: has not MTEB's rows of {task}: {', '.join(differences)}" if differences else None


def _rows(folder: TaskFolder) -> dict[str, int]:
    """Split, or ``documents`` and ``queries`` of a search -> number of rows; queries are those with judgements."""
    task = TASKS[folder.category](folder)
    task.load_data()
    data: Any = task.dataset
    if "default" not in data:
        return {split: len(rows) for split, rows in data.items()}
    search = data["default"][SPLIT]
    return {"documents": len(search["corpus"]), "queries": len(search["relevant_docs"])}
