"""Prompt retrieval: small cases that can be worked out by hand."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_embedder.config.compose import load_config
from one_embedder.config.schema import PromptTaskConfig
from one_embedder.errors import ConfigError, DataError, EvaluationError
from one_embedder.evaluation.prompt_retrieval.demonstrations import select, similarities
from one_embedder.evaluation.prompt_retrieval.examples import read_examples, template_fields
from one_embedder.evaluation.prompt_retrieval.learners import (
    Answers,
    Demonstration,
    InContextLearner,
    NearestLearner,
    Question,
    VoteLearner,
)
from one_embedder.evaluation.prompt_retrieval.prompts import build_prompt
from one_embedder.evaluation.prompt_retrieval.protocol import PromptProtocol
from one_embedder.evaluation.prompt_retrieval.score import score_answers, score_prompt_retrieval
from one_embedder.evaluation.results import OwnScore
from one_embedder.evaluation.run import evaluate
from one_embedder.evaluation.task_instructions import TaskInstructions
from one_embedder.evaluation.tasks.folder import TaskFolder
from tests.evaluation.angles import angles, folder

POOL = [
    {"id": i, "input": f"angle {a}", "output": o}
    for i, (a, o) in enumerate([(0, "east"), (90, "north"), (80, "north by east"), (180, "west")])
]


class Recorder(NearestLearner):
    """Keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def answer(self, questions: Sequence[Question], settings: PromptTaskConfig) -> Answers:
        self.asked += questions
        return super().answer(questions, settings)


def score(task: TaskFolder, learner: InContextLearner, *, selection: str = "similar", **fields: Any) -> OwnScore:
    protocol = PromptProtocol(learner, {"Task": PromptTaskConfig(**fields)}, PromptTaskConfig(), selection=selection)
    return score_prompt_retrieval(task, angles(), TaskInstructions(), protocol)


def test_the_most_similar_comes_last_and_the_input_itself_never() -> None:
    cosines = np.array([0.1, 1.0, 0.5, 0.5, -0.2], dtype=np.float32)
    assert select(cosines, {1}, PromptTaskConfig(max_demonstrations=3), [], 0).indices == [0, 3, 2]
    assert select(cosines, {1}, PromptTaskConfig(max_demonstrations=1), [], 0).indices == [2]


def test_a_demonstration_of_cosine_one_is_passed_over_only_where_asked() -> None:
    cosines = np.array([0.1, np.nextafter(np.float32(1), np.float32(0)), 0.5], dtype=np.float32)
    assert select(cosines, set(), PromptTaskConfig(max_demonstrations=1, skip_identical=True), [], 0).indices == [2]
    assert select(cosines, set(), PromptTaskConfig(max_demonstrations=1), [], 0).indices == [1]


def test_the_budget_holds_input_and_demonstrations_and_ends_at_the_first_that_does_not_fit() -> None:
    cosines, lengths = np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32), [30, 50, 40, 10]
    for limits, indices in (
        ({"token_budget": 130}, [2, 1, 0]),
        ({"token_budget": 129}, [1, 0]),
        ({"token_budget": 100, "tokens_per_demonstration": 45}, [3, 2, 0]),
        ({"token_budget": 100, "tokens_per_demonstration": 45, "max_demonstrations": 2}, [0]),  # of the best two
    ):
        assert select(cosines, set(), PromptTaskConfig(**limits), lengths, 10).indices == indices
    full = select(cosines, set(), PromptTaskConfig(token_budget=20), lengths, 10)
    assert full.indices == [] and full.candidates
    assert not select(cosines, {0, 1, 2, 3}, PromptTaskConfig(), lengths, 10).candidates


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), min_size=1, max_size=20), st.integers(1, 200))
def test_a_selection_keeps_its_budget_and_could_not_have_gone_on(rows: list[tuple[int, int]], budget: int) -> None:
    cosines, lengths = np.array([a / 10 for a, _ in rows], dtype=np.float32), [length for _, length in rows]
    chosen = select(cosines, set(), PromptTaskConfig(token_budget=budget), lengths, 5).indices
    used = 5 + sum(lengths[index] for index in chosen)
    assert not chosen or used <= budget
    assert [cosines[index] for index in chosen] == sorted(cosines[index] for index in chosen)
    left = [index for index in np.argsort(-cosines, kind="stable") if index not in chosen]
    assert not left or used + lengths[left[0]] > budget


def test_centring_moves_each_side_by_its_own_mean_or_only_the_pool() -> None:
    rng = np.random.default_rng(0)
    test, pool = (rng.normal(1, 1, (n, 4)).astype(np.float32) for n in (5, 9))
    test, pool = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (test, pool))

    def cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return left @ right.T / np.linalg.norm(left, axis=1)[:, None] / np.linalg.norm(right, axis=1)

    expected = {
        "none": test @ pool.T,
        "separate": cosine(test - test.mean(0), pool - pool.mean(0)),
        "pool": cosine(test, pool - pool.mean(0)),
    }
    for centring, cosines in expected.items():
        np.testing.assert_allclose(np.concatenate(list(similarities(test, pool, centring))), cosines, atol=1e-5)
    with pytest.raises(EvaluationError, match="centring=none"):
        list(similarities(test[:1], pool, "separate"))


def test_demonstrations_are_similar_ordered_and_at_most_as_many_as_asked(tmp_path: Path) -> None:
    task = folder(tmp_path, "PromptRetrieval", train=POOL, eval=[{"id": 0, "input": "angle 90", "output": "north"}])
    recorder = Recorder()
    score(task, recorder, max_demonstrations=2)
    assert [shown.output for shown in recorder.asked[0].demonstrations] == ["east", "north by east"]
    assert recorder.asked[0].demonstrations[-1].similarity == pytest.approx(np.cos(np.radians(10)), abs=1e-6)


def test_random_demonstrations_are_drawn_with_the_tasks_seed_and_are_never_the_input_itself(tmp_path: Path) -> None:
    tests = [{"id": i, "input": f"angle {i % 4 * 10}", "output": "x"} for i in range(400)]
    pool = [{"id": i, "input": f"angle {i * 10}", "output": str(i)} for i in range(5)]
    task = folder(tmp_path, "PromptRetrieval", train=pool, eval=tests)

    def shown(**fields: Any) -> list[tuple[str, ...]]:
        recorder = Recorder()
        scored = score(task, recorder, selection="random", max_demonstrations=2, **fields)
        assert scored.details["protocol"]["selection"] == "random"
        return [tuple(one.output for one in question.demonstrations) for question in recorder.asked]

    drawn = shown()
    assert drawn == shown(skip_identical=True) and drawn != shown(seed=1)
    of_the_first = Counter(output for row, outputs in enumerate(drawn) if row % 4 == 0 for output in outputs)
    assert set(of_the_first) == {"1", "2", "3", "4"}  # of the input angle 0, which is the pool's first
    assert min(of_the_first.values()) > 30  # of 50 expected each: 100 inputs, two of four demonstrations


def test_a_copied_output_is_scored_by_rouge_l_and_the_result_says_that_it_is_copied(tmp_path: Path) -> None:
    tests = [{"id": 0, "input": "angle 79", "output": "north"}, {"id": 1, "input": "angle 170", "output": "west"}]
    task = folder(tmp_path, "PromptRetrieval", train=POOL, eval=tests)
    scored = score(task, NearestLearner(), max_demonstrations=2)
    # "north by east" for "north": precision 1/3, recall 1, F = 1/2; "west" is right.
    assert scored.items.columns["value"].tolist() == [0.5, 1.0]
    assert scored.items.score() == 0.75
    assert scored.details["learner"] == {"name": "nearest", "budget_unit": "words"}
    assert scored.details["protocol"]["demonstrations_mean"] == 2


def test_copying_takes_the_nearest_and_voting_counts_similarities() -> None:
    def learn(learner: NearestLearner, *votes: tuple[str, float]) -> str:
        shown = tuple(Demonstration("x", output, similarity) for output, similarity in votes)
        return learner.answer([Question(shown, "x")], PromptTaskConfig()).outputs[0]

    assert learn(VoteLearner(), ("yes", 0.4), ("no", 0.9)) == "no"
    assert learn(VoteLearner(), ("yes", 0.5), ("yes", 0.6), ("no", 0.9)) == "yes"
    assert learn(VoteLearner(), ("yes", 0.9), ("no", 0.9)) == "no"
    assert learn(NearestLearner(), ("yes", 0.5), ("yes", 0.6), ("no", 0.9)) == "no"
    assert learn(NearestLearner()) == learn(VoteLearner()) == ""


def test_a_label_is_right_or_wrong_and_nothing_in_between() -> None:
    labelled = PromptTaskConfig(labels={"0": "not equivalent", "1": "equivalent"})
    expected, given_ = ["equivalent", "not equivalent"], ["not equivalent", "not equivalent"]
    assert score_answers(expected, given_, labelled, "rouge_l").tolist() == [0, 1]
    assert score_answers(expected, given_, PromptTaskConfig(), "rouge_l")[0] == pytest.approx(2 / 3)
    assert score_answers(["two cities"], ["two city"], PromptTaskConfig(stemmer=True), "rouge_l").tolist() == [1]


def test_an_input_that_differs_in_white_space_is_the_same_input(tmp_path: Path) -> None:
    pool = [{"input": " angle  45\n", "output": "the answer"}, {"input": "angle 50", "output": "another"}]
    task = folder(tmp_path, "PromptRetrieval", train=pool, eval=[{"input": "angle 45", "output": "the answer"}])
    recorder = Recorder()
    assert score(task, recorder, max_demonstrations=1).items.score() == 0
    assert [shown.output for shown in recorder.asked[0].demonstrations] == ["another"]


def test_the_formats_of_the_papers_sets_are_read_without_settings(tmp_path: Path) -> None:
    rows = [{"id": 0, "premise": "x", "hypothesis": "angle 5", "label": 0, "label_text": "True"}]
    task = folder(tmp_path, "PromptRetrieval", train=rows, eval=[{**rows[0], "hypothesis": "angle 6"}])
    recorder = Recorder()
    score(task, recorder)
    shown = recorder.asked[0].demonstrations[0]
    assert (shown.input, shown.output) == ("x\nangle 5", "True")


def test_templates_labels_and_prefixes_make_the_texts(tmp_path: Path) -> None:
    rows = [{"s": "Sentence: it is ", "q": f"angle {a}", "label": n, "ends": ["a", "b"]} for a, n in ((5, 0), (6, 1))]
    task = folder(tmp_path, "PromptRetrieval", train=rows, eval=rows[:1])
    read = read_examples(
        task,
        PromptTaskConfig(
            retrieval_text="{s} {q}",
            prompt="{s}? {ends[1]} {q}",
            output="{label}",
            remove_prefix={"s": "Sentence:"},
            labels={"0": "no", "1": "yes"},
        ),
    )
    assert [example.retrieval_text for example in read.pool] == ["it is angle 5", "it is angle 6"]
    assert read.pool[1].prompt == "it is? b angle 6" and read.pool[1].output == "yes"
    assert read.pool[1].options == ("no", "yes")
    assert template_fields("{a} {b[0]} {a} {{c}}") == ["a", "b"]


def test_draws_repeat_pythons_random_sample_the_pool_first(tmp_path: Path) -> None:
    train, test = ([{"input": f"{side} {i}", "output": "x"} for i in range(n)] for side, n in (("p", 40), ("e", 30)))
    task = folder(tmp_path, "PromptRetrieval", train=train, eval=test)
    read = read_examples(task, PromptTaskConfig(pool_size=10, eval_size=5))
    rng = random.Random(0)
    assert [example.prompt for example in read.pool] == [f"p {i}" for i in rng.sample(range(40), 10)]
    assert read.test_index == rng.sample(range(30), 5)
    assert read_examples(task, PromptTaskConfig(pool_size=10, eval_size=5, seed=1)).test_index != read.test_index
    assert read_examples(task, PromptTaskConfig(eval_size=30)).test_index == list(range(30))


def test_one_file_is_divided_so_that_no_test_input_is_in_the_pool(tmp_path: Path) -> None:
    task = folder(tmp_path, "PromptRetrieval", all=[{"input": f"angle {i}", "output": "x"} for i in range(30)])
    read = read_examples(task, PromptTaskConfig(pool_size=20, eval_size=6))
    assert (len(read.pool), len(read.test)) == (20, 6)
    assert not {example.prompt for example in read.pool} & {example.prompt for example in read.test}
    with pytest.raises(
        DataError, match=r"all\.jsonl: 30 rows are divided .*_retrieval\.tasks\.\w+\.eval_size to less than 30"
    ):
        read_examples(task, PromptTaskConfig(eval_size=30))


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        ({"keep": {"ok": "1"}}, "keep"),
        ({"group": "who", "groups": 2, "group_size": 5}, "group, groups, group_size"),
        ({"group_size": 5}, "group_size"),
    ],
)
def test_a_choice_among_eval_rows_is_refused_of_one_file(choice: dict[str, Any], named: str, tmp_path: Path) -> None:
    rows = [{"input": f"angle {i}", "output": "x", "ok": i % 2, "who": f"p{i % 4}"} for i in range(30)]
    task = folder(tmp_path, "PromptRetrieval", all=rows)
    with pytest.raises(DataError, match=rf"all\.jsonl: prompt_retrieval\.tasks\.\w+ sets {named}, which"):
        read_examples(task, PromptTaskConfig(eval_size=6, **choice))


def test_only_kept_rows_count_and_a_rule_that_cannot_apply_is_noted(tmp_path: Path) -> None:
    rows = [{"text": f"angle {i}", "label_text": "No", "identity_any": i % 2, "label": i % 3} for i in range(12)]
    rule = PromptTaskConfig(keep={"identity_any": "1", "label": "1"})
    read = read_examples(folder(tmp_path, "PromptRetrieval", train=rows, eval=rows), rule)
    assert read.test_index == [1, 7] and not read.notes
    bare = [{key: row[key] for key in ("text", "label_text")} for row in rows]
    read = read_examples(folder(tmp_path, "PromptRetrieval", train=rows, eval=bare), rule)
    assert len(read.test) == 12 and "no field 'identity_any', 'label'" in read.notes[0]
    with pytest.raises(DataError, match="no row has"):
        read_examples(folder(tmp_path, "PromptRetrieval", train=rows, eval=rows), PromptTaskConfig(keep={"label": "9"}))


def test_the_score_of_groups_is_that_of_the_group_at_the_tenth_percentile(tmp_path: Path) -> None:
    rows = [
        {"input": f"angle {i}", "output": "x" if i % 30 < group else "y", "reviewer": f"r{group}"}
        for group in range(30)
        for i in range(group * 30, group * 30 + 30)
    ]
    task = folder(tmp_path, "PromptRetrieval", train=[{"input": "angle 0.5", "output": "x"}], eval=rows)
    scored = score(task, NearestLearner(), group="reviewer", groups=20, group_size=30)
    shares = [values.mean() for values in scored.items.columns["value"].reshape(20, 30)]
    assert len(set(shares)) == 20
    assert scored.items.score() == pytest.approx(sorted(shares)[2])


def test_a_pool_of_the_input_alone_and_unusable_rows_are_errors(tmp_path: Path) -> None:
    task = folder(tmp_path, "PromptRetrieval", train=POOL[:1], eval=POOL[:1])
    with pytest.raises(DataError, match=r"eval\.jsonl, row 1: the pool holds nothing but"):
        score(task, NearestLearner())
    task = folder(tmp_path, "PromptRetrieval", train=[{"sentence": "x", "label": "No."}], eval=POOL)
    with pytest.raises(DataError, match=r"train\.jsonl: fields \['label', 'sentence'\] fit none"):
        score(task, NearestLearner())
    worded = {"retrieval_text": "{input}", "prompt": "{input}", "output": "{output}"}
    task = folder(tmp_path, "PromptRetrieval", train=POOL, eval=[POOL[0], {"input": 1.5, "output": "east"}])
    with pytest.raises(DataError, match=r"eval\.jsonl, row 2: field 'input' is 1\.5 \(float\), not a string"):
        score(task, NearestLearner(), **worded)
    with pytest.raises(DataError, match=r"train\.jsonl, row 1: label 'east' is none of \['left'\]"):
        score(task, NearestLearner(), **worded, labels={"left": "left"})
    with pytest.raises(DataError, match=r"train\.jsonl, row 1: field 'title' is missing"):
        score(task, NearestLearner(), **{**worded, "prompt": "{title}"})


def test_a_prompt_drops_whole_demonstrations_before_any_of_the_test_input() -> None:
    question = Question((Demonstration("aa", "b", 0.1), Demonstration("cc", "d", 0.2)), "eeee")

    def tokens(room: int | None) -> tuple[str, int, int]:
        made = build_prompt(
            question, lambda text: [*map(ord, text)], between="|", before_output=":", room=room, lead=[ord("^")]
        )
        return "".join(map(chr, made.tokens)), made.dropped, made.cut

    assert tokens(None) == tokens(15) == ("^aa:b|cc:d|eeee", 0, 0)
    assert tokens(14) == tokens(10) == ("^cc:d|eeee", 1, 0)
    assert tokens(9) == tokens(5) == ("^eeee", 2, 0)
    assert tokens(3) == ("^ee", 2, 2)


def test_a_result_depends_on_the_learner_and_the_settings_of_its_task(cfg, task_folder, encoder) -> None:
    task_folder("TinyPrompts")

    def scored_again() -> bool:
        encoder.calls.clear()
        evaluate(cfg, encoder)
        return bool(encoder.calls)

    assert scored_again() and not scored_again()
    ours = json.loads((Path(cfg.output) / "results/TinyPrompts.json").read_text())["one_embedder"]
    assert ours["learner"]["name"] == "nearest" and ours["interval"]["low"] <= ours["main_score"]
    cfg.prompt_retrieval.learner = "vote"
    assert scored_again()
    cfg.prompt_retrieval.centring = "pool"
    assert scored_again()
    cfg.prompt_retrieval.tasks = {"Other": PromptTaskConfig(token_budget=5)}
    assert not scored_again()
    cfg.prompt_retrieval.tasks = {"TinyPrompts": PromptTaskConfig(max_demonstrations=1)}
    cfg.evaluation.demonstrations = 7
    cfg.prompt_retrieval.centring = None
    cfg.prompt_retrieval.learner = "nearest"
    assert scored_again() and not scored_again()
    cfg.prompt_retrieval.metric = "rouge_l_unicode"
    assert scored_again() and not scored_again()
    cfg.prompt_retrieval.selection = "random"
    assert not scored_again()  # nothing is embedded
    again = json.loads((Path(cfg.output) / "results/TinyPrompts.json").read_text())["one_embedder"]
    assert again["protocol"]["selection"] == again["identity"]["prompt_retrieval"]["selection"] == "random"


def test_the_papers_eleven_tasks_and_mnli_are_configured_with_their_budgets() -> None:
    tasks = load_config("evaluate").prompt_retrieval.tasks
    assert len(tasks) == 12 and {"amazon", "coda19_title_generation", "hellaswag", "multiwoz"} < set(tasks)
    budgets = {name: task.token_budget for name, task in tasks.items()}
    assert budgets.pop("coda19_title_generation") == 1900
    assert budgets.pop("geoquery") == budgets.pop("multiwoz") == 3800
    assert set(budgets.values()) == {1000}
    assert (tasks["amazon"].groups, tasks["amazon"].group_size, tasks["amazon"].max_demonstrations) == (20, 50, 2)
    assert tasks["civil_comments"].keep and tasks["civil_comments"].max_demonstrations == 2
    assert {name for name, task in tasks.items() if not task.labels and not task.options} == {
        "coda19_title_generation",
        "geoquery",
        "multiwoz",
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("prompt_retrieval.learner=nearst", "did you mean 'nearest'|nearest"),
        ("prompt_retrieval.centring=both", r"prompt_retrieval\.centring='both' must be"),
        ("prompt_retrieval.metric=rouge", r"prompt_retrieval\.metric='rouge' must be one of rouge_l, rouge_l_unicode"),
        ("prompt_retrieval.tasks.rte.centring=both", r"tasks\.rte\.centring='both' must be"),
        ("prompt_retrieval.tasks.rte.token_budget=0", r"tasks\.rte\.token_budget=0 must be at least 1"),
        ("prompt_retrieval.tasks.rte.prompt=null", r"tasks\.rte: write all of retrieval_text, prompt and output"),
        ("+prompt_retrieval.tasks.rte.options=x", r"tasks\.rte: labels and options exclude each other"),
        ("+prompt_retrieval.tasks.rte.groups=3", r"tasks\.rte: groups and group_size need group"),
        ("+prompt_retrieval.tasks.rte.budget=3", "budget"),
    ],
)
def test_a_wrong_setting_is_refused_and_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config("evaluate", [override])


CONFIGURED = load_config("evaluate").prompt_retrieval.tasks


def row_for(task: PromptTaskConfig, number: int) -> dict[str, Any]:
    """A row with exactly the fields that the task's settings name."""
    templates = (task.retrieval_text, task.prompt, task.output)
    row: dict[str, Any] = {
        field: f"{field} {number}" for template in templates for field in template_fields(template or "")
    }
    if task.options is not None:
        row[task.options] = [f"ending {number} {i}" for i in range(4)]
    if task.labels:
        (field,) = template_fields(task.output or "")
        row[field] = list(task.labels)[number % len(task.labels)]
    if task.group is not None:
        row[task.group] = number % 25
    return {**row, **task.keep}


@pytest.mark.parametrize("name", sorted(CONFIGURED))
def test_every_configured_task_reads_rows_of_the_fields_that_it_names(name: str, tmp_path: Path) -> None:
    task = CONFIGURED[name]
    train, test = ([row_for(task, number) for number in range(first, first + 3010)] for first in (0, 5000))
    read = read_examples(folder(tmp_path, "PromptRetrieval", train=train, eval=test), task)
    assert len(read.pool) == (3000 if task.pool_size else 3010) and not read.notes
    assert len(read.test) == (1000 if name == "amazon" else 256)
    assert (read.groups is not None) == (name == "amazon")
    assert all(example.options is None or len(example.options) >= 2 for example in read.test)
    words = set(task.labels.values())
    assert all(example.output in words for example in [*read.pool, *read.test]) if words else read.pool[0].output


def test_the_benchmark_of_eleven_names_configured_tasks_and_the_one_of_three_is_there() -> None:
    eleven = load_config("evaluate", ["benchmark=prompt_retrieval_11"]).benchmark.folders
    assert {*eleven, "mnli"} == set(CONFIGURED) and len(eleven) == 11
    assert len(load_config("evaluate", ["benchmark=text_evaluation_3"]).benchmark.folders) == 3


@pytest.mark.parametrize("task", ["geoquery", "multirc_answerability", "mrpc"])
def test_the_papers_files_are_read_by_their_settings(shared: Path, task: str) -> None:
    path = shared / "data/prompt_retrieval" / task
    if not path.is_dir():
        pytest.skip(f"no {path}")
    settings = CONFIGURED[task]
    read = read_examples(TaskFolder(task, "PromptRetrieval", path), settings)
    assert len(read.test) == 256 and len(read.pool) >= 391 and not read.notes
