"""The build as a whole on a made-up package: same input, same bytes; interruption; refusals."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from one_embedder.config.schema import Config
from one_embedder.embedding import embedder as embedder_module
from one_embedder.errors import ConfigError, DataError
from one_embedder.medi.build import build
from one_embedder.medi.mining.leakage import BenchmarkTexts
from one_embedder.medi.sources.assembly import DONE
from one_embedder.medi.sources.documentation import build as build_module
from one_embedder.medi.store import DATA_FILE, load_medi
from tests.locked import held
from tests.medi.made_up import made_up


class HashEmbedder:
    """Stands in for the miner's encoder: a unit vector from the text's own bytes."""

    calls = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def encode(self, texts: list[str], **kwargs: Any) -> np.ndarray:
        HashEmbedder.calls += 1
        seeds = [int.from_bytes(hashlib.blake2b(text.encode()).digest()[:8], "big") for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=16) for seed in seeds])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def made_up_package() -> Iterator[None]:
    objects = made_up("alpha", "train", "data") + made_up("beta", "dev", "toy") + made_up("gamma", "test", "toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "extract", lambda packages, workers: objects)
        patch.setattr(embedder_module, "InstructionEmbedder", HashEmbedder)
        yield


@pytest.fixture
def cfg(tmp_path: Path, made_up_package: None) -> Config:
    HashEmbedder.calls = 0
    return configured(tmp_path / "data" / "documentation")


def configured(folder: Path) -> Config:
    cfg = Config()
    cfg.medi.folder = str(folder)
    cfg.medi.rows_per_task = 200
    return cfg


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory, made_up_package: None) -> Path:
    return build(configured(tmp_path_factory.mktemp("once") / "documentation"))


@pytest.fixture
def folder(cfg: Config, built_once: Path) -> Path:
    """What ``cfg`` builds, there already."""
    return Path(shutil.copytree(built_once, cfg.medi.folder))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted((folder / "benchmark").rglob("*.gz"))}


def test_same_sources_give_the_same_hash_and_the_same_benchmark(cfg: Config, built_once: Path) -> None:
    again = build(cfg)
    assert HashEmbedder.calls > 0
    assert load_medi(built_once / "medi").sha256 == load_medi(again / "medi").sha256
    assert contents(built_once) == contents(again)
    assert len(contents(again)) > 30


def test_rows_follow_the_template_and_no_training_text_is_in_the_benchmark(folder: Path) -> None:
    rows = load_medi(folder / "medi").dataset
    benchmark = BenchmarkTexts.read(folder / "benchmark")
    assert len(rows) > 300
    assert len(set(rows["task_name"])) >= 15
    for side in ("query", "pos", "neg"):
        assert all(text.startswith("Represent the ") and text.endswith(": ") for text in rows[f"{side}_instruction"])
        assert not [text for text in rows[f"{side}_text"] if benchmark.overlaps(text)]
    assert "| related/data |" in (folder / "report.md").read_text()


def test_a_build_waits_for_another_of_the_same_folder_and_finds_what_that_built(
    cfg: Config, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with held(folder) as other, caplog.at_level(logging.INFO):
        assert other.stdin is not None
        threading.Timer(0.5, other.stdin.close).start()
        began = time.monotonic()
        build(cfg)
        assert time.monotonic() - began > 0.4
    assert f"process {other.pid} on" in caplog.text and not HashEmbedder.calls


def test_neither_a_finished_build_is_repeated_nor_for_settings_that_mining_does_not_use(
    cfg: Config, folder: Path
) -> None:
    cfg.encoder.max_length, cfg.encoder.layers = 17, 2
    assert build(cfg) == folder and not HashEmbedder.calls


@pytest.mark.parametrize(
    ("section", "key", "value"), [("encoder", "name_or_path", "other"), ("medi", "rows_per_task", 190)]
)
def test_data_of_other_settings_are_left_alone_and_these_get_the_folder_that_the_message_names(
    cfg: Config, folder: Path, section: str, key: str, value: Any
) -> None:
    first, done = load_medi(folder / "medi").sha256, (folder / DONE).read_text()
    before = getattr(getattr(cfg, section), key)
    setattr(getattr(cfg, section), key, value)
    with pytest.raises(ConfigError, match=rf"{section}\.{key} was {before!r} and is {value!r}") as caught:
        build(cfg)
    assert not HashEmbedder.calls, "told before any work"
    assert load_medi(folder / "medi").sha256 == first and (folder / DONE).read_text() == done
    (cfg.medi.folder,) = re.findall(r"medi\.folder=(\S+),", str(caught.value))
    build(cfg)
    assert Path(cfg.medi.folder) != folder and load_medi(Path(cfg.medi.folder) / "medi").manifest["rows"]
    setattr(getattr(cfg, section), key, before)
    cfg.medi.folder = str(folder)
    calls = HashEmbedder.calls
    assert build(cfg) == folder and calls == HashEmbedder.calls, "the default's are still there"


@pytest.mark.parametrize("older", [False, True], ids=["recorded", "without a record of its settings"])
def test_data_of_the_same_settings_are_replaced_when_what_they_are_built_from_changed(
    cfg: Config, folder: Path, monkeypatch: pytest.MonkeyPatch, older: bool
) -> None:
    done = json.loads((folder / DONE).read_text())
    if older:
        (folder / DONE).write_text(json.dumps({name: value for name, value in done.items() if name != "settings"}))
    monkeypatch.setattr(build_module, "package_versions", lambda: {"alpha": "9.9"})
    assert build(cfg) == folder
    again = json.loads((folder / DONE).read_text())
    assert again["key"] != done["key"] and again["settings"] == done["settings"]


def test_a_build_that_could_only_be_empty_is_told_at_once(cfg: Config) -> None:
    cfg.medi.min_rows_per_task, cfg.medi.rows_per_task = 300, 200
    with pytest.raises(ConfigError, match=r"add medi\.min_rows_per_task=200"):
        build(cfg)
    assert not HashEmbedder.calls and not Path(cfg.medi.folder).exists()


def test_interrupted_build_is_not_taken_for_whole_and_resumes(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build_module, "write_medi", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(cfg)
    assert not Path(cfg.medi.folder, DONE).exists()
    calls = HashEmbedder.calls
    folder = build(cfg)
    assert calls == HashEmbedder.calls  # the embeddings of the first try were used
    assert json.loads((folder / DONE).read_text())["rows"] == len(load_medi(folder / "medi").dataset)
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]


def test_data_that_are_not_whole_any_more_are_built_again_and_a_damaged_record_is_told(
    cfg: Config, folder: Path
) -> None:
    sha256 = load_medi(folder / "medi").sha256
    path = folder / "medi" / DATA_FILE
    path.write_bytes(path.read_bytes()[:100])
    assert load_medi(build(cfg) / "medi").sha256 == sha256
    (folder / DONE).write_text("{")
    with pytest.raises(DataError, match=r"build\.json is no record of a build .*delete it"):
        build(cfg)


def test_a_build_touches_nothing_beside_its_folder(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(cfg.medi.folder)
    others = folder.with_name(f".{folder.name}.v2.0123456789ab"), folder.with_name(f".{folder.name}.notes")
    for other in others:
        other.mkdir(parents=True)
    monkeypatch.setattr(build_module, "write_medi", lambda *_: pytest.fail("interrupted"))
    with pytest.raises(pytest.fail.Exception):
        build(cfg)
    assert {*folder.parent.iterdir()} == {folder, *others}


def test_full_disk_is_reported_with_the_folder(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build_module, "write_medi", full)
    with pytest.raises(DataError, match=r"documentation: cannot write.*No space left.*free disk space"):
        build(cfg)


def test_unknown_source_is_refused(cfg: Config) -> None:
    cfg.medi.source = "wikipedia"
    with pytest.raises(ConfigError, match="'wikipedia'"):
        build(cfg)
