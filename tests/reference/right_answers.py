"""Which candidates of a batch are right answers too, row by row: slow on purpose, never used in src."""

from __future__ import annotations

from collections.abc import Sequence


def right_texts(asks: int, rows: Sequence[tuple[int, int]]) -> set[int]:
    """The text itself and whatever stands beside it in a (query, positive) row."""
    right = {asks}
    for query, positive in rows:
        if query == asks:
            right.add(positive)
        if positive == asks:
            right.add(query)
    return right


def same_class(one: int, other: int) -> bool:
    """Whether both have a class (not -1), and it is the same."""
    return one == other and one != -1
