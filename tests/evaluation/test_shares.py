"""One evaluation divided among the jobs of a sweep, by the launcher that stands in for Slurm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.evaluation.benchmarks import CATEGORIES, load_scores
from one_embedder.tracking.manifest import read_manifest
from tests.encoder.conftest import tiny_encoder


@pytest.mark.slow
def test_jobs_of_a_sweep_score_their_shares_into_one_place(benchmark_root: Path, tmp_path: Path) -> None:
    save_encoder(tiny_encoder(), tmp_path / "tiny")
    output = tmp_path / "results"
    command = [
        *(sys.executable, "-m", "one_embedder.evaluate", "--multirun", "launcher=submitit_local"),
        *(
            f"encoder.name_or_path={tmp_path}/tiny",
            "benchmark=folder",
            "instructions=none",
            f"benchmark.root={benchmark_root}",
        ),
        *("benchmark.shares=2", "benchmark.share=range(2)", f"output={output}", "tracking=disabled"),
        *(f"paths.experiments={tmp_path}/experiments", f"hydra.sweep.dir={tmp_path}/sweep"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert len(load_scores(output)) == len(CATEGORIES)
    records = [read_manifest(output / "shares" / f"{share}-of-2") for share in range(2)]
    assert [record["status"] for record in records] == ["completed", "completed"]
    assert sorted(len(record["data"]) for record in records) == [4, 5]
