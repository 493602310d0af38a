"""Result files: one JSON a set, ``<output>/results/<Set>.json``, and its items, ``<output>/items/<Set>.json``.

A result is written after its items, so that one whose file exists is whole. It is read only while its table is the one
that the items give.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from one_embedder.errors import DataError
from one_embedder.evaluation.results import RECOMPUTED_WITHIN
from one_embedder.evaluation.views.cells import MEASURES, Cell, Labeling
from one_embedder.evaluation.views.steering import mean_over_labelings, steering
from one_embedder.files.documents import decoded_utf8, parse_json, read_json
from one_embedder.tracking.manifest import write_atomically

SCHEMA = 1


@dataclass(frozen=True)
class ViewResult:
    """One set scored with one model.

    Attributes:
        name: of the set.
        ids: of its N texts, as ``evaluation.items.item_id`` gives them.
        labelings: labeling -> its texts and their classes.
        cells: instruction -> labeling -> what was found.
        identity: everything it depends on.
    """

    name: str
    ids: tuple[str, ...]
    labelings: Mapping[str, Labeling]
    cells: Mapping[str, Mapping[str, Cell]]
    identity: Mapping[str, Any]

    def table(self, measure: str) -> dict[str, dict[str, float]]:
        """Instruction -> labeling -> score, 0-1."""
        return {
            instruction: {name: cell.scores(self.labelings[name])[measure] for name, cell in row.items()}
            for instruction, row in self.cells.items()
        }


def write_view_result(output: Path, result: ViewResult, about: Mapping[str, Any]) -> None:
    """Write the items and then the result, each at once or not at all.

    Args:
        output: of the evaluation.
        result: what was found.
        about: further JSON values for the file.
    """
    for folder in ("items", "results"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    items = json.dumps(_items(result))
    write_atomically(output / "items" / f"{result.name}.json", items)
    content = {
        "schema": SCHEMA,
        "set": result.name,
        "texts": len(result.ids),
        "classes": {name: labeling.classes for name, labeling in result.labelings.items()},
        "scores": {measure: _scores(result, measure) for measure in MEASURES},
        **about,
        "items": f"items/{result.name}.json",
        "items_sha256": _sha256(items),
        "identity": dict(result.identity),
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(output / "results" / f"{result.name}.json", text + "\n")


def read_view_result(output: Path, name: str) -> ViewResult:
    """The result of one set.

    Raises:
        DataError: if it or its items are missing, broken or changed, or do not belong together.
    """
    path = output / "results" / f"{name}.json"
    try:
        content = read_json(path)
        if content["items"] != f"items/{path.name}":
            raise ValueError(f"its items are not said to be in items/{path.name}")
        items = decoded_utf8((output / content["items"]).read_bytes())
        if content["schema"] != SCHEMA or content["set"] != name or _sha256(items) != content["items_sha256"]:
            raise ValueError("it is of another schema or set, or its items are of another result")
        result = _read_items(name, parse_json(items), content["identity"])
        for measure in MEASURES:
            _require_equal(content["scores"][measure]["table"], result.table(measure))
        return result
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a complete result ({error!r}); remove it and evaluate again") from error


def _scores(result: ViewResult, measure: str) -> dict[str, Any]:
    table = result.table(measure)
    labelings = {name: _plain(scores) for name, scores in steering(table).items()}
    return {"mean": _plain(mean_over_labelings(table)), "labelings": labelings, "table": table}


def _items(result: ViewResult) -> dict[str, Any]:
    return {
        "ids": result.ids,
        "labelings": {
            name: {"places": labeling.places.tolist(), "gold": labeling.gold.tolist()}
            for name, labeling in result.labelings.items()
        },
        "cells": {
            instruction: {
                name: {"right": cell.right.tolist(), "clusters": cell.clusters.tolist()} for name, cell in row.items()
            }
            for instruction, row in result.cells.items()
        },
    }


def _read_items(name: str, items: Mapping[str, Any], identity: Mapping[str, Any]) -> ViewResult:
    labelings = {
        labeling: Labeling(np.array(found["places"]), np.array(found["gold"]))
        for labeling, found in items["labelings"].items()
    }
    cells = {
        instruction: {
            labeling: Cell(np.array(cell["right"]), np.array(cell["clusters"])) for labeling, cell in row.items()
        }
        for instruction, row in items["cells"].items()
    }
    return ViewResult(name, tuple(items["ids"]), labelings, cells, identity)


def _require_equal(stated: Mapping[str, Any], made: Mapping[str, Mapping[str, float]]) -> None:
    for instruction, row in made.items():
        for labeling, score in row.items():
            if not abs(stated[instruction][labeling] - score) <= RECOMPUTED_WITHIN:
                raise ValueError(
                    f"{labeling} under {instruction} is {stated[instruction][labeling]}, its items {score}"
                )


def _plain(scores: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(score) for name, score in scores.items()}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
