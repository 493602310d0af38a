"""The instruction table: which instruction each side of a task gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from one_embedder.config.compose import load_config
from one_embedder.errors import ConfigError
from one_embedder.evaluation.benchmarks import CATEGORIES
from one_embedder.evaluation.plan import Plan
from one_embedder.evaluation.task_instructions import InstructionTable, TaskInstructions
from tests.evaluation.conftest import write_rows

TABLE = {
    "SciFact": {"query": "ask: ", "document": "tell: "},
    "AskUbuntu": {"query": "post: ", "document": "other post: "},
    "STS12": {"text": "state: "},
}


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_empty_table_means_no_instruction_anywhere(category: str) -> None:
    assert InstructionTable("none", {}).for_task("Anything", category) == TaskInstructions("", "")


def test_two_sided_tasks_get_one_instruction_a_side_and_others_the_same_on_all_texts() -> None:
    table = InstructionTable("paper", TABLE)
    assert table.for_task("SciFact", "Retrieval") == TaskInstructions("ask: ", "tell: ")
    assert table.for_task("STS12", "STS") == TaskInstructions("state: ", "state: ")


def test_document_instructions_can_be_left_out_of_retrieval_only() -> None:
    table = InstructionTable("paper", TABLE, document_instructions=False)
    assert table.for_task("SciFact", "Retrieval") == TaskInstructions("ask: ", "")
    assert table.for_task("AskUbuntu", "Reranking") == TaskInstructions("post: ", "other post: ")
    assert table.for_task("STS12", "STS") == TaskInstructions("state: ", "state: ")


@pytest.mark.parametrize(("task", "category"), [("STS13", "STS"), ("SciFact", "STS"), ("STS12", "Retrieval")])
def test_a_task_or_side_that_the_table_lacks_is_an_error_and_not_silently_bare(task: str, category: str) -> None:
    with pytest.raises(ConfigError, match=f"'paper'.*{task}"):
        InstructionTable("paper", TABLE).for_task(task, category)


def test_a_task_is_found_under_its_name_then_as_mteb_spells_it_then_by_its_category() -> None:
    table = {"Banking77Classification": {"text": "bank: "}, "Classification": {"text": "any: "}}
    found = InstructionTable("mine", table)
    assert found.for_task("Banking77", "Classification").query == "bank: "
    assert found.for_task("Emotion", "Classification").query == "any: "
    own = InstructionTable("mine", {**table, "Banking77": {"text": "own: "}})
    assert own.for_task("Banking77", "Classification").query == "own: "
    with pytest.raises(ConfigError, match="Banking77"):
        found.for_task("Banking77", "Clustering")


def test_a_misspelled_entry_is_pointed_out() -> None:
    with pytest.raises(ConfigError, match=r"does not name Retrieval task SciFakt.*it names SciFact"):
        InstructionTable("paper", TABLE).for_task("SciFakt", "Retrieval")


@pytest.mark.parametrize("sides", [{"corpus": "tell: "}, {}])
def test_an_unknown_side_is_named(sides: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"instructions\.table\.SciFact"):
        InstructionTable("paper", {"SciFact": sides})


def test_the_table_none_is_empty(project_root) -> None:  # type: ignore[no-untyped-def]
    content = yaml.safe_load((project_root / "conf/instructions/none.yaml").read_text())
    assert content == {"name": "none", "table": {}}


def test_wrong_instructions_are_another_tasks_of_the_same_sides_and_differ_from_its_own() -> None:
    table = {**TABLE, "STS13": {"text": "state: "}, "TopicClustering": {"text": "group: "}}
    wrong = InstructionTable("paper", table, given="wrong")
    assert wrong.for_task("SciFact", "Retrieval") == TaskInstructions("post: ", "other post: ")
    assert wrong.for_task("STS12", "STS") == TaskInstructions("group: ", "group: "), "STS13 says the same as STS12"


def test_wrong_instructions_differ_at_the_level_of_detail_that_is_given() -> None:
    written = {
        "Pairs": "Represent the tweet for finding a paraphrase: ",
        "Queries": "Represent the tweet for retrieving replies: ",
        "Titles": "Represent the title for finding a paraphrase: ",
    }
    table = {task: {"text": instruction} for task, instruction in written.items()}
    wrong = InstructionTable("paper", table, given="wrong", detail="simple")
    assert wrong.for_task("Pairs", "PairClassification").query == "title; Input: "


def test_wrong_instructions_need_another_task() -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.instructions=wrong: table 'paper' has no other .* STS12's"):
        InstructionTable("paper", TABLE, given="wrong").for_task("STS12", "STS")


def test_shuffled_instructions_have_the_same_words_in_another_order_every_time_the_same() -> None:
    own = "Represent the question for retrieving documents: "
    table = InstructionTable("paper", {"SciFact": {"query": own, "document": "tell: "}}, given="shuffled")
    first = table.for_task("SciFact", "Retrieval")
    assert sorted(first.query.split()) == sorted(own.split())
    assert first.query.split() != own.split() and first.query.endswith(" ")
    assert first.document == "tell: ", "one word has one order"
    assert table.for_task("SciFact", "Retrieval") == first


def test_a_tag_is_the_name_of_the_task_whose_instruction_it_replaces() -> None:
    table = InstructionTable("paper", TABLE, detail="tag")
    assert table.for_task("SciFact", "Retrieval").query == "Sci Fact; Input: "
    wrong = InstructionTable("paper", TABLE, detail="tag", given="wrong")
    assert wrong.for_task("SciFact", "Retrieval").query == "Ask Ubuntu; Input: "


@pytest.mark.parametrize(
    ("beside", "chosen", "told"),
    [
        (None, ["instructions=generic", "+instructions.table.Nots.text='say: '"], "names Nots, which is no task here"),
        (None, ["instructions=generic", "+instructions.table.Notes.text='say: '"], ""),
        (None, ["instructions=none", "+instructions.table.Notes.text='say:'"], "without a space at their end"),
        (None, ["instructions=own"], "Notes get no instruction"),
        ('{"text": "say:"}', ["instructions=own"], "without a space at their end"),
        ('{"text": "say: "}', ["instructions=own"], ""),
        ('{"text": ""}', ["instructions=own"], ""),
    ],
)
def test_instructions_that_are_hardly_meant_so_are_told(
    beside: str | None, chosen: list[str], told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_rows(tmp_path / "eval/STS/Notes/test.jsonl", [{"sentence1": "a", "sentence2": "b", "score": 1}])
    if beside is not None:
        (tmp_path / "eval/STS/Notes/instructions.json").write_text(beside)
    Plan.of(load_config("evaluate", ["benchmark=folder", f"benchmark.root={tmp_path}", *chosen]))
    assert told in caplog.text and bool(told) == bool(caplog.text)
