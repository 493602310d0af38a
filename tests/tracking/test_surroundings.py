from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from one_embedder.tracking import machine as surroundings
from one_embedder.tracking.machine import code_state, hardware, peak_memory_gib


def git(root: Path, *arguments: str) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *author, *arguments], cwd=root, check=True, capture_output=True)


def test_changed_code_is_dirty_and_hashed_but_a_runs_own_output_is_not(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = code_state(tmp_path)
    assert clean["commit"] and clean["dirty"] is False and clean["diff_sha256"] is None

    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "table.md").touch()
    assert code_state(tmp_path) == clean

    (tmp_path / "code.py").write_text("a = 2\n")
    changed = code_state(tmp_path)
    assert changed["dirty"] is True and len(changed["diff_sha256"]) == 64


def test_a_changed_file_that_is_not_utf_8_has_a_hash(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_bytes(b"caf\xe9\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    (tmp_path / "old.txt").write_bytes(b"th\xe9\n")
    changed = code_state(tmp_path)
    assert changed["dirty"] is True and len(changed["diff_sha256"]) == 64


def test_a_tree_without_git_is_recorded_as_unknown(tmp_path: Path) -> None:
    assert code_state(tmp_path / "missing") == {"commit": None, "dirty": None, "diff_sha256": None}


def test_hardware_and_memory_have_plausible_values() -> None:
    machine = hardware()
    assert machine["cores"] >= 1 and machine["memory_gib"] > 0.5 and machine["cpu"]
    assert 0.005 < peak_memory_gib() < machine["memory_gib"]


def test_the_arithmetic_names_torch_the_cpu_its_simd_and_the_threads_or_else_the_gpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    cpu = surroundings.hardware()["cpu"]
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX9")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    monkeypatch.setattr(surroundings, "_gpu_names", list)
    assert surroundings.hardware()["arithmetic"] == f"torch {torch.__version__}, {cpu}, AVX9, 7 threads"
    monkeypatch.setattr(surroundings, "_gpu_names", lambda: ["H100", "H100"])
    assert surroundings.arithmetic() == f"torch {torch.__version__}, 2 x H100"
