"""Fixtures of the reproduction's tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

import pytest
from omegaconf import OmegaConf

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.reproduction.statistics.layout import BACKBONE, INSTRUCTED_BACKBONE, INSTRUCTOR, WITHOUT
from one_embedder.reproduction.statistics.rows import RowRuns
from tests.reproduction.fakes import FakeWork, make_row


@pytest.fixture
def rows() -> list[RowRuns]:
    """Four rows in the order that the paper claims, INSTRUCTOR clearly above."""
    return [
        make_row(BACKBONE, 0.45),
        make_row(INSTRUCTED_BACKBONE, 0.42),
        make_row(WITHOUT, 0.50, 0.52),
        make_row(INSTRUCTOR, 0.62, 0.60),
    ]


@pytest.fixture
def work() -> FakeWork:
    """Fresh fakes."""
    return FakeWork()


@cache
def _composed(*groups: str) -> Config:
    """The real ``reproduce`` configuration. Composing takes a second, so each choice of groups is composed once."""
    return load_config("reproduce", groups)


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Config]:
    """The real ``reproduce`` configuration with some values changed, writing to a temporary folder."""

    def build(*overrides: str) -> Config:
        groups = [override for override in overrides if override.startswith("instructions=")]
        values = [
            f"paths.experiments={tmp_path}/experiments",
            f"medi.folder={tmp_path}/data",
            f"benchmark.root={tmp_path}/data/benchmark/test",
            f"table.expected={tmp_path}/expected.yaml",
            "table.bootstrap_resamples=50",
            *(override for override in overrides if override not in groups),
        ]
        merged = OmegaConf.merge(OmegaConf.structured(_composed(*groups)), OmegaConf.from_dotlist(values))
        return cast(Config, OmegaConf.to_object(merged))

    return build
