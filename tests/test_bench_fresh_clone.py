"""A clone that is measured has the commit that was asked for, nothing of this environment, and a record."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from one_embedder.errors import OneEmbedderError
from scripts import bench_fresh_clone
from scripts.bench_fresh_clone import clone, plain_environment

ORIGIN = {
    "code": {"commit": "89abcdef0"},
    "environment": {"python": "3.11", "torch": "2"},
    "hardware": {"cpu": "some CPU", "cores": 2, "memory_gib": 8.0, "arithmetic": "torch 2, some CPU, AVX2, 2 threads"},
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of two commits; a file tells which."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for number in ("1", "2"):
        (folder / "which").write_text(number)
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", number], check=True)
    monkeypatch.setattr(bench_fresh_clone, "PROJECT_ROOT", folder)
    return folder


def test_a_clone_has_the_commit_that_was_asked_for(repository: Path, tmp_path: Path) -> None:
    assert (clone("HEAD~1", tmp_path / "one") / "which").read_text() == "1"
    with pytest.raises(OneEmbedderError, match="nonesuch: cannot be cloned into"):
        clone("nonesuch", tmp_path / "other")


def test_a_plain_environment_tells_no_threads_and_no_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "PYTHONPATH", "MALLOC_TRIM_THRESHOLD_", "MAKEFLAGS", "HF_HOME"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org")
    left = plain_environment()
    assert left["PIP_INDEX_URL"] == "https://example.org" and "PATH" in left
    assert not {"OMP_NUM_THREADS", "PYTHONPATH", "MALLOC_TRIM_THRESHOLD_", "MAKEFLAGS", "HF_HOME"} & left.keys()


def test_a_command_that_fails_in_a_fresh_clone_ends_the_measurement(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("setup:\n\nreproduce-table1:\n\texit 3\n")
    assert bench_fresh_clone._seconds("make setup", tmp_path) >= 0
    with pytest.raises(OneEmbedderError, match=r"make reproduce-table1 ended with 2 in .*left as it is"):
        bench_fresh_clone._seconds(bench_fresh_clone.TABLE, tmp_path)


def test_a_fresh_clone_is_told_with_the_stages_of_its_table() -> None:
    seconds = {bench_fresh_clone.SETUP: 120.0, bench_fresh_clone.TABLE: 1500.0, bench_fresh_clone.AGAIN: 12.0}
    record = {"seconds": seconds, "stages": {"data": 100.4, "train": 1300.0}, "load_average": 0.1, **ORIGIN}
    text = bench_fresh_clone.rendered(record)
    lines = ["make reproduce-table1 | 1,500", "- data | 100", "- train | 1,300", "make reproduce-table1, again | 12"]
    assert "\n".join(f"| {line} |" for line in lines) in text and "commit 89abcde" in text and "AVX2, 2 threads" in text
