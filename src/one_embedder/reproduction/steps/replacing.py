"""A recorded table is replaced by one that rests on as much, so that no page comes to show less unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from one_embedder.errors import DataError


def require_as_much(path: Path, there: Mapping[str, int], new: Mapping[str, int]) -> None:
    """Refuse to record less.

    Args:
        path: of the record that would be replaced.
        there: what it rests on: ``seeds``, ``steps``, ``tasks``, ``runs``.
        new: the same of what would replace it, as far as it is known yet.

    Raises:
        DataError: naming what there is less of.
    """
    less = [f"{count} {what} where it has {there[what]}" for what, count in new.items() if count < there[what]]
    if less:
        raise DataError(
            f"{path}: not recorded anew, because this run has {' and '.join(less)}. Run as much, leave out "
            "table.record=true, or, if pages are to show less from now on, delete this file first"
        )
