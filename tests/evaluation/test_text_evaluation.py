"""Billboard: small cases that can be worked out by hand, and files that do not belong together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from one_embedder.errors import DataError
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.resampling import item_interval
from one_embedder.evaluation.task_instructions import TaskInstructions
from one_embedder.evaluation.tasks.text_evaluation import score_text_evaluation, system_figures
from tests.evaluation.angles import angles, folder

REFERENCES: list[dict[str, Any]] = [{"seg_id": "a", "refs": ["0", "90"]}, {"seg_id": 2, "refs": ["180"]}]
HYPS: list[dict[str, Any]] = [
    {"seg_id": "a", "SYS": "x", "hyp": "60", "human_score": 1.0},
    {"seg_id": "2", "SYS": "x", "hyp": "60", "human_score": 2},
    {"seg_id": "a", "SYS": "y", "hyp": "45", "human_score": 4.0},
]


def test_a_hypothesis_scores_its_nearest_reference_of_its_own_segment(tmp_path: Path) -> None:
    hyps = [{key: value for key, value in row.items() if key != "SYS"} for row in HYPS]
    scored = score_text_evaluation(
        folder(tmp_path, "TextEvaluation", references=REFERENCES, hyps=hyps), angles(), TaskInstructions()
    )
    cosines = np.cos(np.radians([30, 120, 45]))
    assert scored.items.columns["predicted"] == pytest.approx(cosines, abs=1e-6)
    assert scored.items.score() == pytest.approx(np.corrcoef(cosines, [1, 2, 4])[0, 1], abs=1e-6)
    assert scored.details == {}


def test_each_system_gets_its_figures_and_the_systems_a_correlation() -> None:
    predicted, human = np.array([0.1, 0.3, 0.5, 0.2, 0.9, 0.8]), np.array([1.0, 2.0, 5.0, 4.0, 3.0, 3.0])
    figures = system_figures(["x", "x", "y", "y", "z", "z"], predicted, human)
    assert figures["systems"]["x"] == {
        "hypotheses": 2,
        "mean_score": pytest.approx(0.2),
        "mean_human_score": 1.5,
        "pearson": pytest.approx(1.0),
    }
    assert np.isnan(figures["systems"]["z"]["pearson"])
    assert figures["system_pearson"] == pytest.approx(np.corrcoef([0.2, 0.35, 0.85], [1.5, 4.5, 3.0])[0, 1])
    assert np.isnan(system_figures(["x", "x", "y"], predicted[:3], human[:3])["system_pearson"])


def test_the_result_file_has_systems_and_an_interval(evaluated) -> None:
    cfg, _, _ = evaluated
    ours = json.loads((Path(cfg.output) / "results/TinyBillboard.json").read_text())["one_embedder"]
    assert set(ours["systems"]) == {f"s{number}" for number in range(5)}
    assert all(figure["hypotheses"] == 8 for figure in ours["systems"].values())
    assert -1 <= ours["system_pearson"] <= 1
    assert ours["interval"]["low"] < ours["main_score"] < ours["interval"]["high"]


def test_the_interval_is_as_wide_as_the_spread_of_a_mean() -> None:
    value = np.random.default_rng(0).normal(size=400)
    interval = item_interval(ItemScores("mean", {"value": value}))
    expected = 2 * 1.96 * value.std() / np.sqrt(len(value))
    assert interval.high - interval.low == pytest.approx(expected, rel=0.1)
    assert interval.low < value.mean() < interval.high


def test_human_scores_that_are_all_equal_are_refused(tmp_path: Path) -> None:
    hyps = [{**row, "human_score": 3} for row in HYPS]
    task = folder(tmp_path, "TextEvaluation", references=REFERENCES, hyps=hyps)
    with pytest.raises(DataError, match=r"hyps\.jsonl: every human_score is 3"):
        score_text_evaluation(task, angles(), TaskInstructions())


MISMATCHES: list[tuple[str, int, dict[str, Any], str]] = [
    ("hyps", 1, {"seg_id": "99"}, r"hyps\.jsonl, row 2: seg_id '99' is not in references\.jsonl, which has 2 segments"),
    ("hyps", 1, {"seg_id": "a", "SYS": "z"}, r"references\.jsonl, row 2: seg_id '2' has no hypothesis in hyps\.jsonl"),
    ("hyps", 2, {"SYS": "x"}, r"hyps\.jsonl, row 3: SYS 'x' has a second hypothesis for seg_id 'a'"),
    ("hyps", 2, {"SYS": 7}, r"hyps\.jsonl, row 3: field 'SYS' is 7 \(int\), not a string"),
    ("hyps", 0, {"seg_id": ["a"]}, r"hyps\.jsonl, row 1: field 'seg_id' must be text or an integer, got \['a'\]"),
    ("hyps", 0, {"human_score": "high"}, r"hyps\.jsonl, row 1: field 'human_score' must be a finite number"),
    ("hyps", 0, {"hyp": ["60"]}, r"hyps\.jsonl, row 1: field 'hyp' is \['60'\] \(list\), not a string"),
    ("references", 1, {"seg_id": "a"}, r"references\.jsonl, row 2: 'seg_id' 'a' occurs twice"),
    ("references", 1, {"refs": []}, r"references\.jsonl, row 2: field 'refs' must be a list of at least one text"),
    ("references", 0, {"refs": "0"}, r"references\.jsonl, row 1: field 'refs' must be a list"),
]


@pytest.mark.parametrize(("file", "row", "fields", "message"), MISMATCHES)
def test_files_that_do_not_belong_together_are_named_with_the_row(
    tmp_path: Path, file: str, row: int, fields: dict[str, Any], message: str
) -> None:
    files = {"hyps": [dict(line) for line in HYPS], "references": [dict(line) for line in REFERENCES]}
    files[file][row].update(fields)
    with pytest.raises(DataError, match=message):
        score_text_evaluation(folder(tmp_path, "TextEvaluation", **files), angles(), TaskInstructions())
