"""The instruction table: which instruction each side of a task gets."""

from __future__ import annotations

import pytest
import yaml

from one_embedder.errors import ConfigError
from one_embedder.evaluation.benchmarks import CATEGORIES
from one_embedder.evaluation.instructions import InstructionTable, TaskInstructions

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
