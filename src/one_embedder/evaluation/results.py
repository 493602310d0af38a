"""Result files: one JSON a task with mteb's own fields, and its items beside it.

``<output>/results/<Task>.json`` is written after ``<output>/items/<Task>.json``: a result whose file exists is whole.
Our fields are under the key ``one_embedder``, which mteb ignores when it reads the file: ``main_score`` among them, and
``content_sha256``, a hash of all the rest. Nobody reads a result but by ``read_result``, which computes the main score
from the items and believes no number that does not come out.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError, EvaluationError
from one_embedder.evaluation.categories import METRICS, bounds
from one_embedder.evaluation.items import ItemScores
from one_embedder.files.documents import decoded_utf8, read_json
from one_embedder.tracking.manifest import write_atomically

SCHEMA = 2
UNHASHED = 1
"""The schema before ``content_sha256`` and the ids of items. Whatever else can be checked of such a result is."""

OURS = "one_embedder"
RECOMPUTED_WITHIN = 1e-9
"""How far the main score that the items give may be from the one that was written."""

SCORED_ON = ("protocol", "data_sha256", "data_revision", "benchmark", "settings")
"""What of a result's identity decides which items are scored, and how."""
_DATA = ("data_sha256", "data_revision")


@dataclass(frozen=True)
class TaskScore:
    """One task scored with one encoder.

    Attributes:
        task: name of the task.
        category: one of ``benchmarks.CATEGORIES``.
        metric: name of the main score.
        main_score: between 0 and 1 (correlations: -1 and 1), never in points.
        items: what the main score is made of, one row a test item.
        scored_on: what of its identity decides about the items; equal for any two scores that are compared.
    """

    task: str
    category: str
    metric: str
    main_score: float
    items: ItemScores
    scored_on: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """One result file: the score, and everything it depends on."""

    score: TaskScore
    identity: Mapping[str, Any]


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
    return _sha256(json.dumps(identity, sort_keys=True))


def scored_on(identity: Mapping[str, Any]) -> dict[str, Any]:
    """``TaskScore.scored_on`` of a result that depends on ``identity``."""
    return {key: identity[key] for key in SCORED_ON if key in identity}


def unlike(one: TaskScore, other: TaskScore) -> str | None:
    """Why two scores of a task are not of the same items in the same order; None if they are."""
    for key in sorted({*one.scored_on, *other.scored_on}):
        sides = [str(score.scored_on.get(key))[:40] for score in (one, other)]
        if one.scored_on.get(key) != other.scored_on.get(key):
            return f"{key} is {sides[0]} and {sides[1]}"
    if len(one.items) != len(other.items):
        return f"there are {len(one.items)} items and {len(other.items)}"
    if one.items.ids and other.items.ids:
        pairs = zip(one.items.ids, other.items.ids, strict=True)
        return next((f"item {number} is another" for number, (a, b) in enumerate(pairs, start=1) if a != b), None)
    return None


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
        "task": score.task,
        "category": score.category,
        "metric": score.metric,
        "main_score": score.main_score,
        "items": f"items/{score.task}.json",
        "items_sha256": _sha256(items),
        "identity": dict(identity),
    }
    content = json.loads(json.dumps(_finite({**fields, OURS: ours}), allow_nan=False))  # as it will be read
    content[OURS]["content_sha256"] = content_sha256(content)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(output / "results" / f"{score.task}.json", text + "\n")


def content_sha256(content: Mapping[str, Any]) -> str:
    """Hash of a result file, however it is spaced, but for this hash itself."""
    ours = {key: value for key, value in content[OURS].items() if key != "content_sha256"}
    return _sha256(json.dumps({**content, OURS: ours}, sort_keys=True))


def read_result(output: Path, task: str) -> Result:
    """One task's score and what it depends on.

    Raises:
        DataError: if the result or its items are missing, broken, changed by hand, or do not belong together.
    """
    path = output / "results" / f"{task}.json"
    try:
        content = read_json(path)
        ours = content[OURS]
        if ours["items"] != f"items/{path.name}":
            raise ValueError(f"its items are said to be in {ours['items']!r:.60}, not in items/{path.name}")
        items = _read_items(output / ours["items"], ours["items_sha256"], path)
        trouble = _trouble(content, items, task)
        if trouble:
            raise DataError(f"{path}: {trouble}; remove it and evaluate again")
        identity = dict(ours["identity"])
        facts = scored_on(identity)
        if not facts.keys() & _DATA:
            raise KeyError(" or ".join(_DATA))
        if not items.ids and "prompt_retrieval" in identity:  # which inputs were drawn: the ids would tell
            facts["prompt_retrieval"] = identity["prompt_retrieval"]
        score = TaskScore(task, ours["category"], ours["metric"], float(ours["main_score"]), items, facts)
        return Result(score, identity)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a complete result ({error!r}); remove it and evaluate again") from error


def _read_items(path: Path, sha256: str, result: Path) -> ItemScores:
    text = decoded_utf8(path.read_bytes())
    if _sha256(text) != sha256:
        raise DataError(f"{path}: not the items of {result}; remove both and evaluate again")
    return ItemScores.from_json(text, str(path))


def _trouble(content: Mapping[str, Any], items: ItemScores, task: str) -> str | None:
    """What is wrong with a result, the field by name; None if nothing is."""
    ours = content[OURS]
    metric, main_score, recomputed = ours["metric"], ours["main_score"], items.score()
    low, high = bounds(metric)
    smallest, largest = low - RECOMPUTED_WITHIN, high + RECOMPUTED_WITHIN
    if ours["schema"] not in (UNHASHED, SCHEMA):
        return f"schema {ours['schema']!r:.60} is neither {UNHASHED} nor {SCHEMA}: it was made by another version"
    if METRICS.get(ours["category"]) != metric:
        return f"category {ours['category']!r:.60} has not the metric {metric!r:.60}"
    if not _is_number(main_score) or not smallest <= main_score <= largest:
        return f"main_score is {main_score!r:.60}, and {metric} is a number from {low:g} to {high:g}"
    if not abs(main_score - recomputed) <= RECOMPUTED_WITHIN:
        return f"main_score is {main_score}, but its items give {recomputed}"
    values = items.columns.get("value", ())
    if any(not smallest <= value <= largest for value in values):
        return f"its items have values outside {low:g} to {high:g}, where {metric} lies"
    for reported in _main_scores_of_mteb(content):
        if not _is_number(reported) or abs(reported - main_score) > RECOMPUTED_WITHIN:
            return f"scores has the main_score {reported!r:.60}, and {OURS} has {main_score}"
    told = ours.get("task", content.get("task_name", task))
    if told != task:
        return f"it is the result of {told!s:.60}"
    if ours["schema"] == SCHEMA and ours["content_sha256"] != content_sha256(content):
        return "content_sha256 is not the hash of its content, which was changed since it was written"
    return None


def _main_scores_of_mteb(content: Mapping[str, Any]) -> list[Any]:
    return [entry["main_score"] for entries in content.get("scores", {}).values() for entry in entries]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _finite(value: Any) -> Any:
    """JSON has no nan: mteb's undefined scores (average precision of many classes) become null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
