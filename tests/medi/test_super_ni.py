"""Super-NaturalInstructions, in both layouts, becomes training data by the rules that are written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.embedding import embedder as embedder_module
from one_embedder.errors import ConfigError, DataError
from one_embedder.medi.build import build
from one_embedder.medi.mining.candidates import LabelTask, OutputTask, PairTask, TripleTask
from one_embedder.medi.sources.pairs import read_pairs, untokenized
from one_embedder.medi.sources.super_ni.instructions import instruction_of
from one_embedder.medi.sources.super_ni.tasks import SuperNiTask, candidate_task, is_classification, read_tasks
from one_embedder.medi.store import load_medi
from tests.composed import composed
from tests.medi.test_build import HashEmbedder
from tests.medi.toy import compact_super_ni, described, sentiment, stories, write_rows


@pytest.fixture
def compact(tmp_path: Path) -> Path:
    return compact_super_ni(tmp_path / "compact")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "tasks").mkdir(parents=True)
    mood = described("Sentiment Analysis", "Reviews -> Movies", **{"Instance License": ["CC BY 4.0"]})
    english = {"Input_language": ["English"], "Output_language": ["English"]}
    contents = {
        "task1_story": {**described("Story Composition", "Story"), **english, "Instances": stories()},
        "task2_mood": {**mood, **english, "Instances": sentiment()},
        "task4_french": {**described("Paraphrasing", "News"), **english, "Instances": stories()},
        "task5_test": {**described("Paraphrasing", "News"), **english, "Instances": stories()},
    }  # fmt: skip
    contents["task4_french"]["Input_language"] = ["French"]
    for name, content in contents.items():
        (root / "tasks" / f"{name}.json").write_text(json.dumps(content))
    (root / "splits" / "default").mkdir(parents=True)
    (root / "splits" / "default" / "train_tasks.txt").write_text("task2_mood\ntask1_story\ntask4_french\n")
    return root


def test_both_layouts_give_the_same_tasks_without_held_out_and_foreign_ones(compact: Path, checkout: Path) -> None:
    tasks = list(read_tasks(compact, 100))
    assert [task.name for task in tasks] == ["task1_story", "task2_mood"]
    assert [task.licence for task in tasks] == ["not stated", "CC BY 4.0"]
    assert tasks == list(read_tasks(checkout, 100))


def test_large_tasks_are_drawn_from_in_the_same_way_each_time(compact: Path) -> None:
    whole, drawn, again = (next(read_tasks(compact, limit)).instances for limit in (100, 9, 9))
    assert len(drawn) == 9
    assert drawn == again
    assert set(drawn) < set(whole)
    assert drawn != whole[:9]


def test_a_folder_of_neither_layout_is_refused_with_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"splits/default/train_tasks\.txt.*tasks\.jsonl\.gz.*medi\.root"):
        read_tasks(tmp_path, 10)


def test_a_listed_task_without_its_file_is_named(checkout: Path) -> None:
    (checkout / "tasks" / "task2_mood.json").unlink()
    with pytest.raises(DataError, match=r"task2_mood\.json: the file is missing"):
        list(read_tasks(checkout, 10))


@pytest.mark.parametrize(
    ("instance", "why"),
    [
        ({"output": ["x"]}, r"field input is None \(NoneType\), not a string"),
        ({"input": "a", "output": [3]}, r"field output is 3 \(int\), not a string"),
        ({"input": "a\ud800", "output": ["x"]}, "field input holds half a character"),
    ],
)
def test_a_broken_instance_is_named(compact: Path, instance: dict[str, Any], why: str) -> None:
    write_rows(compact / "train_ext" / "task1_story.jsonl.gz", [*stories(3), instance])
    with pytest.raises(DataError, match=rf"task1_story\.jsonl\.gz, instance 4: {why}"):
        list(read_tasks(compact, 10))


@pytest.mark.parametrize(
    ("labels", "texts", "expected"), [(2, 10, True), (2, 9, False), (20, 100, True), (21, 400, False)]
)
def test_few_outputs_of_many_inputs_each_are_labels(labels: int, texts: int, expected: bool) -> None:
    instances = tuple((f"text {i}", str(i % labels)) for i in range(texts))
    assert is_classification(SuperNiTask("t", "c", "d", instances)) is expected


@pytest.mark.parametrize(
    ("domain", "category", "expected"),
    [
        ("Reviews -> Movies", "Sentiment Analysis", "Represent the movie text for sentiment classification: "),
        ("Dialogue", "Speaker Identification", "Represent the dialogue for speaker identification: "),
        ("Social Media -> Twitter", "Irony Detection", "Represent the Twitter tweet for irony detection: "),
        ("Miscellaneous", "Question Answering", "Represent the question for question answering: "),
        ("Law", "Something New", "Represent the law text for something new: "),
        ("", "Word Semantics", "Represent the word for word semantics: "),
    ],
)
def test_instruction_rule(domain: str, category: str, expected: str) -> None:
    assert instruction_of(SuperNiTask("t", category, domain, ()), {}).render() == expected


def test_a_written_instruction_comes_before_the_rule() -> None:
    task = SuperNiTask("t", "Sentiment Analysis", "Reviews", ())
    written = {"t": {"text_type": "tweet", "objective": "emotion classification"}}
    assert instruction_of(task, written).render() == "Represent the tweet for emotion classification: "
    with pytest.raises(ConfigError, match=r"medi\.instructions\.t: .*text_type"):
        instruction_of(task, {"t": {"kind": "tweet"}})


def test_each_kind_of_task_is_mined_by_its_own_rule(compact: Path) -> None:
    story, mood = read_tasks(compact, 100)
    instruction = instruction_of(story, {})
    assert isinstance(candidate_task(mood, instruction, "inputs"), LabelTask)
    assert isinstance(candidate_task(story, instruction, "inputs"), OutputTask)
    pairs = candidate_task(story, instruction, "outputs")
    assert isinstance(pairs, PairTask)
    assert pairs.pairs[0][:2] == story.instances[0]


def test_natural_language_inference_becomes_triples_and_sentence_pairs_become_pairs(tmp_path: Path) -> None:
    nli = [
        {"premise": "A man is n't here .", "hypothesis": "Nobody .", "label": "entailment"},
        {"premise": "A man is n't here .", "hypothesis": "A dog .", "label": "neutral"},
    ]
    write_rows(tmp_path / "snli_dev.jsonl.gz", nli)
    contradiction = {"premise": "A man is n't here .", "hypothesis": "A man .", "label": "contradiction"}
    write_rows(tmp_path / "snli_test.jsonl.gz", [contradiction])
    same = {"sentence1": "Same .", "sentence2": "Same ."}
    write_rows(tmp_path / "wiki_pairs.jsonl.gz", [{"sentence1": "One .", "sentence2": "Two ."}, same])
    snli, wiki = read_pairs(tmp_path, 10, {})
    assert isinstance(snli, TripleTask)
    assert (snli.name, snli.triples) == ("snli", (("A man isn't here.", "Nobody.", "A man."),))
    assert isinstance(wiki, PairTask)
    assert (wiki.name, wiki.pairs) == ("wiki", (("One.", "Two.", "One."),))


def test_rows_that_are_no_pairs_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "odd.jsonl.gz", [{"question": "?"}])
    with pytest.raises(DataError, match=r"odd\.jsonl\.gz, row 1: the fields \['question'\] are neither"):
        read_pairs(tmp_path, 10, {})


def test_treebank_spacing_is_undone() -> None:
    assert untokenized("He did n't , -LRB- they said -RRB- , go !") == "He didn't, (they said), go!"


@pytest.fixture
def cfg(compact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(embedder_module, "InstructionEmbedder", HashEmbedder)
    HashEmbedder.calls = 0
    return composed(
        "build_medi",
        ["medi=super_ni", f"medi.root={compact}", f"output={tmp_path / 'out'}", "medi.min_rows_per_task=10"],
    )


def test_build_gives_rows_of_every_task_once_and_the_same_again(cfg: Config, tmp_path: Path) -> None:
    medi = load_medi(build(cfg) / "medi")
    assert sorted(medi.task_names.values()) == ["task1_story", "task2_mood"]
    calls = HashEmbedder.calls
    cfg.encoder.max_length = 17  # mining has its own
    build(cfg)
    assert calls == HashEmbedder.calls
    cfg.output = str(tmp_path / "again")
    assert load_medi(build(cfg) / "medi").sha256 == medi.sha256
    report = (tmp_path / "out" / "report.md").read_text()
    assert "| task2_mood |" in report and "| CC BY 4.0 | 1 | task2_mood |" in report


def test_texts_of_a_benchmark_are_dropped(cfg: Config, tmp_path: Path) -> None:
    whole = len(load_medi(build(cfg) / "medi").dataset)
    seen = sentiment()[0]["input"]
    write_rows(tmp_path / "tasks" / "eval" / "Classification" / "Toy" / "test.jsonl.gz", [{"text": seen, "label": 1}])
    cfg.medi.leakage, cfg.output = str(tmp_path / "tasks"), str(tmp_path / "without")
    rows = load_medi(build(cfg) / "medi").dataset
    assert len(rows) < whole
    assert seen not in {*rows["query_text"], *rows["pos_text"], *rows["neg_text"]}


@pytest.mark.parametrize("source", ["super_ni", "full"])
def test_an_instruction_that_the_user_changed_replaces_no_data(cfg: Config, source: str) -> None:
    if source == "full":  # the tasks of medi.root alone
        cfg.medi.source, cfg.medi.hub, cfg.medi.datasets = "full", composed("build_medi", ["medi=full"]).medi.hub, []
    folder = build(cfg)
    sha256 = load_medi(folder / "medi").sha256
    written, read = cfg.medi.instructions, cfg.medi.instances_per_task
    cfg.medi.instructions = {**written, "task2_mood": {"text_type": "remark"}}
    with pytest.raises(ConfigError, match=r"medi\.instructions\.task2_mood\.text_type was None and is 'remark'"):
        build(cfg)
    assert load_medi(folder / "medi").sha256 == sha256
    cfg.medi.instructions, cfg.medi.instances_per_task = written, 30
    with pytest.raises(ConfigError, match=rf"medi\.instances_per_task was {read} and is 30"):
        build(cfg)


def test_the_root_has_to_be_given(cfg: Config) -> None:
    cfg.medi.root = None
    with pytest.raises(ConfigError, match=r"medi\.root"):
        build(cfg)


REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "superni"


@pytest.mark.skipif(not REAL.is_dir(), reason="the reference copy of Super-NaturalInstructions is not here")
def test_all_three_hundred_real_tasks_have_an_instruction_of_the_template() -> None:
    written = load_config("build_medi", ["medi=super_ni"]).medi.instructions
    tasks = list(read_tasks(REAL, 50))
    assert len(tasks) == 300
    assert {*written} <= {task.name for task in tasks}
    assert len({instruction_of(task, written).render() for task in tasks}) > 100
