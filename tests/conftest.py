"""What every test shares: quiet threads, no network, and the optional reference data beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

# Before any test imports torch: the suite's tensors are tiny, and more threads only fight each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ["WANDB_MODE"] = "disabled"

import pytest

from one_embedder.config.location import PROJECT_ROOT


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout."""
    return PROJECT_ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data that is not part of the project: ``$ONE_EMBEDDER_SHARED`` or ``../shared``; skips without it."""
    folder = Path(os.environ.get("ONE_EMBEDDER_SHARED", PROJECT_ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference data in {folder} (set ONE_EMBEDDER_SHARED to its folder)")
    return folder
