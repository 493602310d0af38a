"""Dense layers after pooling, as sentence-transformers folders hold them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from one_embedder.encoder.folder import read_object, whole_number
from one_embedder.errors import CheckpointError

# Activations are named by their import path in the config. Only these are built: importing any name that a
# downloaded file holds would run code of its author's choice.
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "torch.nn.modules.linear.Identity": nn.Identity,
    "torch.nn.modules.activation.Tanh": nn.Tanh,
    "torch.nn.modules.activation.ReLU": nn.ReLU,
    "torch.nn.modules.activation.GELU": nn.GELU,
}


class Dense(nn.Module):
    """A linear map and an activation: (B, in_features) -> (B, out_features).

    Args:
        in_features, out_features: sizes of the linear map.
        bias: whether the map has a bias (the published INSTRUCTOR checkpoints' has none).
        activation: import path of the activation, as in the config.

    Raises:
        CheckpointError: if the activation is not one of the known ones.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool, activation: str) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise CheckpointError(
                f"activation_function {activation!r:.99} is unknown; known: {', '.join(_ACTIVATIONS)}"
            )
        self.activation_name = activation
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.activation = _ACTIVATIONS[activation]()

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, in_features) -> (B, out_features)."""
        return cast(Tensor, self.activation(self.linear(embedding)))


def load_dense(folder: Path) -> Dense:
    """Read one dense layer's folder (``config.json`` and safetensors or, in older folders, pickled weights).

    Raises:
        CheckpointError: if a file is missing or unreadable, asks for what is not supported, or holds a wrong shape.
    """
    path = folder / "config.json"
    config = read_object(path)
    _refuse_unsupported(config, folder)
    width, out = (whole_number(config, key, path) for key in ("in_features", "out_features"))
    bias = bool(config.get("bias", True))
    weights = _read_weights(folder)
    expected: dict[str, tuple[int, ...]] = {"linear.weight": (out, width)}
    if bias:
        expected["linear.bias"] = (out,)
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if found != expected:  # told before memory is taken for what the settings ask for
        raise CheckpointError(f"the weights in {folder} are {found}, but its config.json asks for {expected}")
    try:
        layer = Dense(
            width,
            out,
            bias=bias,
            activation=str(config.get("activation_function", "torch.nn.modules.activation.Tanh")),
        )
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    layer.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return layer


def save_dense(layer: Dense, folder: Path) -> None:
    """Write one dense layer as sentence-transformers reads it."""
    folder.mkdir(parents=True)
    config = {
        "in_features": layer.linear.in_features,
        "out_features": layer.linear.out_features,
        "bias": layer.linear.bias is not None,
        "activation_function": layer.activation_name,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in layer.state_dict().items()}
    save_file(weights, folder / "model.safetensors")


def _refuse_unsupported(config: dict[str, Any], folder: Path) -> None:
    if config.get("use_residual"):
        raise CheckpointError(f"{folder / 'config.json'}: use_residual is not supported")
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, "sentence_embedding"):
            raise CheckpointError(
                f"{folder / 'config.json'}: {key}={config[key]!r:.60}; only 'sentence_embedding' is read"
            )


def _read_weights(folder: Path) -> dict[str, Tensor]:
    safe, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    try:
        if safe.is_file():
            return load_file(safe)
        if pickled.is_file():
            return cast(dict[str, Tensor], torch.load(pickled, map_location="cpu", weights_only=True))
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(f"the weights in {folder} cannot be read ({error}); fetch them again") from error
    raise CheckpointError(f"{folder} holds neither model.safetensors nor pytorch_model.bin; fetch the folder again")
