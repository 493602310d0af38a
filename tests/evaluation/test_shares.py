"""One evaluation divided among the jobs of a sweep, by the launcher that stands in for Slurm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.evaluation.benchmarks import CATEGORIES, load_scores
from one_embedder.tracking.manifest import read_manifest
from tests.encoder.conftest import tiny_encoder


@pytest.mark.slow
def test_jobs_of_a_sweep_score_their_shares_into_one_place(benchmark_root: Path, tmp_path: Path) -> None:
    done, output = evaluate_shares(benchmark_root, tmp_path, "submitit_local")
    assert done.returncode == 0, done.stderr
    assert len(load_scores(output)) == len(CATEGORIES)
    records = [read_manifest(output / "shares" / f"{share}-of-2") for share in range(2)]
    assert [record["status"] for record in records] == ["completed", "completed"]
    assert sorted(len(record["data"]) for record in records) == [4, 5]


@pytest.mark.slow
def test_a_share_that_lacks_a_task_fails_the_sweep_and_is_told_with_its_reason(
    benchmark_root: Path, tmp_path: Path, rewrite: Callable[..., None]
) -> None:
    rewrite(benchmark_root / "eval/STS/TinySTS", "test", 0, score="high")
    done, output = evaluate_shares(benchmark_root, tmp_path, "joblib")
    assert done.returncode == 2
    assert "1 of 2 jobs did not end well:" in done.stderr
    line = done.stderr.splitlines()[-1]
    assert "(benchmark.share=" in line and "exit code 2, 1 of " in line and "TinySTS" in line
    assert len(load_scores(output)) == len(CATEGORIES) - 1


def evaluate_shares(root: Path, place: Path, launcher: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Two jobs; how the command ended, and where its results are."""
    save_encoder(tiny_encoder(), place / "tiny")
    command = [
        *(sys.executable, "-m", "one_embedder.evaluate", "--multirun", f"launcher={launcher}"),
        *(f"encoder.name_or_path={place}/tiny", "benchmark=folder", "instructions=none", f"benchmark.root={root}"),
        *("benchmark.shares=2", "benchmark.share=range(2)", f"output={place}/results", "tracking=disabled"),
        *(f"paths.experiments={place}/experiments", f"hydra.sweep.dir={place}/sweep"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment), place / "results"
