"""Random encoders of T5's shapes, and what GTR's sizes take by theirs: memory and arithmetic of a step, estimated.

    python -m scripts.shapes [--rows 4 --length 512 --steps 20000]

Weights, gradients and AdamW's two moments are 16 bytes a parameter. Activations are what autograd keeps of one forward
pass on torch's ``meta`` device, which computes shapes and no numbers: padded, without fused attention, so more than a
step needs here. Arithmetic is 6 operations a parameter and token (8 where activations are computed again). Left out:
attention's own products, the allocator's rest, and what NCCL and CUDA take.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from transformers import T5Config, T5EncoderModel

from one_embedder.encoder.checkpoint import load_encoder
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.reproduction.show.grid import Grid

SHAPES = {
    "small": {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
    "base": {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12},
    "large": {"d_model": 1024, "d_kv": 64, "d_ff": 4096, "num_layers": 24, "num_heads": 16},
    "xl": {"d_model": 1024, "d_kv": 128, "d_ff": 16384, "num_layers": 24, "num_heads": 32},
}
"""The encoder halves of T5 v1.0, as their config.json gives them."""
GTR = ("base", "large", "xl")
"""The shapes that GTR and INSTRUCTOR have."""
VOCABULARY = 32128
STATE_BYTES = 16  # a parameter: float32 weight and gradient, AdamW's two moments
TEXTS = 3  # of a row: query, positive, negative
ACHIEVED = 100e12  # operations a second, for the column of hours; an assumption, not a measurement
_GIB = 1024**3


@dataclass(frozen=True)
class Step:
    """One training step: rows of three texts, each of so many tokens."""

    rows: int
    length: int

    @property
    def tokens(self) -> int:
        """Of all texts."""
        return self.rows * TEXTS * self.length


def shaped(name: str, device: str = "meta", **changes: int) -> T5EncoderModel:
    """A random backbone of T5's shape, without dropout.

    Args:
        name: of the shape.
        device: meta has no weights at all.
        changes: to the shape, such as ``num_layers=2``.
    """
    config = T5Config(**(SHAPES[name] | {"vocab_size": VOCABULARY, "dropout_rate": 0.0} | changes))
    with torch.device(device):
        return T5EncoderModel(config).train()


def chosen_encoder(name: str, shape: str | None) -> InstructionEncoder:
    """The named encoder, or with a shape a random one that has the named one's tokenizer.

    Raises:
        CheckpointError: if there is no such encoder.
    """
    encoder = load_encoder(name)
    if shape is None:
        return encoder
    torch.manual_seed(0)
    return InstructionEncoder(shaped(shape, "cpu"), encoder.tokenizer).eval()


def kept_bytes(backbone: nn.Module, texts: int, length: int) -> int:
    """What autograd keeps of a forward pass, the weights not counted."""
    weights = {_storage(weight) for weight in backbone.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in weights:
            kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    device = next(backbone.parameters()).device
    ids = torch.ones(texts, length, dtype=torch.int64, device=device)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = backbone(input_ids=ids).last_hidden_state  # alive until all is counted
    del hidden
    return sum(kept.values())


def matrix_parameters(backbone: nn.Module) -> int:
    """Parameters that every token is multiplied by: all but the embeddings of words and positions."""
    looked_up = {id(m.weight) for m in backbone.modules() if isinstance(m, nn.Embedding)}
    return sum(weight.numel() for weight in backbone.parameters() if id(weight) not in looked_up)


def operations(backbone: nn.Module, tokens: int) -> float:
    """Of a training step, forward and backward."""
    return 6.0 * matrix_parameters(backbone) * tokens


def estimates(step: Step, steps: int, names: Iterable[str] = GTR) -> Grid:
    """A row for each size."""
    head = ["size", "parameters, millions", "weights, gradients, AdamW, GiB", "activations, GiB", "in bfloat16, GiB",
            "with gradient_checkpointing, GiB", f"10^15 operations for {steps:,} steps", "hours"]  # fmt: skip
    return Grid(head, [_row(name, step, steps) for name in names])


def _row(name: str, step: Step, steps: int) -> list[str]:
    backbone = shaped(name)
    parameters, layers = sum(weight.numel() for weight in backbone.parameters()), SHAPES[name]["num_layers"]
    kept = [kept_bytes(shaped(name).to(dtype), step.rows * TEXTS, step.length) for dtype in _DTYPES]
    again = kept[1] / layers + 2 * layers * SHAPES[name]["d_model"] * step.tokens  # one layer, and each one's input
    total = operations(backbone, step.tokens) * steps
    gigabytes = [f"{count / _GIB:.1f}" for count in (STATE_BYTES * parameters, *kept, again)]
    return [name, f"{parameters / 1e6:.0f}", *gigabytes, f"{total / 1e15:.0f}", f"{total / ACHIEVED / 3600:.1f}"]


_DTYPES = (torch.float32, torch.bfloat16)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=4, help="of a batch on one GPU [%(default)s, the paper's]")
    parser.add_argument("--length", type=int, default=512, help="tokens of every text [%(default)s, the paper's most]")
    parser.add_argument("--steps", type=int, default=20000, help="[%(default)s, the paper's]")
    arguments = parser.parse_args()
    grid = estimates(Step(arguments.rows, arguments.length), arguments.steps)
    sys.stdout.write(f"Estimates from shapes; hours at {ACHIEVED / 1e12:.0f} TFLOP/s achieved.\n\n{grid.markdown()}\n")


if __name__ == "__main__":
    main()
