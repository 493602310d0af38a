"""A finished training is extended by a new one from its checkpoint, whose record names it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from one_embedder.config.schema import Config
from one_embedder.encoder.checkpoint import load_encoder, weights_sha256
from one_embedder.errors import ConfigError
from one_embedder.tracking.identity import resolved
from one_embedder.tracking.manifest import read_manifest
from one_embedder.training.card import model_card
from one_embedder.training.lineage import first_base, parent_of
from one_embedder.training.run import BEST, CHECKPOINT, train
from tests.training.tiny import tiny_config


@pytest.fixture
def cfg(workplace: Path, encoder_folder: Path) -> Config:
    return tiny_config(workplace, encoder_folder, max_steps=4)


def longer(cfg: Config, steps: int = 10) -> Config:
    return replace(cfg, trainer=replace(cfg.trainer, max_steps=steps))


def from_checkpoint(cfg: Config, run: Path, name: str = CHECKPOINT) -> Config:
    return replace(cfg, seed=cfg.seed + 1, encoder=replace(cfg.encoder, name_or_path=str(run / name)))


def advice(run: Path) -> str:
    """As it is said for 4 of 10 steps."""
    return f"encoder.name_or_path={run}/checkpoint trainer.max_steps=6 seed=1"


def test_more_steps_in_the_folder_of_a_finished_run_are_refused_with_what_to_do(cfg: Config, tmp_path: Path) -> None:
    cfg.output = str(tmp_path / "here")
    run = train(cfg)
    with pytest.raises(ConfigError, match="choose another output=") as raised:
        train(longer(cfg))
    assert "the same training of 4 steps, finished" in str(raised.value) and advice(run) in str(raised.value)
    assert read_manifest(run)["status"] == "completed" and (run / CHECKPOINT).is_dir()


def test_more_steps_without_a_folder_start_over_and_say_how_not_to(
    cfg: Config, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(cfg)
    with caplog.at_level(logging.INFO, logger="one_embedder"):
        again = train(longer(cfg))
    assert again != run and read_manifest(again)["cost"]["steps"] == 10
    assert f"this run starts at step 0. {run} holds the same training of 4 steps" in caplog.text
    assert advice(run) in caplog.text


def test_a_neighbour_whose_settings_are_gone_ends_no_training(cfg: Config) -> None:
    run = train(cfg)
    (run / "config.yaml").unlink()
    assert read_manifest(train(longer(cfg)))["status"] == "completed"


def test_another_training_is_not_taken_for_a_shorter_one(
    cfg: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg.output = str(tmp_path / "here")
    train(cfg)
    changed = longer(cfg)
    changed.loss = replace(cfg.loss, temperature=0.2)
    with pytest.raises(ConfigError) as raised:
        train(changed)
    assert "same training" not in str(raised.value)
    with pytest.raises(ConfigError) as raised:
        train(longer(cfg, steps=3))
    assert "same training" not in str(raised.value)


def test_a_run_that_starts_from_a_checkpoint_names_the_runs_before_it(cfg: Config, encoder_folder: Path) -> None:
    first = train(cfg)
    assert read_manifest(first)["model"]["parent"] is None
    second_cfg = from_checkpoint(longer(cfg, 3), first)
    second = train(second_cfg)
    third = train(from_checkpoint(second_cfg, second))
    model = read_manifest(third)["model"]
    expected = {
        "run_id": second.name,
        "checkpoint": CHECKPOINT,
        "steps": 3,
        "weights_sha256": weights_sha256(load_encoder(second / CHECKPOINT)),
        "base": str(first / CHECKPOINT),
        "parent": {
            "run_id": first.name,
            "checkpoint": CHECKPOINT,
            "steps": 4,
            "weights_sha256": weights_sha256(load_encoder(first / CHECKPOINT)),
            "base": str(encoder_folder),
            "parent": None,
        },
    }
    assert model["parent"] == expected and model["revision"] == expected["weights_sha256"]
    assert first_base(model) == str(encoder_folder)
    card = (third / CHECKPOINT / "README.md").read_text()
    assert f"run `{second.name}` after 3 steps" in card and f"As the base model's, `{encoder_folder}`" in card


def test_the_licence_of_the_first_base_is_that_of_a_longer_line(cfg: Config) -> None:
    manifest = read_manifest(train(cfg))
    manifest["model"] = {"base": "RUN/checkpoint", "parent": {"run_id": "a", "steps": 4, "base": "minilm"}}
    settings = resolved(cfg)
    card = model_card(load_encoder(cfg.encoder.name_or_path), "name", manifest, settings)
    assert "license: apache-2.0" in card and "is under apache-2.0" in card


def test_the_best_checkpoint_is_named_with_its_own_step(cfg: Config) -> None:
    class Falls:
        identity = "falls"

        def __call__(self, encoder: object, output: Path) -> float:
            return -float(output.name.removeprefix("step-"))

    cfg.trainer.early_stopping.every_n_steps = 2
    run = train(cfg, Falls())
    for name, steps in ((BEST, 2), (CHECKPOINT, 4)):
        parent = parent_of(str(run / name), "abc")
        assert parent is not None and (parent["run_id"], parent["checkpoint"], parent["steps"]) == (
            run.name,
            name,
            steps,
        )
    link = run.parent / "model"
    link.symlink_to(run / BEST)
    assert parent_of(str(link), "abc") == parent_of(str(run / BEST), "abc")
    assert parent_of(str(run / "dev"), "abc") is None and parent_of("minilm", "abc") is None
