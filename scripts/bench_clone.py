"""Clones of this repository that benchmarks run commands in, as a new user has them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from one_embedder.errors import OneEmbedderError
from one_embedder.files.location import PROJECT_ROOT

_ONES_OWN = ("PYTHONPATH", "VIRTUAL_ENV", "OMP_NUM_THREADS")
_OWN_BEGINNINGS = ("MAKE", "MFLAGS", "MALLOC_", "HF_")


def clone(commit: str, place: Path) -> Path:
    """The repository at a commit, in a folder that is not there yet.

    Raises:
        OneEmbedderError: if it has no such commit.
    """
    for arguments in (["clone", "--quiet", "--no-checkout", PROJECT_ROOT, place], ["-C", place, "checkout", commit]):
        done = subprocess.run(["git", *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OneEmbedderError(f"{commit}: cannot be cloned into {place}: {done.stderr.strip()}")
    return place


def plain_environment() -> dict[str, str]:
    """This process's environment without what tells Python, torch, make or the hub how to work."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _ONES_OWN and not name.startswith(_OWN_BEGINNINGS)
    }
