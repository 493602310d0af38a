"""Where could instructions pay? On each task, how far a model for all tasks lies below models for one kind of task.

Instructions let one model be several. They can gain points only where several models would: where a *specialist*,
trained on one kind of task for as many steps as the mixture gives that kind, beats the *generalist* that is trained on
everything without instructions. That difference is the *headroom*. A specialist below the untrained backbone on a task
made as its own training data are is *harm*: there finetuning itself costs points, and no instruction can help.

The best specialist is chosen among all by the very scores that are then compared, which favours it: headroom is an
upper bound, and a small one may be chance. The specialists whose data are made as a task is were named before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy.stats import spearmanr

from one_embedder.config.ablation import cell_id
from one_embedder.config.schema import AblationConfig
from one_embedder.reproduction.ablation.record import AblationRecord, Cell, HeadroomCells
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS


@dataclass(frozen=True)
class Headroom:
    """One task of the benchmark, or the mean of the nine categories. Scores are 0-1, means over seeds.

    Attributes:
        task: its name; ``average`` for the mean.
        backbone: score of the untrained encoder.
        generalist: score of the model for everything, without instructions.
        instructed: score of the same with instructions.
        best: the best specialist; empty for the mean, where each task has its own.
        best_score: its score.
        own: the best of those whose training data are made as the task is; empty where there is none.
        own_score: its score.
        harmed_by: those of them that are below the backbone.
    """

    task: str
    backbone: float
    generalist: float
    instructed: float
    best: str
    best_score: float
    own: str = ""
    own_score: float | None = None
    harmed_by: Sequence[str] = ()

    @property
    def headroom(self) -> float:
        """What separate models would gain over one."""
        return self.best_score - self.generalist

    @property
    def gain(self) -> float:
        """What instructions gained."""
        return self.instructed - self.generalist


def headroom_cells(ablation: AblationConfig, cells: Sequence[Cell]) -> HeadroomCells | None:
    """Which of an ablation's cells headroom is computed from; None where it is not asked for, or one of them misses."""
    asked, axis = ablation.headroom, ablation.headroom.specialists
    if axis is None:
        return None
    found = {cell.id: cell for cell in cells}
    generalist, instructed = (cell_id(ablation, cell) for cell in (asked.generalist, asked.instructed))
    of_all_tasks = {asked.generalist[axis], asked.instructed[axis]}
    specialists = {
        name: cell.levels[axis]
        for name, cell in found.items()
        if not cell.reference and cell.levels[axis] not in of_all_tasks
    }
    if not specialists or not {generalist, instructed, asked.backbone} <= set(found):
        return None
    return HeadroomCells(asked.backbone, generalist, instructed, specialists, asked.mirrors)


def headroom(record: AblationRecord) -> list[Headroom]:
    """Every task in the order of the table, then the mean of the nine categories where all are there; or nothing."""
    if record.headroom is None:
        return []
    rows = [_of_task(record, record.headroom, task) for task in record.task_categories]
    return rows + _average(rows, record.task_categories)


def _of_task(record: AblationRecord, cells: HeadroomCells, task: str) -> Headroom:
    scores = {cell.id: fmean(cell.tasks[task]) for cell in record.cells}
    own = [name for name, kind in cells.specialists.items() if task in cells.mirrors.get(kind, ())]
    best, best_own = (max(names, key=scores.__getitem__, default="") for names in (cells.specialists, own))
    return Headroom(
        task=task,
        backbone=scores[cells.backbone],
        generalist=scores[cells.generalist],
        instructed=scores[cells.instructed],
        best=best,
        best_score=scores[best],
        own=best_own,
        own_score=scores.get(best_own),
        harmed_by=[name for name in own if scores[name] < scores[cells.backbone]],
    )


def _average(rows: Sequence[Headroom], categories: Mapping[str, str]) -> list[Headroom]:
    """As Table 1 averages: tasks within categories, then these."""
    if set(categories.values()) != set(COLUMNS):
        return []

    def mean(name: str) -> float:
        return fmean(fmean(getattr(row, name) for row in rows if categories[row.task] == column) for column in COLUMNS)

    backbone, generalist, instructed, best = map(mean, ("backbone", "generalist", "instructed", "best_score"))
    return [Headroom(AVERAGE, backbone, generalist, instructed, best="", best_score=best)]


def rank_correlation(rows: Sequence[Headroom]) -> float:
    """Spearman's, between headroom and gain over tasks: whether instructions gain where separate models would.

    Both are differences from the same model, whose chance errors they share: some of it is due to that.

    Args:
        rows: as ``headroom`` gives them; the mean is left out.
    """
    tasks = [row for row in rows if row.task != AVERAGE]
    return float(spearmanr([row.headroom for row in tasks], [row.gain for row in tasks]).statistic)
