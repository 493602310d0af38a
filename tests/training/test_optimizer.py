from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from one_embedder.encoder.dense import Dense
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import ConfigError
from one_embedder.training.optimizer import adamw, freeze_layers, layer_factors, transformer_layers
from tests.training.tiny import LAYERS, WIDTH, tiny_encoder

FAMILIES = ["t5", "bert", "mpnet"]
IDENTITY = "torch.nn.modules.linear.Identity"


def backward(encoder: nn.Module) -> list[bool]:
    """One backward pass; whether what each layer's last matrix gave was part of a graph."""
    tracked: list[bool] = []

    def look(module: nn.Module, inputs: object, output: Tensor) -> None:
        tracked.append(output.requires_grad)

    for layer in transformer_layers(encoder.backbone):
        [module for module in layer.modules() if isinstance(module, nn.Linear)][-1].register_forward_hook(look)
    embedding = encoder(encoder.tokenizer(["", ""], ["q0_0 q0_1", "q1_0"]))
    embedding.pow(3).sum().backward()
    return tracked


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("frozen", [1, 2])
def test_frozen_layers_keep_no_graph_and_get_no_gradient_and_the_others_do(family: str, frozen: int) -> None:
    encoder = tiny_encoder(family)
    freeze_layers(encoder, frozen)
    assert backward(encoder) == [False] * frozen + [True] * (LAYERS - frozen)
    layers = transformer_layers(encoder.backbone)
    assert all(weight.grad is None for layer in layers[:frozen] for weight in layer.parameters())
    assert encoder.backbone.get_input_embeddings().weight.grad is None
    for layer in layers[frozen:]:
        assert all(weight.grad is not None for weight in layer.parameters())
        assert any(weight.grad.abs().max() > 0 for weight in layer.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_without_frozen_layers_everything_learns(family: str) -> None:
    encoder = tiny_encoder(family)
    freeze_layers(encoder, 0)
    assert backward(encoder) == [True] * LAYERS
    assert encoder.backbone.get_input_embeddings().weight.grad is not None


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_layers_compute_without_dropout_and_the_others_with(family: str) -> None:
    encoder = tiny_encoder(family).train()
    freeze_layers(encoder, 2)
    layers = transformer_layers(encoder.backbone)
    assert [layer.training for layer in layers] == [False, False, True]
    assert not any(module.training for layer in layers[:2] for module in layer.modules())
    batch = encoder.tokenizer([""], ["q0_0 q0_1"])
    assert not torch.equal(encoder(batch), encoder(batch))


def test_frozen_weights_do_not_move_even_by_weight_decay() -> None:
    encoder = tiny_encoder()
    freeze_layers(encoder, 1)
    before = {name: weight.detach().clone() for name, weight in encoder.named_parameters()}
    optimizer = adamw(encoder.parameters(), learning_rate=0.1, weight_decay=0.5)
    backward(encoder)
    optimizer.step()
    for name, weight in encoder.named_parameters():
        assert torch.equal(weight, before[name]) != weight.requires_grad, name


@pytest.mark.parametrize("layers", [-1, LAYERS + 1, 99])
def test_a_number_of_layers_out_of_range_is_refused(layers: int) -> None:
    with pytest.raises(ConfigError, match=f"frozen_layers={layers}: this encoder has {LAYERS} layers"):
        freeze_layers(tiny_encoder(), layers)


def test_freezing_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to learn"):
        freeze_layers(tiny_encoder("bert"), LAYERS)


def test_a_backbone_without_a_list_of_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"not known for Linear.*frozen_layers=0 and layer_decay=1"):
        transformer_layers(nn.Linear(2, 2))


@pytest.mark.parametrize("family", FAMILIES)
def test_norms_and_biases_are_not_decayed_and_matrices_are(family: str) -> None:
    encoder = tiny_encoder(family)
    optimizer = adamw(encoder.parameters(), learning_rate=0.1, weight_decay=0.5)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    expected = {
        name: 0.0 if ("bias" in name and "relative" not in name) or "norm" in name.lower() else 0.5
        for name, _ in encoder.named_parameters()
    }
    assert {name: decay[id(weight)] for name, weight in encoder.named_parameters()} == expected
    assert set(expected.values()) == {0.0, 0.5}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_layer_learns_a_share_as_fast_as_the_one_above_it_and_the_embeddings_slowest(family: str) -> None:
    bare = tiny_encoder(family)
    encoder = InstructionEncoder(bare.backbone, bare.tokenizer, [Dense(WIDTH, 8, bias=True, activation=IDENTITY)])
    optimizer = adamw(encoder.parameters(), learning_rate=0.1, weight_decay=0.5, factors=layer_factors(encoder, 0.5))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == len(list(encoder.parameters()))
    layers = transformer_layers(encoder.backbone)
    for above, layer in enumerate(reversed(layers)):
        assert {rates[id(p)] for p in layer.parameters()} == {0.1 * 0.5**above}
    assert rates[id(encoder.backbone.get_input_embeddings().weight)] == 0.1 * 0.5 ** len(layers)
    assert {rates[id(p)] for p in encoder.dense.parameters()} == {0.1}
    for name, parameter in encoder.backbone.named_parameters():
        if "final_layer_norm" in name:
            assert rates[id(parameter)] == 0.1
    assert optimizer.param_groups[0]["lr"] == 0.1  # what is logged as the learning rate


def test_without_layer_decay_there_are_the_two_groups_that_there_were() -> None:
    encoder = tiny_encoder()
    assert layer_factors(encoder, 1.0) == {}
    groups = adamw(encoder.parameters(), learning_rate=0.1, weight_decay=0.5).param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.1, 0.5), (0.1, 0.0)]


def test_frozen_layers_leave_the_factors_of_the_others_as_they_are() -> None:
    encoder = tiny_encoder()
    freeze_layers(encoder, 1)
    groups = adamw(
        encoder.parameters(), learning_rate=1.0, weight_decay=0.0, factors=layer_factors(encoder, 0.5)
    ).param_groups
    assert sorted({group["lr"] for group in groups}) == [0.5, 1.0]


def test_a_step_moves_a_weight_by_its_own_learning_rate() -> None:
    """AdamW's first step has the size of the learning rate, whatever the gradient."""
    encoder = tiny_encoder()
    before = {name: weight.detach().clone() for name, weight in encoder.named_parameters()}
    optimizer = adamw(encoder.parameters(), learning_rate=0.1, weight_decay=0.0, factors=layer_factors(encoder, 0.5))
    backward(encoder)
    optimizer.step()
    steps = {name: float((weight.detach() - before[name]).abs().max()) for name, weight in encoder.named_parameters()}
    for number in range(LAYERS):
        largest = max(step for name, step in steps.items() if f"block.{number}." in name)
        assert largest == pytest.approx(0.1 * 0.5 ** (LAYERS - 1 - number), rel=1e-3)


def test_a_step_is_that_of_plain_adamw() -> None:
    torch.manual_seed(0)
    ours, plain = (nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    optimizers = [
        adamw([ours], learning_rate=0.1, weight_decay=0.5),
        torch.optim.AdamW([plain], lr=0.1, weight_decay=0.5, foreach=False, fused=False),
    ]
    for _ in range(3):
        gradient = torch.randn(3, 2)
        for weight, optimizer in zip((ours, plain), optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, plain)
