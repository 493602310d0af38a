"""Where the record of each run lies below ``experiments``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.files.documents import read_yaml

_PLACES = (
    "runs/*/manifest.yaml",
    "own/ablations/*/*/*/manifest.yaml",
    "ablations/*/*/*/manifest.yaml",
    "*/runs/*.yaml",
)
"""This machine's own, those of ablations, and those that were put beside a table; a later place wins."""


@dataclass(frozen=True)
class RunFile:
    """A run's record.

    Attributes:
        id: the run id; of an ablation's child, ablation and child.
        target: the file, from the folder of experiments.
        manifest: its content.
    """

    id: str
    target: str
    manifest: Mapping[str, Any]


def run_index(experiments: Path) -> dict[str, RunFile]:
    """Run id -> its record, for every record that is kept.

    A training whose own record is not kept is found by the record of the ablation's child that it belongs to.

    Raises:
        DataError: one of them is not a manifest.
    """
    found: dict[str, RunFile] = {}
    children: dict[str, RunFile] = {}
    for pattern in _PLACES:
        for path in sorted(experiments.glob(pattern)):
            run = _read(path, experiments)
            found[run.id] = run
            children.setdefault(str(_metrics(run).get("run")), run)
    return {**children, **found}


def _metrics(run: RunFile) -> Mapping[str, Any]:
    return (run.manifest.get("outcome") or {}).get("metrics") or {}


def _read(path: Path, experiments: Path) -> RunFile:
    try:
        manifest = read_yaml(path)
        manifest["name"], manifest["status"], manifest["code"]["commit"], manifest["data"]
        return RunFile(str(manifest["run_id"]), path.relative_to(experiments).as_posix(), manifest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a run record ({error!r}); restore it or delete it") from error
