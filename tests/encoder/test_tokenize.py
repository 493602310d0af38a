"""Joining, the instruction mask and padding."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import InstructionTokenizer
from one_embedder.errors import CheckpointError, ConfigError

INSTRUCTION = "represent the question for retrieval: "
TEXT = st.text("abcdefgh cats ?.", max_size=60)
EVERY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pooled_tokens(tokenizer: InstructionTokenizer, instruction: str, text: str) -> list[str]:
    """What pooling keeps, as written in the vocabulary."""
    batch = tokenizer([instruction], [text])
    kept = batch.input_ids[0][batch.pooling_mask[0].bool()]
    return tokenizer.tokenizer.convert_ids_to_tokens(kept.tolist())


def test_without_an_instruction_everything_is_pooled(tokenizer: InstructionTokenizer) -> None:
    batch = tokenizer(["", ""], ["the cats", "dog"])
    assert batch.pooling_mask.tolist() == batch.attention_mask.tolist()


def test_an_instruction_as_long_as_the_maximum_pools_the_end_token_alone(tokenizer: InstructionTokenizer) -> None:
    length = len(tokenizer.tokenizer(INSTRUCTION.strip())["input_ids"])
    for max_length in (length - 3, length):
        shorter = tokenizer.with_max_length(max_length)
        assert shorter([INSTRUCTION], ["cats"]).input_ids.shape == (1, max_length)
        assert pooled_tokens(shorter, INSTRUCTION, "cats") == ["</s>"]


def test_a_long_text_is_cut_at_its_end_and_keeps_the_end_token(tokenizer: InstructionTokenizer) -> None:
    kept = tokenizer([INSTRUCTION], ["cats " * 100])
    assert kept.input_ids.shape == (1, 32)
    assert kept.input_ids[0, -1] == tokenizer.tokenizer.eos_token_id
    assert kept.input_ids[0, :-1].tolist() == tokenizer.tokenizer(INSTRUCTION + "cats " * 100)["input_ids"][:31]


def test_the_two_published_joinings_differ_by_the_space_between_instruction_and_text(
    tokenizer: InstructionTokenizer,
) -> None:
    head = InstructionTokenizer(tokenizer.tokenizer, 32, joining="head")
    assert tokenizer.tokenize([" the: "], [" cat "])[0].input_ids == tokenizer.tokenizer("the: cat")["input_ids"]
    assert head.tokenize([" the: "], [" cat "])[0].input_ids == tokenizer.tokenizer("the:cat")["input_ids"]


@EVERY
@given(rows=st.lists(st.tuples(st.sampled_from(["", "the ", INSTRUCTION, "cat: "]), TEXT), min_size=1, max_size=6))
def test_a_batch_is_its_rows_padded_on_the_right(tokenizer: InstructionTokenizer, rows: list[tuple[str, str]]) -> None:
    batch = tokenizer([row[0] for row in rows], [row[1] for row in rows])
    assert len(batch) == len(rows)
    assert batch.input_ids.shape == batch.attention_mask.shape == batch.pooling_mask.shape
    assert batch.input_ids.shape[1] == batch.attention_mask.sum(dim=1).max()
    for number, (instruction, text) in enumerate(rows):
        alone = tokenizer([instruction], [text])
        size = alone.input_ids.shape[1]
        assert batch.input_ids[number, :size].tolist() == alone.input_ids[0].tolist()
        assert batch.pooling_mask[number, :size].tolist() == alone.pooling_mask[0].tolist()
        assert not batch.attention_mask[number, size:].any()
        assert not batch.pooling_mask[number, size:].any()


@EVERY
@given(text=TEXT, instruction=st.sampled_from([INSTRUCTION, "cat: ", "x " * 40]))
def test_something_is_always_pooled_and_only_what_is_attended(
    tokenizer: InstructionTokenizer, text: str, instruction: str
) -> None:
    batch = tokenizer([instruction], [text])
    assert batch.pooling_mask.sum() >= 1
    assert (batch.pooling_mask <= batch.attention_mask).all()


def test_bert_masks_cls_with_the_instruction_and_keeps_sep(minilm: InstructionEncoder) -> None:
    assert pooled_tokens(minilm.tokenizer, "Represent the question: ", "cats") == ["cats", "[SEP]"]
    assert pooled_tokens(minilm.tokenizer, "Represent ", "cats") == ["cats", "[SEP]"]
    for joining in ("pypi", "head"):
        joined = InstructionTokenizer(minilm.tokenizer.tokenizer, 32, joining=joining)
        assert pooled_tokens(joined, " ", "cats") == ["[CLS]", "cats", "[SEP]"]


def test_a_copy_with_another_maximum_leaves_the_original_alone(tokenizer: InstructionTokenizer) -> None:
    shorter = tokenizer.with_max_length(5)
    long_text = ["cats " * 20]
    assert shorter([""], long_text).input_ids.shape == (1, 5)
    assert tokenizer([""], long_text).input_ids.shape == (1, 32)


def test_a_batch_moves_as_a_whole(tokenizer: InstructionTokenizer) -> None:
    moved = tokenizer(["the: "], ["cat"]).to("meta")
    assert {moved.input_ids.device.type, moved.attention_mask.device.type, moved.pooling_mask.device.type} == {"meta"}


@pytest.mark.parametrize("max_length", [1, 0, -3])
def test_a_maximum_that_leaves_no_room_for_text_is_refused_with_the_smallest_that_does(
    tokenizer: InstructionTokenizer, max_length: int
) -> None:
    with pytest.raises(ConfigError, match="use at least 2"):
        tokenizer.with_max_length(max_length)


def test_an_unknown_joining_is_refused_with_the_known_ones(tokenizer: InstructionTokenizer) -> None:
    with pytest.raises(ConfigError, match="pypi, head"):
        InstructionTokenizer(tokenizer.tokenizer, 32, joining="glue")


def test_a_tokenizer_without_an_end_token_is_refused(tokenizer: InstructionTokenizer) -> None:
    bare = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.tokenizer.backend_tokenizer.from_str(tokenizer.tokenizer.backend_tokenizer.to_str()),
        pad_token="<pad>",
    )
    bare.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    with pytest.raises(CheckpointError, match="no special token at the end"):
        InstructionTokenizer(bare, 32)


def test_a_tokenizer_without_a_padding_token_is_refused(tokenizer: InstructionTokenizer) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.tokenizer.backend_tokenizer, eos_token="</s>")
    with pytest.raises(CheckpointError, match=r"no padding token; set pad_token in its tokenizer_config\.json"):
        InstructionTokenizer(bare, 32)


def test_a_tokenizer_that_cuts_texts_at_their_beginning_is_refused(tokenizer: InstructionTokenizer) -> None:
    other = copy.deepcopy(tokenizer.tokenizer)
    other.truncation_side = "left"
    with pytest.raises(CheckpointError, match="where the instruction is; set truncation_side to 'right'"):
        InstructionTokenizer(other, 32)


def test_a_truncation_and_a_padding_that_a_tokenizer_is_set_to_have_no_effect(tokenizer: InstructionTokenizer) -> None:
    row = [INSTRUCTION], ["cats and dogs " * 3]
    set_up = copy.deepcopy(tokenizer.tokenizer)
    set_up.backend_tokenizer.enable_truncation(4)
    assert InstructionTokenizer(set_up, 64).tokenize(*row) == tokenizer.with_max_length(64).tokenize(*row)
    set_up.backend_tokenizer.no_truncation()
    set_up.backend_tokenizer.enable_padding(length=60)
    assert InstructionTokenizer(set_up, 64).tokenize(*row) == tokenizer.with_max_length(64).tokenize(*row)


def test_instructions_and_texts_of_different_number_are_refused(tokenizer: InstructionTokenizer) -> None:
    with pytest.raises(ValueError, match="zip"):
        tokenizer(["the: "], ["cat", "dog"])
