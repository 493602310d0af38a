from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from one_embedder.errors import DataError
from one_embedder.medi.batches.collate import NO_CLASS, ContrastiveCollator
from one_embedder.medi.row import LABEL_KEYS
from one_embedder.medi.store import FURTHER_COLUMNS, FURTHER_LABELS, load_medi, write_medi
from tests.medi.toy import INSTRUCTION, instruction_tokenizer, toy_rows

# What an item of the data has beside its three texts, where it has one hard negative and no classes.
NOTHING_FURTHER: list[str] = []
ONE_NEGATIVE = {
    **dict.fromkeys((*FURTHER_COLUMNS, FURTHER_LABELS), NOTHING_FURTHER),
    **dict.fromkeys(LABEL_KEYS.values()),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder: Path = tmp_path_factory.mktemp("collate") / "medi"
    write_medi(toy_rows({4: 5, 8: 2}), folder, about={})
    return load_medi(folder).dataset


def test_each_side_is_what_the_tokenizer_makes_of_it(dataset: Dataset) -> None:
    rows: list[dict[str, Any]] = dataset.__getitems__([0, 2, 4])
    tokenizer = instruction_tokenizer()
    batch = ContrastiveCollator(tokenizer, with_instructions=True)(rows)
    for side, key in ((batch.query, "query"), (batch.positive, "pos"), (batch.negative, "neg")):
        expected = tokenizer([INSTRUCTION] * 3, [row[f"{key}_text"] for row in rows])
        assert torch.equal(side.input_ids, expected.input_ids)
        assert torch.equal(side.pooling_mask, expected.pooling_mask)
    assert (batch.task_id, len(batch)) == (4, 3)
    sides = (batch.query, batch.positive, batch.negative)
    assert batch.tokens == sum(int(side.attention_mask.sum()) for side in sides)


def test_each_side_is_padded_to_its_own_longest_text(dataset: Dataset) -> None:
    batch = ContrastiveCollator(instruction_tokenizer(), with_instructions=True)(dataset.__getitems__([0, 1, 2, 3, 4]))
    lengths = set()
    for side in (batch.query, batch.positive, batch.negative):
        assert side.attention_mask[:, -1].any()
        lengths.add(side.input_ids.shape[1])
    assert len(lengths) > 1


def test_without_instructions_only_the_texts_are_read(dataset: Dataset) -> None:
    rows = dataset.__getitems__([0, 1])
    batch = ContrastiveCollator(instruction_tokenizer(), with_instructions=False)(rows)
    assert int(batch.query.attention_mask.sum()) == sum(len(row["query_text"].split()) + 1 for row in rows)
    assert torch.equal(batch.query.attention_mask, batch.query.pooling_mask)


def test_a_text_longer_than_the_maximum_loses_its_end_and_keeps_the_end_token() -> None:
    text = " ".join(["q0_0"] * 100)
    row = {"task_id": 1, **ONE_NEGATIVE, **{f"{k}_instruction": INSTRUCTION for k in ("query", "pos", "neg")}}
    row |= {f"{k}_text": text for k in ("query", "pos", "neg")}
    tokenizer = instruction_tokenizer(max_length=12)
    batch = ContrastiveCollator(tokenizer, with_instructions=True)([row])
    assert batch.query.input_ids.shape == (1, 12)
    assert batch.query.input_ids[0, -1] == tokenizer.tokenizer.eos_token_id
    assert batch.query.pooling_mask.sum() == 12 - len(INSTRUCTION.split())


def test_rows_of_two_tasks_are_refused(dataset: Dataset) -> None:
    with pytest.raises(DataError, match=r"one task, this one holds \[4, 8\]"):
        ContrastiveCollator(instruction_tokenizer(), with_instructions=True)(dataset.__getitems__([0, 5]))


def test_a_batch_moves_as_a_whole(dataset: Dataset) -> None:
    batch = ContrastiveCollator(instruction_tokenizer(), with_instructions=True)(dataset.__getitems__([0]))
    moved = batch.to(torch.device("meta"))
    assert {side.input_ids.device.type for side in (moved.query, moved.positive, moved.negative)} == {"meta"}
    assert (moved.task_id, moved.tokens) == (batch.task_id, batch.tokens)


def test_equal_texts_have_equal_numbers_whatever_their_instruction_and_side() -> None:
    def row(query: str, positive: str, negative: str, instruction: str) -> dict[str, Any]:
        texts = {"query": query, "pos": positive, "neg": negative}
        return (
            {"task_id": 1, **ONE_NEGATIVE}
            | {f"{k}_text": text for k, text in texts.items()}
            | {f"{k}_instruction": instruction for k in texts}
        )

    rows = [row("q0_0", "q0_1", "q0_2", INSTRUCTION), row("q0_2", "q0_1", "q0_0", "")]
    texts = ContrastiveCollator(instruction_tokenizer(), with_instructions=True)(rows).texts
    assert all(numbers.dtype == torch.int64 and numbers.shape == (2,) for numbers in texts)
    assert texts.query.tolist() == texts.negative.flip(0).tolist()
    assert texts.positive[0] == texts.positive[1]
    assert len(set(torch.cat(texts).tolist())) == 3


def test_classes_of_one_task_have_equal_numbers_and_rows_without_one_have_none(tmp_path: Path) -> None:
    labels = [("a", "b"), ("b", "a"), (None, None), ("a", "c")]
    rows = [
        replace(row, label=label, negative_label=negative)
        for row, (label, negative) in zip(toy_rows({1: 3, 2: 1}), labels, strict=True)
    ]
    rows[0] = replace(rows[0], further_negatives=(("", "q0_3"),))
    rows[1] = replace(rows[1], further_negatives=(("", "q0_1"), ("", "q0_2")), further_negative_labels=("c", "a"))
    write_medi(rows, tmp_path / "medi", about={})
    items = load_medi(tmp_path / "medi").dataset.to_list()
    numbers = ContrastiveCollator(instruction_tokenizer(), True, mixed_tasks=True)(items).labels
    a, b, none, elsewhere = numbers.row.tolist()
    assert len({a, b, elsewhere}) == 3 and min(a, b, elsewhere) >= 0 and none == NO_CLASS
    c = numbers.negative[3].item()
    assert numbers.negative.tolist()[:-1] == [b, NO_CLASS, a, c, a, NO_CLASS] and c not in (a, b, NO_CLASS)


def test_every_hard_negative_of_a_row_follows_its_first_whatever_their_number(tmp_path: Path) -> None:
    further = [(), (("", "q0_0"), (INSTRUCTION, "q0_1 q0_2")), (("", "q0_3"),)]
    rows = [replace(row, further_negatives=more) for row, more in zip(toy_rows({1: 3}), further, strict=True)]
    write_medi(rows, tmp_path / "medi", about={})
    items = load_medi(tmp_path / "medi").dataset.__getitems__([0, 1, 2])
    tokenizer = instruction_tokenizer()
    batch = ContrastiveCollator(tokenizer, with_instructions=True)(items)
    negatives = [pair for row in rows for pair in row.negatives]
    expected = tokenizer([instruction for instruction, _ in negatives], [text for _, text in negatives])
    assert (len(batch), len(batch.negative), len(batch.texts.negative)) == (3, 6, 6)
    assert torch.equal(batch.negative.input_ids, expected.input_ids)
    assert torch.equal(batch.negative.pooling_mask, expected.pooling_mask)


def test_rows_of_several_tasks_are_taken_only_where_they_are_wanted(tmp_path: Path) -> None:
    write_medi(toy_rows({1: 2, 2: 1}), tmp_path / "medi", about={})
    rows = list(load_medi(tmp_path / "medi").dataset)
    batch = ContrastiveCollator(instruction_tokenizer(), True, mixed_tasks=True)(rows)
    assert (len(batch), batch.task_id) == (3, None)


def test_instructions_are_read_at_the_level_of_detail_that_is_asked_for(dataset: Dataset) -> None:
    rows = dataset.__getitems__([0, 1])
    tokenizer = instruction_tokenizer()
    batch = ContrastiveCollator(tokenizer, with_instructions=True, instruction_detail="tag")(rows)
    expected = tokenizer(["task 4; Input: "] * 2, [row["query_text"] for row in rows])
    assert torch.equal(batch.query.input_ids, expected.input_ids)
    assert torch.equal(batch.query.pooling_mask, expected.pooling_mask)
