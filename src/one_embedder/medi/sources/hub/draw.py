"""A seeded draw of a fixed size from rows of which nobody knows the number: Vitter's algorithm R."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def draw(rows: Iterable[T], size: int, seed: str) -> tuple[list[T], int]:
    """At most ``size`` rows, each row of all with the same chance, in their own order; the same ones every time.

    Args:
        rows: read once; only ``size`` of them are held.
        size: at least 1.
        seed: any text.

    Returns:
        The rows drawn, and how many there were.
    """
    rng = random.Random(seed)
    kept: list[tuple[int, T]] = []
    count = 0
    for count, row in enumerate(rows, start=1):
        if count <= size:
            kept.append((count, row))
        elif (place := rng.randrange(count)) < size:
            kept[place] = (count, row)
    return [row for _, row in sorted(kept, key=lambda numbered: numbered[0])], count
