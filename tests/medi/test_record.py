from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from one_embedder.errors import DataError
from one_embedder.medi.row import MediRow, from_released, to_released, validate_row

ROW = MediRow(
    task_id=1,
    task_name="nq",
    query=("Represent the question;", "who sang it"),
    positive=("", "She did."),
    negative=("Represent the document;", "Nobody."),
)
RELEASED: dict[str, Any] = {
    "query": ["Represent the question;", "who sang it"],
    "pos": ["", "She did."],
    "neg": ["Represent the document;", "Nobody."],
    "task_id": 1,
}


def test_released_form_and_back_keeps_every_value() -> None:
    assert from_released({**RELEASED, "task_name": "nq"}, "here") == ROW
    assert to_released(ROW) == {**RELEASED, "task_name": "nq"}


def test_several_negatives_are_a_list_of_pairs_and_a_list_of_one_pair_is_one() -> None:
    pairs = [RELEASED["neg"], ["", "Perhaps."], ["Represent the document;", "Everybody."]]
    row = from_released({**RELEASED, "neg": pairs}, "here")
    assert row.negatives == tuple(map(tuple, pairs)) and row.negative == ROW.negative
    assert to_released(row)["neg"] == pairs
    assert from_released({**RELEASED, "neg": pairs[:1]}, "here") == from_released(RELEASED, "here")


def test_classes_are_read_and_written_only_where_there_are_any() -> None:
    row = from_released({**RELEASED, "label": "song", "neg_label": "person"}, "here")
    assert (row.label, row.negative_label) == ("song", "person")
    assert to_released(row) == {**RELEASED, "task_name": "task_1", "label": "song", "neg_label": "person"}


def test_the_classes_of_several_negatives_are_a_list() -> None:
    released = {**RELEASED, "task_name": "nq", "neg": [["", "x"], ["", "y"]], "label": "a", "neg_label": ["b", "c"]}
    row = from_released(released, "here")
    assert row.negative_labels == ("b", "c")
    assert to_released(row) == released
    assert from_released({**released, "neg_label": "b"}, "here").negative_labels == ("b", None)
    assert from_released({**RELEASED, "neg_label": ["b"]}, "here").negative_labels == ("b",)


def test_a_released_row_without_a_name_is_named_after_its_number() -> None:
    assert from_released(RELEASED, "here").task_name == "task_1"


def test_an_empty_instruction_is_allowed() -> None:
    assert validate_row(ROW, "here") is ROW


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"query": ["only one"]}, "query"),
        ({"pos": ["instruction", "text", 0]}, "pos"),
        ({"neg": "text"}, "neg"),
        ({"query": ["instruction", None]}, "query"),
        ({"query": [3, "text"]}, "query"),
        ({"pos": ["instruction", "  "]}, "pos"),
        ({"neg": ["instruction", ""]}, "neg"),
        ({"neg": []}, "neg"),
        ({"label": 3}, "label"),
        ({"neg": [["instruction", "text"], ["only one"]]}, "neg 2"),
        ({"neg": [["instruction", "text"], ["instruction", ""]]}, "neg 2"),
        ({"neg": [["instruction", "text"], "text"]}, "neg"),
        ({"neg_label": ["b", "c"]}, "neg_label: 2 classes for 1 hard negatives"),
        ({"neg_label": ["b", 3]}, "neg_label"),
        ({"neg_label": [None, "c"]}, "neg_label"),
        ({"task_id": "1"}, "task_id"),
        ({"task_id": True}, "task_id"),
        ({"task_id": -1}, "task_id"),
        ({"task_name": ""}, "task_name"),
    ],
)
def test_a_bad_value_names_the_row_and_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError, match=rf"file\.json row 7.*{field}"):
        from_released({**RELEASED, **change}, "file.json row 7")


@pytest.mark.parametrize("key", ["query", "pos", "neg", "task_id"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(DataError, match=f"row 7: the key '{key}' is missing"):
        from_released({name: value for name, value in RELEASED.items() if name != key}, "row 7")


def test_something_that_is_no_object_is_refused() -> None:
    with pytest.raises(DataError, match="row 7: expected an object"):
        from_released(["query"], "row 7")


def test_a_long_bad_value_is_shown_in_part() -> None:
    with pytest.raises(DataError) as caught:
        validate_row(replace(ROW, query=("x" * 500,)), "here")  # type: ignore[arg-type]
    assert len(str(caught.value)) < 250
