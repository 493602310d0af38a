"""``docs/extend.md`` does what it says: its files are written to an empty folder and its commands run there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.medi.store import write_medi
from tests.medi.toy import toy_rows
from tests.training.tiny import tiny_encoder

PAGE = (PROJECT_ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
FILES = re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands(heading: str) -> list[list[str]]:
    """What the section tells to type."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in lines for line in block.splitlines()]


TRAINED = "optimizer.frozen_layers=0"  # the tiny encoder has fewer layers than the default profile freezes


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The page's files, beside tiny data and a tiny encoder in place of the default profile's."""
    for path, text in FILES:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    save_encoder(tiny_encoder(), tmp_path / "tiny")
    write_medi(toy_rows({1: 17, 2: 14, 3: 2}), tmp_path / "data" / "medi", about={})
    return tmp_path


def small(place: Path) -> list[str]:
    return [
        f"encoder.name_or_path={place / 'tiny'}",
        *("medi=file", f"medi.folder={place / 'data'}", f"paths.experiments={place / 'experiments'}"),
    ]


def run(place: Path, command: list[str], *overrides: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(PROJECT_ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, *command[1:], *small(place), *overrides]
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, timeout=280, check=False)


def test_the_page_shows_a_loss_a_sampler_a_task_a_table_a_learner_and_an_ablation() -> None:
    sections = ("A loss", "A sampler", "A task", "An instruction table", "An in-context learner", "An ablation")
    assert all(commands(section) for section in sections)
    assert len(FILES) == len(re.findall("^```(?!console)\\w", PAGE, re.MULTILINE))


@pytest.mark.slow
def test_a_new_loss_is_trained_as_the_page_says(place: Path) -> None:
    (command,) = commands("A loss")
    done = run(place, command, TRAINED)
    assert done.returncode == 0, done.stderr
    (run_folder,) = (place / "experiments" / "runs").iterdir()
    loss = yaml.safe_load((run_folder / "config.yaml").read_text())["loss"]
    assert loss == {"_target_": "my_losses.TripletLoss", "_version_": 1, "margin": 0.3}
    assert "accuracy" in (run_folder / "metrics.csv").read_text().splitlines()[0]
    assert "`my_losses.TripletLoss`, _version_ 1, margin 0.3" in (run_folder / "checkpoint" / "README.md").read_text()


@pytest.mark.slow
def test_a_new_sampler_is_used_as_the_page_says(place: Path) -> None:
    (command,) = commands("A sampler")
    done = run(place, command, TRAINED)
    assert done.returncode == 0, done.stderr
    assert "8 rows (Turns)" in done.stderr and "1.00 epochs of 4 batches" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("section", ["A task", "An instruction table", "An in-context learner"])
def test_a_new_task_table_and_learner_are_scored_as_the_page_says(place: Path, section: str) -> None:
    (command,) = commands(section)
    done = run(place, command)
    assert done.returncode == 0, done.stderr
    (output,) = (word.removeprefix("output=") for word in command if word.startswith("output="))
    assert {path.stem for path in (place / output / "results").iterdir()} == {"Weather", "Capitals"}
    capitals = (place / output / "results" / "Capitals.json").read_text()
    assert ('"_target_": "my_learners.MajorityLearner"' in capitals) is (section == "An in-context learner")


@pytest.mark.slow
def test_a_new_ablation_is_run_and_tabulated_as_the_page_says(place: Path) -> None:
    sweep, table = commands("An ablation")
    tasks = [TRAINED, "benchmark=folder", f"benchmark.root={place / 'my_tasks'}", "instructions=my_table"]
    swept = run(place, sweep, *tasks)
    assert swept.returncode == 0, swept.stderr
    made = run(place, table, *tasks)
    assert "wide_over_narrow" in made.stdout, made.stderr
    assert {record.name for record in (place / "experiments" / "runs").iterdir()} and "0.5" in made.stdout
