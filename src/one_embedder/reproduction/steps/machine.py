"""On which kind of machine the runs behind a table were made."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from one_embedder.files.location import PROJECT_ROOT
from one_embedder.reproduction.statistics.rows import RowRuns
from one_embedder.reproduction.steps.verbs import stage_name
from one_embedder.tracking.machine import arithmetic
from one_embedder.tracking.manifest import MANIFEST, read_manifest


def machine_kind(rows: Sequence[RowRuns], runs: Path) -> list[str]:
    """The kinds of machine of these runs, by what their own records say: one, unless some were made elsewhere.

    A kind is torch's version with the GPUs, or else the CPU, its widest instructions and the number of threads; and the
    precision of training, which ``trainer.precision=auto`` chooses by the machine. Runs without a record count as made
    here and now.

    Args:
        rows: of the table.
        runs: the folder of trainings.
    """
    folders = [folder for _, folder in run_folders(rows, runs)]
    manifests = [read_manifest(folder) if (folder / MANIFEST).is_file() else {} for folder in folders]
    machines = {(manifest.get("hardware") or {}).get("arithmetic") or _here() for manifest in manifests}
    precisions = {str(manifest["batch"]["precision"]) for manifest in manifests if manifest.get("batch")}
    trained = [f", trained in {precision}" for precision in sorted(precisions)] or [""]
    return sorted(f"{machine}{precision}" for machine in machines for precision in trained)


def _here() -> str:
    importlib.import_module("torch")  # without it there is no arithmetic to name
    return str(arithmetic())


def run_folders(rows: Sequence[RowRuns], runs: Path) -> Iterator[tuple[str, Path]]:
    """The name of every stage that trains or evaluates, and the folder of its run."""
    for row in rows:
        for seed, folder in zip(row.seeds or (None,), row.folders, strict=True):
            yield stage_name("evaluate", row.spec, seed), PROJECT_ROOT / folder
            if seed is not None:
                yield stage_name("train", row.spec, seed), runs / Path(folder).parent.name
