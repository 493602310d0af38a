"""View sets as clustering tasks: the texts, classes and instructions that steering is measured with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.run import evaluate
from one_embedder.evaluation.views.plan import view_jobs
from one_embedder.files.json_lines import JsonLines
from scripts.make_view_benchmark import main, make_view_benchmark
from tests.composed import composed
from tests.medi.toy import view_rows, view_set, write_view_set


@pytest.fixture
def views(tmp_path: Path) -> Config:
    write_view_set(tmp_path / "views", "Toy", view_rows(120))
    cfg = composed("evaluate_views", [f"output={tmp_path / 'steering'}", "tracking=disabled"])
    cfg.views.root, cfg.views.sets, cfg.views.repeats = str(tmp_path / "views"), {"Toy": view_set("test")}, 1
    return cfg


def test_a_task_has_the_texts_and_classes_that_its_labeling_is_measured_with(views: Config, tmp_path: Path) -> None:
    names = make_view_benchmark(views, tmp_path / "tasks")
    (toy,) = view_jobs(views)
    assert names == [f"Toy_{labeling}" for labeling in toy.labelings]
    for name, labeling in zip(names, toy.labelings.values(), strict=True):
        rows = JsonLines.read(tmp_path / "tasks/eval/Clustering" / name, "test").rows
        assert [row["text"] for row in rows] == [toy.texts[place] for place in labeling.places]
        assert [row["label"] for row in rows] == labeling.gold.tolist()


class Told:
    """Encodes the class that the instruction asks for, exactly, and nothing else."""

    revision = "told"

    def __init__(self, classes: dict[str, dict[str, int]]) -> None:
        self.classes = classes

    def encode(self, sentences: Sequence[str], instruction: str, **_: object) -> np.ndarray:
        asked = next(classes for name, classes in self.classes.items() if name in instruction)
        return np.eye(8, dtype=np.float32)[[asked[text] for text in sentences]]


def test_instructions_own_gives_each_task_its_labelings_instruction(views: Config, tmp_path: Path) -> None:
    names = make_view_benchmark(views, tmp_path / "tasks")
    (toy,) = view_jobs(views)
    objectives = views.views.sets["Toy"].objectives
    classes = {
        objectives[name]: dict(zip([toy.texts[place] for place in found.places], found.gold.tolist(), strict=True))
        for name, found in toy.labelings.items()
    }
    given = [f"benchmark.root={tmp_path / 'tasks'}", f"output={tmp_path / 'scores'}", "tracking=disabled"]
    scores = evaluate(composed("evaluate", ["benchmark=folder", "instructions=own", *given]), Told(classes))
    assert {score.task: score.main_score for score in scores} == dict.fromkeys(sorted(names), pytest.approx(1.0))


def test_a_folder_that_exists_is_not_written_to(views: Config, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="exists; name a new folder"):
        make_view_benchmark(views, tmp_path)


def test_the_command_says_what_it_lacks() -> None:
    with pytest.raises(ConfigError, match="OUTPUT"):
        main(["views=public"])
