"""Which weights learn, AdamW over them, and its learning rate over the steps of a run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from types import MappingProxyType

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import ConfigError


def freeze_layers(encoder: InstructionEncoder, layers: int) -> None:
    """Keep the embeddings and the lowest transformer layers as they are.

    Frozen layers get no gradient and, since nothing below them learns either, autograd keeps no graph for them: they
    cost a forward pass and no memory. They compute without dropout, as when the encoder is
    used; T5's dropout on the embeddings stays. Position biases that all layers share (T5, MPNet) are frozen with them.

    Args:
        encoder: changed in place; in training mode.
        layers: how many of the lowest layers; 0 leaves everything trainable, the embeddings too.

    Raises:
        ConfigError: more layers than there are, nothing left to learn, or a backbone without a plain list of layers.
    """
    require_freezable(encoder, layers)
    if layers == 0:
        return
    stack = transformer_layers(encoder.backbone)
    learning = _above(encoder, layers)
    for module in [*stack[:layers], *encoder.backbone.children()]:
        if not any(id(parameter) in learning for parameter in module.parameters()):
            module.eval()
    for parameter in encoder.backbone.parameters():
        parameter.requires_grad_(id(parameter) in learning)


def require_freezable(encoder: InstructionEncoder, layers: int) -> None:
    """Refuse what ``freeze_layers`` would, with its errors; nothing is changed."""
    if layers == 0:
        return
    depth = len(transformer_layers(encoder.backbone))
    if not 0 < layers <= depth:
        raise ConfigError(
            f"optimizer.frozen_layers={layers}: this encoder has {depth} layers; set it to fewer, or to 0"
        )
    if not _above(encoder, layers) and not list(encoder.dense.parameters()):
        raise ConfigError(f"optimizer.frozen_layers={layers} leaves nothing to learn; use less than {depth}")


def _above(encoder: InstructionEncoder, layers: int) -> set[int]:
    """The ids of the backbone's parameters that learn when so many layers do not."""
    stack = transformer_layers(encoder.backbone)
    learning = {id(parameter) for layer in stack[layers:] for parameter in layer.parameters()}
    return learning | {id(p) for name, p in encoder.backbone.named_parameters() if "final_layer_norm" in name}


def transformer_layers(backbone: nn.Module) -> list[nn.Module]:
    """The backbone's layers, lowest first (BERT, RoBERTa, MPNet: ``encoder.layer``; T5: ``encoder.block``).

    Raises:
        ConfigError: the backbone is built otherwise.
    """
    for name in ("encoder.layer", "encoder.block", "transformer.layer"):
        try:
            found = backbone.get_submodule(name)
        except AttributeError:
            continue
        if isinstance(found, nn.ModuleList):
            return list(found)
    raise ConfigError(
        f"optimizer.frozen_layers and optimizer.layer_decay are not known for {type(backbone).__name__}: it has no "
        "list of layers named encoder.layer, encoder.block or transformer.layer; use frozen_layers=0 and layer_decay=1"
    )


def layer_factors(encoder: InstructionEncoder, decay: float) -> dict[nn.Parameter, float]:
    """By what each parameter's learning rate is multiplied: ``decay`` to the power of the layers above it.

    The highest layer and what lies above it (dense layers, a final norm) have 1, the word embeddings the least.
    Position biases that all layers share count as below the layers (MPNet) or as part of the lowest (T5). As ELECTRA
    does it (arXiv:2003.10555).

    Args:
        encoder: before a strategy shards its parameters.
        decay: above 0; 1 gives nothing, and needs no layers.

    Raises:
        ConfigError: a backbone without a plain list of layers.
    """
    if decay == 1.0:
        return {}
    stack = transformer_layers(encoder.backbone)
    above = _above(encoder, len(stack))
    depths = {p: len(stack) for p in encoder.backbone.parameters() if id(p) not in above}
    for number, layer in enumerate(stack, start=1):
        depths |= dict.fromkeys(layer.parameters(), len(stack) - number)
    return {parameter: decay**depth for parameter, depth in depths.items()}


def matrices(module: nn.Module) -> set[nn.Parameter]:
    """The parameters that weight decay is for: biases and normalisation gains are vectors."""
    return {parameter for parameter in module.parameters() if parameter.ndim > 1}


def adamw(
    parameters: Iterable[nn.Parameter],
    *,
    learning_rate: float,
    weight_decay: float,
    decayed: Container[nn.Parameter] | None = None,
    factors: Mapping[nn.Parameter, float] = MappingProxyType({}),
) -> AdamW:
    """AdamW over the parameters that learn.

    Args:
        parameters: those that do not learn are passed over.
        learning_rate: the largest of the schedule.
        weight_decay: of the decayed parameters.
        decayed: which they are; None: the matrices. Sharded parameters are vectors, whatever they are when whole, so
            that it has to be seen before they are sharded.
        factors: of the learning rate; 1 where there is none. The fastest parameters come first.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        if parameter.requires_grad:
            is_decayed = parameter.ndim > 1 if decayed is None else parameter in decayed
            groups[factors.get(parameter, 1.0), is_decayed].append(parameter)
    described = [
        {"params": groups[key], "lr": learning_rate * key[0], "weight_decay": weight_decay * key[1]}
        for key in sorted(groups, reverse=True)
    ]
    # fused: one pass over each tensor instead of a dozen; several times faster than the default on a CPU
    return AdamW(described, lr=learning_rate, fused=True)


def linear_factor(step: int, *, warmup_steps: int, max_steps: int) -> float:
    """Part of the peak learning rate used in step ``step`` (0 is the first).

    Rises from 1/warmup_steps, so that the first step already learns, to 1; then falls by equal amounts, the last step
    still being above 0.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return max(0.0, (max_steps - step) / max(1, max_steps - warmup_steps))


def linear_schedule(optimizer: Optimizer, *, warmup_ratio: float, max_steps: int) -> LambdaLR:
    """Linear warm-up, then linear decay to zero, as the paper's command has it (warm-up ratio 0.1).

    Args:
        optimizer: its learning rates are the peak.
        warmup_ratio: part of the steps that warm up, 0 to 1.
        max_steps: steps of the run.
    """
    warmup_steps = math.ceil(warmup_ratio * max_steps)
    return LambdaLR(optimizer, lambda step: linear_factor(step, warmup_steps=warmup_steps, max_steps=max_steps))
