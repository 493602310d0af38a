"""Where tables lie: what one's own runs give stands apart from what is recorded, which is under version control.

A recorded table is replaced by one that rests on as much, so that no page comes to show less unnoticed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from one_embedder.config.schema import Config
from one_embedder.errors import DataError

RECORDED = "recorded"
YOURS = "your run"
_OWN = "own"


def tables_folder(cfg: Config) -> Path:
    """Below what a command writes its tables: ``<experiments>/own``, which git ignores, or, to record, the other."""
    return table_places(Path(cfg.paths.experiments))[RECORDED if cfg.table.record else YOURS]


def table_places(experiments: Path) -> dict[str, Path]:
    """Whose tables, in words -> the folder that holds ``table1/`` and ``ablations/``; the recorded ones first."""
    return {RECORDED: experiments, YOURS: experiments / _OWN}


def told_written(cfg: Config, written: Sequence[Path]) -> str:
    """What a command has written, and whether it is recorded, as lines of text."""
    recorded = "Recorded, for git to see:"
    own = "Your own table; table.record=true records it:"
    return "\n".join([recorded if cfg.table.record else own, *(f"  {path}" for path in written)])


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
            f"{path}: not recorded anew, because this run has {' and '.join(less)}. Run as much, do not "
            "record it, or, if pages are to show less from now on, delete this file first"
        )
