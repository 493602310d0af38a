"""The nine categories of Table 1, their main scores, and between which bounds a score lies."""

from __future__ import annotations

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

CORRELATIONS = ("cosine_spearman", "pearson")
"""The main scores that may be below zero."""


def bounds(metric: str) -> tuple[float, float]:
    """The smallest and the largest value of a main score: -1 and 1 for a correlation, else 0 and 1."""
    return (-1.0, 1.0) if metric in CORRELATIONS else (0.0, 1.0)
