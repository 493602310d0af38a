"""Runs of one's own leave the checkout as git knows it; only recording changes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.config.schema import Config
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.medi.store import write_medi
from one_embedder.reproduction.table1.run import reproduce
from tests.evaluation.conftest import write_benchmark
from tests.medi.toy import toy_rows
from tests.reproduction.fakes import FakeWork
from tests.training.tiny import tiny_encoder

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def committed(folder: Path) -> Path:
    """A repository of everything that is there and not ignored."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


def test_a_run_changes_no_tracked_file_and_a_recorded_one_does(
    configure: Callable[..., Config], work: FakeWork, tmp_path: Path, project_root: Path
) -> None:
    shutil.copy(project_root / ".gitignore", tmp_path / ".gitignore")
    reproduce(configure("table.record=true"), work.stages)
    committed(tmp_path)
    work.quality[True, True] += 0.01
    reproduce(configure(), work.stages)
    assert git(tmp_path, "status", "--porcelain") == ""
    assert (tmp_path / "experiments" / "own" / "table1" / "documentation.json").is_file()
    reproduce(configure("table.record=true"), work.stages)
    changed = git(tmp_path, "status", "--porcelain").split()[1::2]
    assert {"experiments/table1/documentation.json", "expected.yaml"} <= set(changed)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """A clone of the working tree as it is, with a tiny encoder and tiny data where git does not look."""
    folder = tmp_path_factory.mktemp("clone")
    for name in git(project_root, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0"):
        if name and (project_root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project_root / name, folder / name)
    committed(folder)
    write_medi(toy_rows({1: 17, 2: 14}), folder / "data" / "tiny" / "medi", about={})
    write_benchmark(folder / "data" / "tasks")
    save_encoder(tiny_encoder(), folder / "data" / "encoder")
    return folder


def run(checkout: Path, *arguments: str) -> None:
    """The verb as a user types it."""
    settings = [
        *("profile=local", "debug=fast", "instructions=generic", "optimizer.frozen_layers=0"),
        *("encoder.name_or_path=data/encoder", "medi.folder=data/tiny", "benchmark.root=data/tasks"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "HYDRA_FULL_ERROR": "1"}
    command = [sys.executable, "-m", "one_embedder.reproduce", *arguments, *settings]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.slow
@pytest.mark.timeout(900)  # three commands, each with its imports
def test_a_whole_reproduction_leaves_the_checkout_clean(checkout: Path) -> None:
    run(checkout)
    assert (checkout / "experiments/own/table1/local.json").is_file()
    assert git(checkout, "status", "--porcelain") == ""


@pytest.mark.slow
@pytest.mark.timeout(900)  # three commands, each with its imports
def test_a_whole_ablation_leaves_the_checkout_clean(checkout: Path) -> None:
    ablation = ("ablation=loss_spelling", "ablation.seeds=[0]")
    run(checkout, "--multirun", *ablation)
    run(checkout, *ablation)
    assert (checkout / "experiments/own/ablations/loss_spelling/local.json").is_file()
    assert git(checkout, "status", "--porcelain") == ""
