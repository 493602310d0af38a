"""What is no text is told by file, row and field, and in the same words, wherever texts come in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_embedder.config.schema import PromptTaskConfig
from one_embedder.embedding.inputs import pair_up
from one_embedder.embedding.records import RecordFile
from one_embedder.errors import DataError
from one_embedder.evaluation.prompt_retrieval.examples import read_examples
from one_embedder.evaluation.tasks.folder import TaskFolder
from one_embedder.evaluation.tasks.folder_mteb import TASKS
from one_embedder.files.json_lines import decoded
from one_embedder.files.text import fault, shown
from one_embedder.medi.row import from_released

NO_TEXTS = {
    "NaN": "is nan (float), not a string",
    "-Infinity": "is -inf (float), not a string",
    "3": "is 3 (int), not a string",
    "2.5": "is 2.5 (float), not a string",
    "true": "is True (bool), not a string",
    '["a"]': "is ['a'] (list), not a string",
    '{"a": 1}': "is {'a': 1} (dict), not a string",
    '"a\\ud800"': r"holds half a character (a lone surrogate), 'a\ud800'",
    "9" * 5000: "is a number of 5000 digits, not a string",
    "9" * 100: f"is {'9' * 60} (int), not a string",
}
"""As they stand in a file, and what is said of them."""


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def of_medi(folder: Path, value: str) -> tuple[Callable[[], object], str]:
    row = f'{{"query": ["i", "t"], "pos": ["i", {value}], "neg": ["i", "t"], "task_id": 1}}'
    return lambda: from_released(decoded(row.encode()), "a.jsonl row 2"), "a.jsonl row 2, field pos: the text"


def of_a_file_to_encode(folder: Path, value: str) -> tuple[Callable[[], object], str]:
    write(folder / "texts.jsonl", '{"text": "a"}', f'{{"text": {value}}}')
    return lambda: list(RecordFile(folder / "texts.jsonl")), "texts.jsonl, line 2: field 'text'"


def of_instructions_to_encode(folder: Path, value: str) -> tuple[Callable[[], object], str]:
    write(folder / "texts.jsonl", '{"text": "a", "how": "b"}', f'{{"text": "a", "how": {value}}}')
    return (
        lambda: list(RecordFile(folder / "texts.jsonl", instruction_field="how")),
        "texts.jsonl, line 2: field 'how'",
    )


def of_a_call(folder: Path, value: str) -> tuple[Callable[[], object], str]:
    return lambda: pair_up(["a", decoded(value.encode())], None), "sentences[1]"


def of_prompts(folder: Path, value: str) -> tuple[Callable[[], object], str]:
    write(folder / "train.jsonl", '{"input": "a", "output": "b"}')
    write(folder / "eval.jsonl", '{"input": "a", "output": "b"}', f'{{"input": "a", "output": {value}}}')
    task = TaskFolder("T", "PromptRetrieval", folder)
    return lambda: read_examples(task, PromptTaskConfig()), "eval.jsonl, row 2: field 'output'"


def of_a_task(category: str, file: str, field: str, **others: str) -> Callable[[Path, str], tuple[Callable, str]]:
    """Of one field of one file of a task, whose second row has it; the other fields hold that row's number."""

    def side(folder: Path, value: str) -> tuple[Callable[[], object], str]:
        if category == "Retrieval":
            for name in ("corpus", "queries"):
                write(folder / f"{name}.jsonl", '{"_id": 0, "text": "a"}')
            write(folder / "qrels_test.jsonl", '{"query-id": 0, "corpus-id": "0", "score": 1}')
        rows = [{name: json.loads(kind.replace("#", str(row))) for name, kind in others.items()} for row in (0, 1)]
        second = json.dumps(rows[1]).removesuffix("}") + f', "{field}": {value}}}'
        write(folder / f"{file}.jsonl", json.dumps({**rows[0], field: "a"}), second)
        task = TASKS[category](TaskFolder("T", category, folder))
        return task.load_data, f"{file}.jsonl, row 2: field '{field}'"

    return side


SIDES = {
    "MEDI": of_medi,
    "encode, a call": of_a_call,
    "encode, a file": of_a_file_to_encode,
    "encode, instructions": of_instructions_to_encode,
    "prompt retrieval": of_prompts,
    "corpus": of_a_task("Retrieval", "corpus", "text", _id="#", title='"a"'),
    "title": of_a_task("Retrieval", "corpus", "title", _id="#", text='"a"'),
    "query": of_a_task("Retrieval", "queries", "text", _id="#"),
    "candidates": of_a_task("Reranking", "test", "query", id="#", positive='["a"]', negative='["a"]'),
    "clustering": of_a_task("Clustering", "test", "text", label="#"),
    "pairs": of_a_task("PairClassification", "test", "sent2", label="#", sent1='"a"'),
    "grades": of_a_task("STS", "test", "sentence2", score="#", sentence1='"a"'),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("value", NO_TEXTS, ids=lambda value: value[:12])
def test_what_is_no_text_is_named_alike_on_every_side(tmp_path: Path, side: str, value: str) -> None:
    read, place = SIDES[side](tmp_path, value)
    with pytest.raises(DataError, match=re.escape(f"{place} {NO_TEXTS[value]}")):
        read()


@pytest.mark.parametrize("side", SIDES)
def test_null_is_no_text_on_any_side_but_for_a_title_that_may_be_left_out(tmp_path: Path, side: str) -> None:
    read, place = SIDES[side](tmp_path, "null")
    if side == "title":
        read()
        return
    with pytest.raises(DataError, match=re.escape(place) + " is (null|None)"):
        read()


@given(st.one_of(st.text(), st.none(), st.integers(), st.floats(), st.booleans(), st.binary(), st.lists(st.text())))
def test_a_text_is_a_string_that_utf8_can_hold_and_nothing_else(value: object) -> None:
    assert (fault(value) is None) == (isinstance(value, str) and value.encode("utf-8", "replace").decode() == value)


def test_a_number_that_python_does_not_write_is_shown_all_the_same() -> None:
    assert shown(10**5000) == "a number too long to be written (int)"
    with pytest.raises(DataError, match=r"sentences\[1\] is a number too long to be written \(int\), not a string"):
        pair_up(["a", 10**5000], None)
    assert decoded(b'{"a": 12, "b": -5}') == {"a": 12, "b": -5}
