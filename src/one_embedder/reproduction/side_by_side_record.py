"""Evaluations side by side as a record: scores, intervals, and where each evaluation came from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from one_embedder.errors import DataError
from one_embedder.tracking.manifest import RESOLVED_CONFIG, read_manifest

if TYPE_CHECKING:
    from one_embedder.reproduction.scores import RowRuns
    from one_embedder.reproduction.side_by_side import Evaluations

SCHEMA = 1
_OF_MANIFEST = ("run_id", "started_at", "code", "data", "model", "environment", "hardware", "cost")
_OF_CONFIG = ("seed", "encoder", "evaluation")


def record_of(evaluations: Evaluations) -> dict[str, Any]:
    """What ``NAME.json`` holds; scores 0-1.

    Raises:
        DataError: if the run record of an evaluation is missing or damaged.
    """
    bootstrap = evaluations.bootstrap
    return {
        "schema": SCHEMA,
        "tasks": Counter(evaluations.rows[0].tasks().values()),
        "learners": list(evaluations.learners),
        "bootstrap": {"resamples": evaluations.resamples, "confidence": bootstrap.confidence},
        "rows": [_row(evaluations, row) for row in evaluations.rows],
    }


def read_side_by_side(path: Path) -> Mapping[str, Any]:
    """The record in a file.

    Raises:
        DataError: if it is no such record.
    """
    try:
        record: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if record["schema"] == SCHEMA:
            return record
        reason = f"schema {record['schema']} is not {SCHEMA}"
    except (ValueError, KeyError, TypeError) as error:
        reason = repr(error)
    raise DataError(f"{path}: not a record of evaluations side by side ({reason}); make it again or delete it")


def _row(evaluations: Evaluations, row: RowRuns) -> dict[str, Any]:
    """One row, and what it is compared with: the first."""
    bootstrap, own, first = evaluations.bootstrap, row.spec.id, evaluations.rows[0].spec.id
    columns = list(bootstrap.estimates[own])
    return {
        "label": row.spec.label,
        "scores": {column: asdict(bootstrap.interval(own, column)) for column in columns},
        "minus_first": {column: asdict(bootstrap.difference(own, first, column)) for column in columns},
        "evaluations": [_provenance(Path(folder).expanduser()) for folder in row.folders],
    }


def _provenance(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    settings = yaml.safe_load((folder / RESOLVED_CONFIG).read_text(encoding="utf-8"))
    return {
        **{key: manifest[key] for key in _OF_MANIFEST},
        "instructions": settings["instructions"]["name"],
        **{key: settings[key] for key in _OF_CONFIG},
    }
