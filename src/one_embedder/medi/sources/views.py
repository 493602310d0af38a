"""Training tasks from view sets: the same texts, once a labeling, under that labeling's instruction."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from one_embedder.config.schema import Config
from one_embedder.config.views import trained_sets
from one_embedder.medi.mining.candidates import LabelTask
from one_embedder.medi.sources.view_sets import ViewSet, read_view_sets, task_name, view_files


def read_views(cfg: Config) -> list[LabelTask]:
    """One task a set and labeling, of train texts; none without ``medi.views``.

    All labelings of a set have the same texts, ``medi.instances_per_task`` at most, so that what differs between its
    tasks is the instruction and what it asks for.

    Raises:
        ConfigError: if a set has no instructions.
        DataError: if a file cannot be used.
    """
    names = trained_sets(cfg)
    sets = read_view_sets(cfg, cfg.medi.views, names, "train") if names else []
    drawn = [views.drawn(cfg.medi.instances_per_task, seed=0) for views in sets]
    return [_task(views, labeling, cfg.medi.crossed_views) for views in drawn for labeling in views.labels]


def held_out_files(cfg: Config) -> list[Path]:
    """The files of the view sets that are not trained on, whose texts no training data may hold."""
    if cfg.medi.views is None:
        return []
    trained = trained_sets(cfg)
    return view_files(Path(cfg.medi.views), [name for name in cfg.views.sets if name not in trained])


def _task(views: ViewSet, labeling: str, crossed: bool) -> LabelTask:
    labelled = [pair for pair in zip(views.texts, views.labels[labeling], strict=True) if pair[1] is not None]
    count = Counter(found for _, found in labelled)
    items = tuple((text, str(found)) for text, found in labelled if count[found] > 1)  # one alone has no positive
    others = [classes for other, classes in views.labels.items() if other != labeling]
    crossing = dict(zip(views.texts, zip(*others, strict=True), strict=True)) if crossed else {}
    return LabelTask(task_name(views.name, labeling), views.instructions[labeling], items, crossing)
