"""The nine categories of Table 1, their scores read back, and the means over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from one_embedder.errors import DataError, EvaluationError
from one_embedder.evaluation.categories import CATEGORIES, METRICS
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.results import NotRun, Result, TaskScore, read_result

__all__ = [
    "AGGREGATES",
    "CATEGORIES",
    "METRICS",
    "TaskScore",
    "category_means",
    "combine_not_run",
    "combine_parts",
    "load_results",
    "load_scores",
    "overall_mean",
    "scores_of",
    "spellings",
]

AGGREGATES = {
    "CQADupstackRetrieval": (
        "CQADupstackAndroidRetrieval",
        "CQADupstackEnglishRetrieval",
        "CQADupstackGamingRetrieval",
        "CQADupstackGisRetrieval",
        "CQADupstackMathematicaRetrieval",
        "CQADupstackPhysicsRetrieval",
        "CQADupstackProgrammersRetrieval",
        "CQADupstackStatsRetrieval",
        "CQADupstackTexRetrieval",
        "CQADupstackUnixRetrieval",
        "CQADupstackWebmastersRetrieval",
        "CQADupstackWordpressRetrieval",
    )
}
"""Task of Table 1 -> the tasks whose mean it is. The parts are scored, and have instructions, one by one."""


def combine_parts(scores: Sequence[TaskScore]) -> list[TaskScore]:
    """Put an aggregate in the place of its parts where all of them are there; other scores stay as they are.

    Its items are those of its parts; its main score is the mean of theirs, however many items each has.
    """
    combined = list(scores)
    for name, parts in AGGREGATES.items():
        own = [score for score in combined if score.task in parts]
        if len(own) == len(parts):
            value = np.concatenate([part.items.columns["value"] for part in own])
            group: NDArray[Any] = np.repeat(np.arange(len(own)), [len(part.items) for part in own])
            ids = tuple(item for part in own for item in part.items.ids) if all(part.items.ids for part in own) else ()
            items = ItemScores("mean_of_groups", {"value": value, "group": group}, ids)
            scored_on = {part.task: part.scored_on for part in own}
            place = combined.index(own[0])
            combined = [score for score in combined if score not in own]
            combined.insert(place, TaskScore(name, own[0].category, own[0].metric, items.score(), items, scored_on))
    return combined


def combine_not_run(scores: Sequence[TaskScore], not_run: Sequence[NotRun]) -> tuple[list[TaskScore], list[NotRun]]:
    """The same where parts have no score: the aggregate has none either, and its other parts are left out."""
    kept, told = list(scores), list(not_run)
    for name, parts in AGGREGATES.items():
        lost = [task for task in told if task.task in parts]
        if lost:
            reason = "; ".join(f"{task.task}: {task.reason}" for task in lost)
            kept = [score for score in kept if score.task not in parts]
            told = [task for task in told if task.task not in parts] + [NotRun(name, lost[0].category, reason)]
    return combine_parts(kept), told


def spellings(task: str, category: str) -> tuple[str, str]:
    """The names under which a table may have a task: its own, and MTEB's where it ends in the category.

    So that a folder Banking77 and MTEB's Banking77Classification share their entries.
    """
    return task, f"{task}{category}"


def category_means(scores: Sequence[TaskScore]) -> dict[str, float]:
    """Mean main score of the tasks of each category that occurs, in the order of ``CATEGORIES``."""
    by_category = {name: [score.main_score for score in scores if score.category == name] for name in CATEGORIES}
    return {name: fmean(values) for name, values in by_category.items() if values}


def overall_mean(scores: Sequence[TaskScore]) -> float:
    """The paper's average: the mean of the category means, not of the tasks.

    Raises:
        EvaluationError: if there are no scores.
    """
    if not scores:
        raise EvaluationError("there are no scores to average; evaluate at least one task")
    return fmean(category_means(scores).values())


def load_scores(output: Path) -> list[TaskScore]:
    """Every task's score in an evaluation's folder, by category in the order of Table 1, then by name.

    Raises:
        DataError: if there is no result, one is broken, or they come from different encoders or versions.
    """
    return scores_of(load_results(output))


def load_results(output: Path) -> list[Result]:
    """Every result of an evaluation's folder, parts of a task one by one; order and errors as in ``load_scores``."""
    tasks = sorted(path.stem for path in (output / "results").glob("*.json"))
    if not tasks:
        remedy = score_checkpoint(output) or f"; run python -m one_embedder.evaluate output={output}"
        raise DataError(f"{output}: no result files in results/{remedy}")
    results = [read_result(output, task) for task in tasks]
    for key, what in (("encoder_revision", "encoders"), ("versions", "library versions"), ("protocol", "versions")):
        if len({str(result.identity.get(key)) for result in results}) > 1:
            raise DataError(
                f"{output}: results of different {what} lie together; evaluate into it again, or remove results/"
            )
    return sorted(results, key=lambda result: (CATEGORIES.index(result.score.category), result.score.task))


def score_checkpoint(folder: Path) -> str:
    """How to score the model of a training's folder, as the end of a message; empty where there is none."""
    checkpoint = folder / "checkpoint"
    scored = f"python -m one_embedder.evaluate encoder.name_or_path={checkpoint} output=ANOTHER_FOLDER"
    return f"; the model that was trained there is scored by {scored}" if checkpoint.is_dir() else ""


def scores_of(results: Sequence[Result]) -> list[TaskScore]:
    """Their scores, parts of a task combined."""
    return combine_parts([result.score for result in results])
