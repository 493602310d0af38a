from __future__ import annotations

from pathlib import Path

import pytest

from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.medi.store import write_medi
from tests.medi.toy import toy_rows
from tests.training.tiny import tiny_encoder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny T5 encoder on disk."""
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    save_encoder(tiny_encoder(), folder)
    return folder


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with ``data/medi``: 7 batches of 4 an epoch, and a task too small for one."""
    write_medi(toy_rows({1: 17, 2: 14, 3: 2}), tmp_path / "data" / "medi", about={})
    return tmp_path
