"""The nine categories of Table 1, their scores read back, and the means over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from one_embedder.errors import DataError, EvaluationError
from one_embedder.evaluation.results import TaskScore, read_result

__all__ = ["CATEGORIES", "METRICS", "TaskScore", "category_means", "load_scores", "overall_mean", "spellings"]

CATEGORIES = (
    "Retrieval",
    "Reranking",
    "Clustering",
    "PairClassification",
    "Classification",
    "STS",
    "Summarization",
    "PromptRetrieval",
    "TextEvaluation",
)
"""In the order of the columns of Table 1."""

METRICS = {
    "Retrieval": "ndcg_at_10",
    "Reranking": "map_at_1000",
    "Clustering": "v_measure",
    "PairClassification": "cosine_ap",
    "Classification": "accuracy",
    "STS": "cosine_spearman",
    "Summarization": "cosine_spearman",
    "PromptRetrieval": "rouge_l",
    "TextEvaluation": "pearson",
}
"""The main score of each category, spelled as mteb does."""


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
        DataError: if there is no result, one is broken, or they come from different encoders.
    """
    tasks = sorted(path.stem for path in (output / "results").glob("*.json"))
    if not tasks:
        raise DataError(f"{output}: no result files in results/; run python -m one_embedder.evaluate output={output}")
    results = [read_result(output, task) for task in tasks]
    if len({identity.get("encoder_revision") for _, identity in results}) > 1:
        raise DataError(f"{output}: results of different encoders lie together; remove results/ and evaluate again")
    return sorted((score for score, _ in results), key=lambda score: (CATEGORIES.index(score.category), score.task))
