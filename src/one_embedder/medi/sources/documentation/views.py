"""Documented objects of held-out packages -> view sets: the same texts by two labelings that say little of each other.

Parameter descriptions by declared type and by area of the package, passages by section and by area, summaries by the
verb that they open with and by area. Labels are the documentation's own, as in the benchmark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from one_embedder.medi.sources.documentation.extract import DocObject
from one_embedder.medi.sources.documentation.labels import action, section_passages, type_label
from one_embedder.medi.sources.documentation.text import is_prose

MIN_PER_CLASS = 20
"""Texts; of a rarer class, neighbours and clusters tell little."""

Rows = list[dict[str, Any]]
Labelled = Iterator[tuple[str, dict[str, str]]]


def documentation_views(objects: Sequence[DocObject], side: str) -> dict[str, Rows]:
    """Folder of each view set -> its rows, all of them test texts.

    Args:
        objects: of all packages.
        side: ``dev`` or ``test``; the names of the sets begin with it.
    """
    own = sorted((o for o in objects if o.side == side and o.area and is_prose(o.summary, 3)), key=lambda o: o.key)
    labelled = {"Parameters": _parameters(own), "Passages": _passages(own), "Summaries": _summaries(own)}
    return {f"{side.title()}{name}": _rows(items) for name, items in labelled.items()}


def _parameters(objects: Iterable[DocObject]) -> Labelled:
    for obj in objects:
        for parameter in obj.parameters:
            if is_prose(parameter.description):
                yield parameter.description, {"type": type_label(parameter.type), "area": _area(obj)}


def _passages(objects: Iterable[DocObject]) -> Labelled:
    for obj in objects:
        for text, section in section_passages([obj]):
            yield text, {"section": section, "area": _area(obj)}


def _summaries(objects: Iterable[DocObject]) -> Labelled:
    for obj in objects:
        yield obj.summary, {"action": action(obj.summary), "area": _area(obj)}


def _area(obj: DocObject) -> str:
    return f"{obj.package}.{obj.area}"


def _rows(items: Labelled) -> Rows:
    """One row a text, with the labels of frequent classes; of a text that occurs again, the first labels."""
    distinct: dict[str, dict[str, str]] = {}
    for text, labels in items:
        distinct.setdefault(text, labels)
    counts = Counter(pair for labels in distinct.values() for pair in labels.items() if pair[1])
    frequent = {
        text: {name: found for name, found in labels.items() if counts[name, found] >= MIN_PER_CLASS}
        for text, labels in distinct.items()
    }
    return [{"text": text, "labels": labels, "split": "test"} for text, labels in frequent.items() if labels]
