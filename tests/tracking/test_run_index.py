from __future__ import annotations

import time
from pathlib import Path

import yaml

from one_embedder.tracking.manifest import MANIFEST
from one_embedder.tracking.run_index import run_index

RUNS = 1000
SECONDS = 5.0  # of a processor; fast ones take less than one


def test_a_thousand_runs_are_listed_within_seconds(tmp_path: Path, project_root: Path) -> None:
    recorded = sorted((project_root / "experiments" / "table1" / "runs").glob("with_*.yaml"))[0].read_text()
    name = yaml.safe_load(recorded)["run_id"]
    for number in range(RUNS):
        folder = tmp_path / "runs" / f"run-{number}"
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text(recorded.replace(name, f"run-{number}"))
    began = time.process_time()
    found = run_index(tmp_path)
    seconds = time.process_time() - began
    assert {f"run-{number}" for number in range(RUNS)} <= found.keys()
    assert seconds < SECONDS
