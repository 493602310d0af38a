"""Typed settings of data that are there already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError
from one_embedder.training.built_data import require_built_with


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    """Of data that were built with 200 rows a task and the nearest negatives."""
    settings = {"medi.source": "documentation", "medi.rows_per_task": 200, "medi.mining": {"first_rank": 1}}
    (tmp_path / "build.json").write_text(json.dumps({"key": "k", "settings": settings}))
    cfg = Config()
    cfg.medi.folder, cfg.medi.rows_per_task = str(tmp_path), 200
    return cfg


@pytest.mark.parametrize("key", ["rows_per_task", "mining.first_rank"])
def test_a_typed_setting_that_the_data_were_not_built_with_is_told_with_the_one_they_were(
    cfg: Config, key: str
) -> None:
    cfg.medi.rows_per_task, cfg.medi.mining.first_rank = 50, 5
    with pytest.raises(ConfigError, match=rf"medi\.{key}=50? would change nothing: .* were built with (200|1)\. .*"):
        require_built_with(cfg, ["seed=1", f"++medi.{key}=typed"])


def test_what_agrees_was_not_typed_or_is_no_choice_of_the_build_passes(cfg: Config) -> None:
    cfg.medi.mining.first_rank = 5
    passing = ["medi.rows_per_task=200", "medi=documentation", "medi.workers=1", "medi.folder=x"]
    require_built_with(cfg, passing)
    with pytest.raises(ConfigError, match=r"medi\.mining\.first_rank=5 would change nothing"):
        require_built_with(cfg, [*passing, "medi.mining.first_rank=5"])


def test_a_typed_instruction_of_a_task_that_had_none_is_told_too(cfg: Config, tmp_path: Path) -> None:
    (tmp_path / "build.json").write_text(json.dumps({"settings": {"medi.instructions": {}}}))
    cfg.medi.instructions = {"task": {"text_type": "remark"}}
    with pytest.raises(ConfigError, match=r"instructions\.task\.text_type='remark' would .* were built with None"):
        require_built_with(cfg, ["+medi.instructions.task.text_type=remark"])


def test_data_without_a_record_of_their_build_pass(cfg: Config, tmp_path: Path) -> None:
    cfg.medi.rows_per_task = 50
    with pytest.raises(ConfigError, match="were built with 200"):
        require_built_with(cfg, ["medi.rows_per_task=50"])
    (tmp_path / "build.json").unlink()
    require_built_with(cfg, ["medi.rows_per_task=50"])
