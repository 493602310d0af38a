from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from one_embedder.encoder.tokenize import TokenizedBatch
from one_embedder.errors import ConfigError
from one_embedder.training.checkpointed_layers import checkpoint_layers
from one_embedder.training.optimizer import freeze_layers, transformer_layers
from tests.medi.toy import INSTRUCTION, instruction_tokenizer
from tests.training.tiny import LAYERS, tiny_encoder


def texts() -> TokenizedBatch:
    return instruction_tokenizer()([INSTRUCTION] * 3, ["q0_0 q1_1", "q2_1", "d0_1 d1_2 d3_3"])


def gradients(family: str, frozen: int, *, dropout: bool, checkpointed: bool) -> tuple[dict[str, Tensor], list[int]]:
    """The gradient of every weight that learns, and how often the first matrix of each layer was used."""
    encoder = tiny_encoder(family)
    encoder.skip_padding = False  # as with checkpointed layers, so that the last bit is the same
    encoder.train(dropout)
    freeze_layers(encoder, frozen)
    if checkpointed:
        checkpoint_layers(encoder)
    runs = [0] * LAYERS
    for number, layer in enumerate(transformer_layers(encoder.backbone)):

        def count(module: nn.Module, inputs: object, output: object, number: int = number) -> None:
            runs[number] += 1

        next(module for module in layer.modules() if isinstance(module, nn.Linear)).register_forward_hook(count)
    torch.manual_seed(0)
    (encoder(texts()) ** 3).sum().backward()
    return {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}, runs


@pytest.mark.parametrize("dropout", [True, False], ids=["dropout", "no dropout"])
@pytest.mark.parametrize("frozen", [0, 1])
@pytest.mark.parametrize("family", ["t5", "bert"])
def test_gradients_equal_plain_ones_while_learning_layers_run_twice(family: str, frozen: int, dropout: bool) -> None:
    plain, once = gradients(family, frozen, dropout=dropout, checkpointed=False)
    again, twice = gradients(family, frozen, dropout=dropout, checkpointed=True)
    assert plain.keys() == again.keys() and any(gradient.abs().max() > 0 for gradient in plain.values())
    assert all(torch.equal(plain[name], again[name]) for name in plain)
    assert once == [1] * LAYERS
    assert twice == [1] * frozen + [2] * (LAYERS - frozen)


def test_dropout_stays_off_where_it_was_off() -> None:
    encoder = tiny_encoder("bert", dropout=0.5)
    checkpoint_layers(encoder)
    assert torch.equal(encoder(texts()), encoder(texts()))


def test_layers_that_cannot_do_it_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"gradient_checkpointing: the layers of MPNetModel cannot"):
        checkpoint_layers(tiny_encoder("mpnet"))
