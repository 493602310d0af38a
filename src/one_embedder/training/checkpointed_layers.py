"""Gradient checkpointing: a layer's activations are computed again for the backward pass instead of being kept."""

from __future__ import annotations

from transformers.modeling_layers import GradientCheckpointingLayer

from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import ConfigError


def checkpoint_layers(encoder: InstructionEncoder) -> None:
    """Let each transformer layer that learns keep its input only.

    Gradients are those of plain training, dropout included: Hugging Face's own layers replay the random state. It costs
    a second forward pass. Frozen layers keep nothing anyway and run once.

    Hugging Face looks at a layer's training flag, which is off when training without dropout. It is set here for the
    layer alone; the modules inside it, which are those that drop out, keep theirs.

    Args:
        encoder: changed in place; its modes are set and its frozen layers are frozen.

    Raises:
        ConfigError: the encoder's layers cannot do it.
    """
    layers = require_checkpointable(encoder)
    # Non-reentrant: the other kind needs an input that takes a gradient, which the lowest layer's does not when the
    # word embeddings are frozen, and does not work with DDP's search for unused weights.
    encoder.backbone.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    for layer in layers:
        layer.training = any(parameter.requires_grad for parameter in layer.parameters())


def require_checkpointable(encoder: InstructionEncoder) -> list[GradientCheckpointingLayer]:
    """The layers that can do it, at least one; raises as ``checkpoint_layers``."""
    layers = [module for module in encoder.backbone.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(
            f"trainer.gradient_checkpointing: the layers of {type(encoder.backbone).__name__} cannot do it; "
            "set it to false and lower sampler.global_batch_size or trainer.max_length"
        )
    return layers
