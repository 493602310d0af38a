"""Prompt retrieval and Billboard: small cases that can be worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from one_embedder.errors import DataError
from one_embedder.evaluation.instructions import TaskInstructions
from one_embedder.evaluation.mteb_encoder import CachingEncoder
from one_embedder.evaluation.prompt_retrieval import (
    Demonstration,
    NearestCopyLearner,
    most_similar,
    score_prompt_retrieval,
)
from one_embedder.evaluation.task_folder import TaskFolder
from one_embedder.evaluation.text_evaluation import score_text_evaluation


class AngleEncoder:
    """A text is an angle in degrees; cosines are known."""

    revision = "angles"

    def encode(
        self, sentences: Sequence[str], instruction: str, *, batch_size: int, show_progress_bar: bool | None
    ) -> np.ndarray:
        angles = np.radians([float(text.split()[-1]) for text in sentences])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


class Recorder:
    """Keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[list[Demonstration]] = []

    def generate(self, demonstrations: Sequence[Demonstration], input: str) -> str:
        self.shown.append(list(demonstrations))
        return "nothing"


def folder(tmp_path: Path, category: str, **files: list[dict]) -> TaskFolder:
    for name, rows in files.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TaskFolder("Task", category, tmp_path)


def angles() -> CachingEncoder:
    return CachingEncoder(AngleEncoder(), batch_size=8)


POOL = [
    {"id": i, "input": f"angle {a}", "output": o}
    for i, (a, o) in enumerate([(0, "east"), (90, "north"), (80, "north by east"), (180, "west")])
]


def test_the_most_similar_comes_last_and_the_input_itself_never() -> None:
    similarities = np.array([0.1, 1.0, 0.5, 0.5, -0.2])
    excluded = [False, True, False, False, False]
    assert most_similar(similarities, excluded, 3) == [0, 3, 2]
    assert most_similar(similarities, excluded, 1) == [2]


def test_demonstrations_are_similar_ordered_and_at_most_top_k(tmp_path: Path) -> None:
    task = folder(tmp_path, "PromptRetrieval", train=POOL, eval=[{"id": 0, "input": "angle 90", "output": "north"}])
    recorder = Recorder()
    score_prompt_retrieval(task, angles(), TaskInstructions(), top_k=2, learner=recorder)
    assert [demonstration.output for demonstration in recorder.shown[0]] == ["east", "north by east"]
    assert recorder.shown[0][-1].similarity == pytest.approx(np.cos(np.radians(10)), abs=1e-6)


def test_nearest_copy_is_scored_by_rouge_l(tmp_path: Path) -> None:
    tests = [{"id": 0, "input": "angle 79", "output": "north"}, {"id": 1, "input": "angle 170", "output": "west"}]
    task = folder(tmp_path, "PromptRetrieval", train=POOL, eval=tests)
    items = score_prompt_retrieval(task, angles(), TaskInstructions(), top_k=2, learner=NearestCopyLearner())
    # "north by east" for "north": precision 1/3, recall 1, F = 1/2; "west" is right.
    assert items.columns["value"].tolist() == [0.5, 1.0]
    assert items.score() == 0.75


def test_several_demonstrations_vote_with_their_similarity() -> None:
    def learn(*votes: tuple[str, float]) -> str:
        return NearestCopyLearner().generate(
            [Demonstration("x", output, similarity) for output, similarity in votes], "x"
        )

    assert learn(("yes", 0.4), ("no", 0.9)) == "no"
    assert learn(("yes", 0.5), ("yes", 0.6), ("no", 0.9)) == "yes"
    assert learn(("yes", 0.9), ("no", 0.9)) == "no"


def test_the_formats_of_the_papers_sets_are_read(tmp_path: Path) -> None:
    rows = [{"id": 0, "premise": "x", "hypothesis": "angle 5", "label": 0, "label_text": "True"}]
    task = folder(tmp_path, "PromptRetrieval", train=rows, eval=[{**rows[0], "hypothesis": "angle 6"}])
    recorder = Recorder()
    score_prompt_retrieval(task, angles(), TaskInstructions(), top_k=2, learner=recorder)
    assert recorder.shown[0][0].input == "x\nangle 5" and recorder.shown[0][0].output == "True"


def test_a_pool_of_the_input_alone_and_an_unknown_layout_are_errors(tmp_path: Path) -> None:
    task = folder(tmp_path, "PromptRetrieval", train=POOL[:1], eval=POOL[:1])
    with pytest.raises(DataError, match=r"eval\.jsonl, row 1: the pool holds nothing but"):
        score_prompt_retrieval(task, angles(), TaskInstructions(), top_k=2, learner=NearestCopyLearner())
    task = folder(tmp_path, "PromptRetrieval", train=[{"sentence": "x", "label": "No."}], eval=POOL)
    with pytest.raises(DataError, match=r"train\.jsonl: fields \['label', 'sentence'\] fit none"):
        score_prompt_retrieval(task, angles(), TaskInstructions(), top_k=2, learner=NearestCopyLearner())


def test_a_hypothesis_scores_its_nearest_reference_of_its_own_segment(tmp_path: Path) -> None:
    references = [{"seg_id": "a", "refs": ["0", "90"]}, {"seg_id": 2, "refs": ["180"]}]
    hyps = [
        {"seg_id": "a", "hyp": "60", "human_score": 1.0},
        {"seg_id": "2", "hyp": "60", "human_score": 2},
        {"seg_id": "a", "hyp": "45", "human_score": 4.0},
    ]
    task = folder(tmp_path, "TextEvaluation", references=references, hyps=hyps)
    items = score_text_evaluation(task, angles(), TaskInstructions())
    cosines = np.cos(np.radians([30, 120, 45]))
    assert items.columns["predicted"] == pytest.approx(cosines, abs=1e-6)
    assert items.score() == pytest.approx(np.corrcoef(cosines, [1, 2, 4])[0, 1], abs=1e-6)


def test_human_scores_that_are_all_equal_are_refused(tmp_path: Path) -> None:
    hyps = [{"seg_id": "a", "hyp": str(angle), "human_score": 3} for angle in (1, 2)]
    task = folder(tmp_path, "TextEvaluation", references=[{"seg_id": "a", "refs": ["0"]}], hyps=hyps)
    with pytest.raises(DataError, match=r"hyps\.jsonl: every human_score is 3"):
        score_text_evaluation(task, angles(), TaskInstructions())
