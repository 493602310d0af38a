"""The unpadded forward pass is the padded one: values, gradients, and which encoders take it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import InstructionTokenizer, TokenizedBatch
from tests.encoder.test_families import bert, bert_tokenizer, modernbert, mpnet, t5, tiny_tokenizer

INSTRUCTIONS = ["represent the question for retrieval: ", "", "represent : ", "dog " * 60]
TEXTS = ["the cats", "", "cats and dogs? " * 9, "a document", "dog", "<pad> dog"]


def encoder(family: str) -> InstructionEncoder:
    """Random weights in float64, in evaluation mode."""
    torch.manual_seed(0)
    make, tokenizer, length = {
        "bert": (bert, bert_tokenizer(0), 40),
        "mpnet": (mpnet, bert_tokenizer(1), 40),
        "t5": (t5, tiny_tokenizer(), 32),
        "modernbert": (modernbert, bert_tokenizer(0), 40),
    }[family]
    made = InstructionEncoder(make(), InstructionTokenizer(tokenizer, length)).double().eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.2 * torch.randn_like(weight)
    return made


FAMILIES = ["bert", "mpnet", "t5"]
ENCODERS = {family: encoder(family) for family in FAMILIES}


def both_ways(made: InstructionEncoder, embed: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    made.skip_padding = False
    padded = embed()
    made.skip_padding = True
    assert made.is_unpadded
    return padded, embed()


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(st.tuples(st.sampled_from(INSTRUCTIONS), st.sampled_from(TEXTS)), min_size=1, max_size=7))
def test_embeddings_and_gradients_are_those_of_the_padded_pass(family: str, pairs: list[tuple[str, str]]) -> None:
    made = ENCODERS[family]
    batch = made.tokenizer(*map(list, zip(*pairs, strict=True)))
    direction = torch.randn(len(pairs), made.dimension, dtype=torch.float64)
    weights = [weight for name, weight in made.named_parameters() if "pooler" not in name]

    def embed() -> torch.Tensor:
        embedding = made(batch)
        gradients = torch.autograd.grad((embedding * direction).sum(), weights)
        return torch.cat([embedding.flatten(), *(gradient.flatten() for gradient in gradients)])

    padded, unpadded = both_ways(made, embed)
    torch.testing.assert_close(unpadded, padded, rtol=1e-9, atol=1e-10)
    assert padded[len(pairs) * made.dimension :].abs().max() > 1e-3, "a gradient of zeros proves nothing"


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_and_pad_tokens_change_nothing(family: str) -> None:
    made = ENCODERS[family]
    batch = made.tokenizer(["", ""], ["the cats", "cats and dogs? a document"])
    wider = TokenizedBatch.stacked([batch, made.tokenizer([""], ["dog " * 12])])
    torch.testing.assert_close(made(wider)[:2], made(batch), rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_is_drawn_in_every_layer(family: str) -> None:
    made = encoder(family)
    rates = [(module, "p") for module in made.modules() if isinstance(module, torch.nn.Dropout)]
    rates += [(module, "dropout") for module in made.modules() if isinstance(getattr(module, "dropout", None), float)]
    for module, rate in rates:
        setattr(module, rate, 0.0)
    batch = made.train()(made.tokenizer([""], ["cats and dogs"]))
    for module, rate in rates:
        setattr(module, rate, 0.5)
        again = made(made.tokenizer([""], ["cats and dogs"]))
        assert not torch.equal(again, batch), module
        setattr(module, rate, 0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_autocast_stays_near_the_padded_pass(family: str) -> None:
    made = encoder(family).float()
    batch = made.tokenizer(["represent : "] * 2, ["the cats", "cats and dogs? a document"])

    def embed() -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return made(batch)

    padded, unpadded = both_ways(made, embed)
    assert unpadded.dtype == torch.float32
    torch.testing.assert_close(unpadded, padded, rtol=0, atol=0.03)


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_a_decoder_is_computed_as_transformers_does(family: str) -> None:
    made = encoder(family)
    made.backbone.config.is_decoder = True
    assert not made.is_unpadded


def test_other_families_and_checkpointed_layers_go_the_padded_way() -> None:
    assert not encoder("modernbert").is_unpadded
    for family in FAMILIES[::2]:
        made = encoder(family)
        made.backbone.activation_checkpointing_enable()
        assert not made.is_unpadded
    assert not encoder("t5").half().is_unpadded


def test_a_wrapped_layer_is_called_itself() -> None:
    """Sharding puts each layer into a module of its own, which has to see the call."""
    made = encoder("bert")
    made.backbone.encoder.layer[1] = torch.nn.Sequential(made.backbone.encoder.layer[1])
    assert not made.is_unpadded


def test_rows_that_are_alike_are_found_and_put_back() -> None:
    made = ENCODERS["bert"]
    instructions, texts = ["", "", "", "represent : "], ["dog", "the cats", "dog", "dog"]
    batch = made.tokenizer(instructions, texts)
    distinct, which = batch.distinct()
    assert len(distinct) == 3 and which[0] == which[2] != which[3]
    for name in ("input_ids", "attention_mask", "pooling_mask"):
        assert torch.equal(getattr(distinct, name)[which], getattr(batch, name))
