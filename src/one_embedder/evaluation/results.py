"""Result files: one JSON a task with mteb's own fields, and its items beside it.

``<output>/results/<Task>.json`` is written after ``<output>/items/<Task>.json``: a result whose file exists is whole.
Our fields are under the key ``one_embedder``, which mteb ignores when it reads the file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError, EvaluationError
from one_embedder.evaluation.items import ItemScores
from one_embedder.tracking.manifest import write_atomically

SCHEMA = 1
OURS = "one_embedder"


@dataclass(frozen=True)
class TaskScore:
    """One task scored with one encoder.

    Attributes:
        task: name of the task.
        category: one of ``benchmarks.CATEGORIES``.
        metric: name of the main score.
        main_score: between 0 and 1 (correlations: -1 and 1), never in points.
        items: what the main score is made of, one row a test item.
    """

    task: str
    category: str
    metric: str
    main_score: float
    items: ItemScores


@dataclass(frozen=True)
class NotRun:
    """One task without a score, and why."""

    task: str
    category: str
    reason: str


class IncompleteEvaluation(EvaluationError):
    """Some tasks have no score.

    Attributes:
        scores: of the others.
        not_run: those without.
    """

    def __init__(self, message: str, scores: Sequence[TaskScore], not_run: Sequence[NotRun]) -> None:
        super().__init__(message)
        self.scores = scores
        self.not_run = not_run


@dataclass(frozen=True)
class OwnScore:
    """What a category that mteb does not know gives.

    Attributes:
        items: of which the main score is made.
        details: further figures for the result file, JSON values by name.
    """

    items: ItemScores
    details: Mapping[str, Any]


def identity_sha256(identity: Mapping[str, Any]) -> str:
    """Hash of everything a result depends on."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def write_result(output: Path, fields: Mapping[str, Any], score: TaskScore, identity: Mapping[str, Any]) -> None:
    """Write one task's items and then its result, each at once or not at all.

    Args:
        output: of the evaluation.
        fields: mteb's fields of the task; further figures of ours under ``OURS``.
        score: the task's score.
        identity: what the result depends on.
    """
    for name in ("items", "results"):
        (output / name).mkdir(parents=True, exist_ok=True)
    items = score.items.to_json()
    write_atomically(output / "items" / f"{score.task}.json", items)
    ours = {
        **fields.get(OURS, {}),
        "schema": SCHEMA,
        "category": score.category,
        "metric": score.metric,
        "main_score": score.main_score,
        "items": f"items/{score.task}.json",
        "items_sha256": hashlib.sha256(items.encode()).hexdigest(),
        "identity": dict(identity),
    }
    text = json.dumps(_finite({**fields, OURS: ours}), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(output / "results" / f"{score.task}.json", text + "\n")


def read_result(output: Path, task: str) -> tuple[TaskScore, dict[str, Any]]:
    """One task's score and what it depends on.

    Raises:
        DataError: if the result or its items are missing, broken, or do not belong together.
    """
    path = output / "results" / f"{task}.json"
    try:
        ours = json.loads(path.read_text(encoding="utf-8"))[OURS]
        items_path = output / ours["items"]
        text = items_path.read_text(encoding="utf-8")
        if hashlib.sha256(text.encode()).hexdigest() != ours["items_sha256"]:
            raise DataError(f"{items_path}: not the items of {path}; remove both and evaluate again")
        items = ItemScores.from_json(text, str(items_path))
        score = TaskScore(task, ours["category"], ours["metric"], float(ours["main_score"]), items)
        return score, dict(ours["identity"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a complete result ({error!r}); remove it and evaluate again") from error


def _finite(value: Any) -> Any:
    """JSON has no nan: mteb's undefined scores (average precision of many classes) become null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
