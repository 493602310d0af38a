"""Whether recorded and published numbers can be judged by: points are points, and no tolerance lets everything pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from one_embedder.reproduction.statistics.consistency import points, refuse, tolerance

_POINTS = ("expected", "published", "published_average")
_TOLERANCES = ("ok", "near", "within")
_BY_NAME = ("scores", "points")
"""Keys of mappings, name -> points."""


def check_numbers(content: Any, path: Path) -> None:
    """Refuse a file of expected or published numbers for any that is none.

    Args:
        content: of the file, as YAML gives it.
        path: named in errors.

    Raises:
        DataError: if a number is a text, not finite or not between 0 and 100, a tolerance is not above 0 or so wide
            that it lets everything pass, or ``near`` is narrower than ``ok``.
    """
    for where, mapping in _mappings(content, str(path)):
        for key in _POINTS:
            if key in mapping:
                points(mapping[key], f"{where}, {key}")
        for key in _TOLERANCES:
            if key in mapping:
                tolerance(mapping[key], f"{where}, {key}")
        if {"ok", "near"} <= mapping.keys() and mapping["ok"] > mapping["near"]:
            raise refuse(where, f"near ({mapping['near']}) is narrower than ok ({mapping['ok']})")
        for key in _BY_NAME:
            for name, value in mapping[key].items() if isinstance(mapping.get(key), Mapping) else ():
                points(value, f"{where}, {name}")


def _mappings(content: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping of a file, with where it stands."""
    if isinstance(content, Mapping):
        yield where, content
        for key, value in content.items():
            yield from _mappings(value, f"{where}, {key}")
    elif isinstance(content, list):
        for number, value in enumerate(content, start=1):
            yield from _mappings(value, f"{where}, {_name(value) or number}")


def _name(value: Any) -> str | None:
    """What an entry of a list calls itself."""
    keys = ("id", "row", "column", "task", "model", "name", "kind")
    return next((str(value[key]) for key in keys if key in value), None) if isinstance(value, Mapping) else None
