"""ROUGE-L in every script, and what is said of answers that the published spelling of it cannot read."""

from __future__ import annotations

import json
import logging
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from one_embedder.config.schema import PromptTaskConfig
from one_embedder.errors import DataError
from one_embedder.evaluation.prompt_retrieval.learners import NearestLearner
from one_embedder.evaluation.prompt_retrieval.protocol import PromptProtocol
from one_embedder.evaluation.prompt_retrieval.rouge import UnicodeTokenizer, rouge_l
from one_embedder.evaluation.prompt_retrieval.score import score_prompt_retrieval
from one_embedder.evaluation.results import OwnScore
from one_embedder.evaluation.run import evaluate
from one_embedder.evaluation.task_instructions import TaskInstructions
from one_embedder.reproduction.steps.circumstances import circumstances
from tests.evaluation.angles import angles, folder
from tests.evaluation.conftest import write_rows

ASCII = st.text(string.printable, max_size=40)


def longest_common(left: list[str], right: list[str]) -> int:
    """Length of the longest common subsequence, by the table of the textbook."""
    table = np.zeros((len(left) + 1, len(right) + 1), dtype=int)
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            table[i + 1, j + 1] = table[i, j] + 1 if one == other else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("北京是首都。", ["北", "京", "是", "首", "都"]),
        ("Die größte Straße, naïve?", ["die", "größte", "straße", "naïve"]),
        ("nai\u0308ve", ["naïve"]),  # a letter and its mark
        ("Москва — столица", ["москва", "столица"]),
        ("서울은 수도", ["서울은", "수도"]),
        ("東京タワーに333m", ["東", "京", "タ", "ワ", "ー", "に", "333m"]),
        ("使用pandas读取CSV", ["使", "用", "pandas", "读", "取", "csv"]),
        ("กิน", ["กิ", "น"]),  # a vowel sign stays with its consonant
        ("العربية १२३", ["العربية", "१२३"]),
        ("हिन्दी", ["हिन्दी"]),
        ("don't snake_case ... +", ["don", "t", "snake", "case"]),
        ("。、 🙂", []),
    ],
)
def test_words_of_every_script(text: str, words: list[str]) -> None:
    assert UnicodeTokenizer().tokenize(text) == words


@settings(max_examples=200, deadline=None)
@given(ASCII, ASCII, st.booleans())
def test_of_ascii_texts_both_metrics_are_the_published_one(right: str, output: str, stemmer: bool) -> None:
    published = RougeScorer(["rougeL"], use_stemmer=stemmer).score(right, output)["rougeL"].fmeasure
    for metric in ("rouge_l", "rouge_l_unicode"):
        (value,) = rouge_l([right], [output], metric=metric, stemmer=stemmer)
        has_word = any(character.isalnum() for character in right)
        assert value == published if has_word else np.isnan(value)


@settings(max_examples=100, deadline=None)
@given(st.text("北京上海是的", min_size=1, max_size=8), st.text("北京上海是的", max_size=8))
def test_the_score_of_chinese_is_that_of_its_characters(right: str, output: str) -> None:
    common = longest_common([*right], [*output])
    (value,) = rouge_l([right], [output], metric="rouge_l_unicode")
    assert value == pytest.approx(2 * common / (len(right) + len(output)))
    assert rouge_l([right], [right], metric="rouge_l_unicode").tolist() == [1.0]


ROWS = [
    {"id": 0, "input": "angle 0", "output": "向东走"},
    {"id": 1, "input": "angle 90", "output": "向北走"},
    {"id": 2, "input": "angle 180", "output": "west side"},
    {"id": 3, "input": "angle 270", "output": "café sud"},
]
ASKED = [{**row, "input": f"{row['input']}.5"} for row in ROWS]  # the nearest has the right answer


def scored(place: Path, asked: list[dict[str, object]], metric: str) -> OwnScore:
    task = folder(place, "PromptRetrieval", train=ROWS, eval=asked)
    protocol = PromptProtocol(NearestLearner(), {}, PromptTaskConfig(max_demonstrations=1), metric=metric)
    return score_prompt_retrieval(task, angles(), TaskInstructions(), protocol)


def test_answers_without_a_word_do_not_count_and_are_told_once_with_the_metric_that_reads_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = [*ASKED, {"id": 4, "input": "angle 91", "output": "west"}]
    with caplog.at_level(logging.WARNING):
        own = scored(tmp_path, asked, "rouge_l")
    assert own.items.columns["value"].tolist() == [1.0, 1.0, 0.0]  # west side, caf sud, and a wrong answer
    assert own.details["protocol"]["left_out"] == 2 and own.details["protocol"]["test_inputs"] == 5
    assert caplog.messages == [
        "task Task: of 5 right answers, 2 have no word that prompt_retrieval.metric=rouge_l knows and do not count, "
        "3 have letters that it leaves out; prompt_retrieval.metric=rouge_l_unicode reads every script"
    ]


def test_the_metric_of_every_script_scores_them_all_and_has_nothing_to_tell(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = scored(tmp_path, [*ASKED, {"id": 4, "input": "angle 91", "output": "向北去"}], "rouge_l_unicode")
    assert own.items.columns["value"].tolist() == pytest.approx([1.0, 1.0, 1.0, 1.0, 2 / 3])
    assert own.details["protocol"]["left_out"] == 0 and own.details["protocol"]["metric"] == "rouge_l_unicode"
    assert not caplog.messages


def test_a_task_without_any_word_is_refused_with_the_metric_that_reads_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"eval\.jsonl: of 2 right answers, 2 have no word .*=rouge_l_unicode reads"):
        scored(tmp_path, ASKED[:2], "rouge_l")
    marks = [{**row, "output": "。、"} for row in ASKED]
    with pytest.raises(DataError, match=r"of 4 right answers, 4 have no word that .*=rouge_l_unicode knows"):
        scored(tmp_path, marks, "rouge_l_unicode")


def test_groups_lose_the_answers_that_do_not_count(tmp_path: Path) -> None:
    rows = [{**row, "reviewer": row["id"]} for row in ASKED]  # type: ignore[dict-item]
    task = folder(tmp_path, "PromptRetrieval", train=ROWS, eval=rows)
    protocol = PromptProtocol(NearestLearner(), {"Task": PromptTaskConfig(group="reviewer")}, PromptTaskConfig())
    columns = score_prompt_retrieval(task, angles(), TaskInstructions(), protocol).items.columns
    assert columns["group"].tolist() == [2, 3] and len(columns["value"]) == 2


def test_evaluate_takes_the_metric_from_the_configuration(cfg, task_folder, encoder) -> None:
    place = task_folder("TinyPrompts")
    for name in ("train", "eval"):
        rows = [{"id": row, "input": f"{name} {row}", "output": "这是海"} for row in range(6)]
        write_rows(next(place.glob(f"{name}.jsonl*")), rows)
    cfg.prompt_retrieval.metric = "rouge_l_unicode"
    (score,) = evaluate(cfg, encoder)
    assert score.main_score == 1.0
    result = json.loads((Path(cfg.output) / "results/TinyPrompts.json").read_text())
    assert result["one_embedder"]["protocol"]["metric"] == "rouge_l_unicode"


def test_expected_numbers_are_of_one_metric(cfg) -> None:
    published = circumstances(cfg, {}).settings
    cfg.prompt_retrieval.metric = "rouge_l_unicode"
    assert circumstances(cfg, {}).settings != published
