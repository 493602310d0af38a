"""``one-embedder compare``: the scores that evaluate gives, side by side, with intervals."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.compare import parser, work
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.encoder.dense import Dense
from one_embedder.errors import CheckpointError, ConfigError, DataError
from one_embedder.evaluation.benchmarks import load_scores
from tests.encoder.conftest import IDENTITY, tiny_encoder
from tests.evaluation.conftest import write_benchmark


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of nine tiny tasks, one a category."""
    return write_benchmark(tmp_path_factory.mktemp("compare") / "benchmark")


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    """Two encoders with different weights."""
    save_encoder(tiny_encoder(Dense(16, 2, bias=False, activation=IDENTITY)), tmp_path / "narrow")
    return {"wide": Path(__file__).parent / "parity" / "tiny_instructor", "narrow": tmp_path / "narrow"}


@pytest.fixture
def compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Lines of what the command prints, without rules; results are kept below ``tmp_path``."""
    monkeypatch.setattr("one_embedder.config.compose.PROJECT_ROOT", tmp_path)

    def run(*arguments: object) -> list[str]:
        work(parser().parse_args([*map(str, arguments), "--resamples", "50"]))
        return [line for line in capsys.readouterr().out.splitlines() if line.strip("-")]

    return run


def task_of(root: Path, category: str) -> Path:
    (folder,) = (root / "eval" / category).iterdir()
    return folder


def test_a_tasks_folder_gives_one_line_with_scores_intervals_and_the_difference(
    root: Path, models: dict[str, Path], compare: Callable[..., list[str]], tmp_path: Path
) -> None:
    lines = compare(f"first={models['wide']}", f"second={models['narrow']}", "--task", task_of(root, "STS"))
    *headers, line, caption = lines
    assert " ".join(headers).split() == "column first second second minus first".split()
    category, *cells = re.split(r"  +", line.strip())
    assert category == "STS"
    (first, *interval), (second, *_), (difference, *_) = (re.findall(r"[+-]?\d+\.\d", cell) for cell in cells)
    scores = [load_scores(folder)[0].main_score for folder in (tmp_path / "experiments" / "evaluations").iterdir()]
    assert sorted(float(score) for score in (first, second)) == sorted(round(100 * score, 1) for score in scores)
    assert float(difference) == pytest.approx(float(second) - float(first), abs=0.11)
    assert float(interval[0]) <= float(first) <= float(interval[1])
    assert "bootstrap" in caption


def test_a_root_gives_a_line_for_every_category_and_their_mean(
    root: Path, models: dict[str, Path], compare: Callable[..., list[str]]
) -> None:
    lines = compare(models["wide"], "--task", root)
    assert len(lines) == 1 + 9 + 1 + 1
    assert str(models["wide"]) in lines[0]


def test_what_is_scored_is_not_scored_again(
    root: Path, models: dict[str, Path], compare: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (models["wide"], "--task", task_of(root, "Clustering"))
    once = compare(*arguments)
    monkeypatch.setattr("one_embedder.evaluation.run._score_missing", None)
    assert compare(*arguments) == once


def test_instructions_are_those_that_were_named(
    root: Path, models: dict[str, Path], compare: Callable[..., list[str]]
) -> None:
    arguments = (models["wide"], "--task", task_of(root, "STS"))
    assert compare(*arguments, "--instructions", "generic") != compare(*arguments)
    with pytest.raises(ConfigError, match="generik"):
        compare(*arguments, "--instructions", "generik")


def test_a_folder_without_tasks_is_refused_before_a_model_is_loaded(
    tmp_path: Path, compare: Callable[..., list[str]]
) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match=r"is no folder of tasks: name one such as ROOT/eval/STS/Mine"):
            compare("no/such/model", "--task", folder)


def test_a_tasks_folder_may_be_named_from_the_one_beside_it(
    root: Path, models: dict[str, Path], compare: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = compare(models["wide"], "--task", task_of(root, "STS"))
    monkeypatch.setattr("one_embedder.evaluation.run._score_missing", None)
    monkeypatch.chdir(task_of(root, "Clustering"))
    assert compare(models["wide"], "--task", Path("../../STS") / task_of(root, "STS").name) == named


@pytest.mark.parametrize(
    ("labels", "message"),
    [(("one", "one"), "two models are labelled 'one': name them, as in LABEL=MODEL"), (("",), "'=.*' has no label")],
)
def test_models_that_cannot_be_told_apart_are_refused_before_one_is_scored(
    root: Path,
    models: dict[str, Path],
    compare: Callable[..., list[str]],
    tmp_path: Path,
    labels: tuple[str, ...],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        compare(*(f"{label}={models['wide']}" for label in labels), "--task", task_of(root, "STS"))
    assert not list(tmp_path.glob("experiments/evaluations/*/results/*"))


def test_a_model_that_is_not_there_is_told_before_another_is_scored(
    root: Path, models: dict[str, Path], compare: Callable[..., list[str]], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        compare(models["wide"], tmp_path / "nowhere", "--task", task_of(root, "STS"))
    assert not list(tmp_path.glob("experiments/evaluations/*/results/*"))
