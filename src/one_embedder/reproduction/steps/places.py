"""Where tables lie: what one's own runs give stands apart from what is recorded, which is under version control."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from one_embedder.config.schema import Config

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
    own = "Your own table, which git ignores (table.record=true records it):"
    return "\n".join([recorded if cfg.table.record else own, *(f"  {path}" for path in written)])
