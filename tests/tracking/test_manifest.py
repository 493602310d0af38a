from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config, LossConfig, PathsConfig, TrackingConfig, TrainerConfig
from one_embedder.errors import DataError
from one_embedder.interruption import Terminated
from one_embedder.tracking import identity
from one_embedder.tracking.identity import NEUTRAL, TRAINING_SECTIONS, config_hash, effective, resolved, run_id
from one_embedder.tracking.manifest import RunRecord, is_complete, read_manifest

DATA = [{"name": "medi", "sha256": "ab" * 32, "rows": 12}]


def start(folder: Path, cfg: Config | None = None) -> RunRecord:
    return RunRecord.start(folder, name="train", cfg=cfg or Config(), data=DATA, model={"base": "minilm"})


def test_a_started_run_is_on_disk_at_once_and_is_not_complete(tmp_path: Path) -> None:
    start(tmp_path / "run")
    manifest = read_manifest(tmp_path / "run")
    assert manifest["status"] == "started"
    assert manifest["data"] == DATA
    assert manifest["environment"]["torch"] and manifest["hardware"]["cpu"]
    assert not is_complete(tmp_path / "run")


def test_the_resolved_configuration_lies_beside_the_manifest(tmp_path: Path) -> None:
    start(tmp_path, Config(seed=7))
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["seed"] == 7
    assert config["medi"]["folder"] == "data/documentation"  # interpolation filled in


def test_leaving_the_block_completes_the_run_with_metrics_and_cost(tmp_path: Path) -> None:
    with start(tmp_path) as record:
        record.complete(metrics={"loss": np.float32(0.5), "file": tmp_path}, cost={"steps": 3})
    manifest = read_manifest(tmp_path)
    assert manifest["status"] == "completed"
    assert manifest["outcome"]["metrics"] == {"loss": 0.5, "file": str(tmp_path)}
    assert manifest["cost"]["steps"] == 3
    assert manifest["cost"]["wall_s"] >= 0 and manifest["cost"]["peak_memory_gib"] > 0
    assert is_complete(tmp_path) and is_complete(tmp_path, record.run_id) and not is_complete(tmp_path, "another")


def test_an_error_is_recorded_with_its_class_and_travels_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 3"), start(tmp_path):
        raise DataError("row 3 is empty")
    manifest = read_manifest(tmp_path)
    assert manifest["status"] == "failed"
    assert manifest["outcome"] == {"error": "DataError", "message": "row 3 is empty"}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), Terminated()], ids=repr)
def test_an_interruption_is_recorded_and_travels_on(tmp_path: Path, interruption: BaseException) -> None:
    with pytest.raises(type(interruption)), start(tmp_path):
        raise interruption
    manifest = read_manifest(tmp_path)
    assert manifest["status"] == "interrupted" and not is_complete(tmp_path)
    assert manifest["outcome"]["error"] == type(interruption).__name__


def test_an_interruption_after_the_end_takes_nothing_back(tmp_path: Path) -> None:
    with pytest.raises(Terminated), start(tmp_path) as record:
        record.complete({"loss": 0.5})
        raise Terminated
    assert is_complete(tmp_path) and read_manifest(tmp_path)["outcome"]["metrics"] == {"loss": 0.5}


def test_a_write_that_fails_midway_leaves_the_old_manifest_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = start(tmp_path)

    def disk_full(self: Path, *_: object, **__: object) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(OSError, match="No space"):
        record.complete()
    monkeypatch.undo()
    assert read_manifest(tmp_path)["status"] == "started"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "manifest.yaml"]


def test_a_full_disk_does_not_hide_the_first_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    record = start(tmp_path)
    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(DataError, match="the cause"), record:
        raise DataError("the cause")


@pytest.mark.parametrize("content", ["", "[1, 2]", "schema: 1\nstatus: fine\n", "status: completed\n", "a: [", "\x00"])
def test_a_damaged_manifest_is_named_and_never_taken_for_whole(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.yaml").write_text(content)
    with pytest.raises(DataError, match=r"manifest\.yaml"):
        read_manifest(tmp_path)
    assert not is_complete(tmp_path)


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        read_manifest(tmp_path)


def test_run_ids_are_deterministic_and_change_only_with_what_determines_the_result() -> None:
    cfg = Config()
    same = [
        replace(cfg, paths=PathsConfig(experiments="/elsewhere")),
        replace(cfg, output="elsewhere"),
        replace(cfg, tracking=TrackingConfig(wandb="disabled")),
        replace(cfg, trainer=TrainerConfig(log_every_n_steps=1)),
    ]
    other = [
        replace(cfg, seed=1),
        replace(cfg, with_instructions=False),
        replace(cfg, loss=LossConfig(temperature=0.1)),
        replace(cfg, trainer=TrainerConfig(max_steps=1)),
    ]
    identity = run_id(cfg, "train", "data")
    assert {run_id(variant, "train", "data") for variant in same} == {identity}
    assert len({run_id(variant, "train", "data") for variant in other} | {identity, run_id(cfg, "train", "d2")}) == 6
    assert identity.startswith("train-s0-") and len(identity) == len("train-s0-") + 8


def test_keys_that_came_later_are_left_out_of_the_hash_at_their_neutral_value() -> None:
    assert set(effective("evaluation", asdict(Config().evaluation))).isdisjoint({"dtype"})
    assert effective("evaluation", {"dtype": "bfloat16"}) == {"dtype": "bfloat16"}


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        ([], "train-s0-53693531"),
        (["with_instructions=false"], "train-s0-14f3f41e"),
        (["profile=super_ni", "medi.root=a", "benchmark.root=b"], "train-s0-f639ec5f"),
    ],
)
def test_the_ids_of_recorded_settings_stay_as_they_are(overrides: list[str], known: str) -> None:
    """A new key needs an entry in ``NEUTRAL``; other values in a profile are a reason to record it anew."""
    assert run_id(load_config("train", overrides), "train", "data") == known


@pytest.mark.parametrize("key", NEUTRAL)
def test_a_neutral_value_is_the_default_of_its_key(key: str) -> None:
    value: Any = asdict(Config())
    for name in key.split("."):
        value = value[name]
    assert value == NEUTRAL[key]


def test_config_hash_looks_only_at_the_named_sections() -> None:
    assert config_hash(Config(seed=1), ["encoder"]) == config_hash(Config(seed=2), ["encoder"])
    assert config_hash(Config(seed=1), ["seed"]) != config_hash(Config(seed=2), ["seed"])
    with pytest.raises(KeyError):
        config_hash(Config(), ["encoderr"])


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("encoder", "layers", 2),
        ("loss", "bidirectional", False),
        ("loss", "hard_negatives", False),
        ("loss", "learn_temperature", True),
        ("loss", "gather_negatives", True),
        ("loss", "mask_margin", 0.0),
        ("loss", "other_instruction_negatives", True),
        ("optimizer", "layer_decay", 0.9),
        ("sampler", "strategy", "uniform"),
        ("sampler", "temperature", 2.0),
        ("sampler", "cap", 64),
        ("sampler", "tasks", ["wording/*"]),
        ("sampler", "symmetric", False),
        ("trainer", "gradient_checkpointing", True),
        ("trainer", "share_of_steps", True),
        ("trainer", "mini_batch_size", 8),
        ("trainer", "backbone_share", 0.5),
        ("trainer", "accumulate_grad_batches", 2),
    ],
)
def test_a_younger_key_changes_the_id_only_with_a_value_that_changes_the_run(
    section: str, key: str, value: Any
) -> None:
    cfg = Config()
    older = resolved(cfg)
    assert key in older[section] and key not in effective(section, older[section])
    known = run_id(cfg, "train")
    setattr(getattr(cfg, section), key, value)
    assert run_id(cfg, "train") != known


@pytest.mark.parametrize(
    ("accumulated", "mini_batch_size", "changes"), [(1, None, False), (2, None, True), (1, 8, False), (2, 8, False)]
)
def test_the_version_of_lightnings_accumulation_is_in_the_ids_of_runs_that_use_it_only(
    accumulated: int, mini_batch_size: int | None, changes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = TrainerConfig(accumulate_grad_batches=accumulated, mini_batch_size=mini_batch_size)
    known = run_id(Config(trainer=trainer), "train")
    monkeypatch.setattr(identity, "ACCUMULATION_VERSION", identity.ACCUMULATION_VERSION + 1)
    assert (run_id(Config(trainer=trainer), "train") != known) == changes


def test_a_younger_key_at_the_top_is_left_out_of_the_id_at_its_neutral_value() -> None:
    cfg = Config()
    older = config_hash(cfg, [name for name in TRAINING_SECTIONS if name != "instruction_detail"])
    assert config_hash(cfg, TRAINING_SECTIONS) == older
    cfg.instruction_detail = "tag"
    assert config_hash(cfg, TRAINING_SECTIONS) != older


@pytest.mark.parametrize("profile", ["documentation", "mixture", "paper"])
def test_a_composed_configuration_has_nothing_left_to_fill_in(profile: str) -> None:
    cfg = load_config("reproduce", [f"profile={profile}", "medi.views=views", "medi.root=tasks"])
    by_omegaconf = OmegaConf.to_container(OmegaConf.structured(cfg), resolve=True)
    assert json.dumps(resolved(cfg)) == json.dumps(by_omegaconf)


def test_a_configuration_made_in_code_is_filled_in() -> None:
    assert resolved(Config())["medi"]["folder"] == "data/documentation"
