"""An output that cannot be: a file stands there, or nothing can be written. One error that names it, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.config.schema import Config
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.ending import EXIT_USER_ERROR, told
from one_embedder.evaluation.run import evaluate
from one_embedder.medi.build import build
from one_embedder.medi.store import write_medi
from one_embedder.training.run import train
from tests.evaluation.conftest import HashEncoder, configured, write_benchmark
from tests.medi.test_build import HashEmbedder, build_module, embedder_module, made_up
from tests.medi.toy import toy_rows
from tests.training.tiny import tiny_config, tiny_encoder

NOWHERE = Path("/sys/one-embedder")
"""Nobody can write there, not even root."""


@pytest.fixture
def train_to(tmp_path: Path) -> Callable[[Path], object]:
    write_medi(toy_rows({1: 17, 2: 14}), tmp_path / "data" / "medi", about={})
    save_encoder(tiny_encoder(), tmp_path / "encoder")
    cfg = tiny_config(tmp_path, tmp_path / "encoder")
    return lambda output: train(_with(cfg, output))


@pytest.fixture
def evaluate_to(tmp_path: Path) -> Callable[[Path], object]:
    cfg = configured(write_benchmark(tmp_path / "benchmark"), tmp_path / "results")
    cfg.benchmark.tasks = ["TinySTS"]
    return lambda output: evaluate(_with(cfg, output), HashEncoder())


@pytest.fixture
def build_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], object]:
    objects = made_up("alpha", "train", "data") + made_up("beta", "test", "toy")
    monkeypatch.setattr(build_module, "extract", lambda packages, workers: objects)
    monkeypatch.setattr(embedder_module, "InstructionEmbedder", HashEmbedder)
    return lambda output: build(_with(Config(), output))


def _with(cfg: Config, output: Path) -> Config:
    cfg.output = str(output)
    return cfg


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that even root cannot write")
@pytest.mark.parametrize("verb", ["train_to", "evaluate_to", "build_to"])
@pytest.mark.parametrize("place", ["a file", "below a file", "read-only"])
def test_an_output_that_cannot_be_is_one_error_that_names_it(
    verb: str, place: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("something of the user's")
    output = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "run", "read-only": NOWHERE}[place]
    run = request.getfixturevalue(verb)
    capsys.readouterr()
    assert told(lambda: run(output)) == EXIT_USER_ERROR
    said = capsys.readouterr().err
    assert said.count("error: ") == 1 and "Traceback" not in said
    assert str(NOWHERE if place == "read-only" else tmp_path / "file") in said
    assert (tmp_path / "file").read_text() == "something of the user's"
