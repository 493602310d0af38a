"""One Embedder, Any Task: instruction-finetuned text embeddings, reproduced."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from one_embedder.embedding.embedder import InstructionEmbedder
    from one_embedder.embedding.instructor import INSTRUCTOR
    from one_embedder.instructions.template import Instruction

__all__ = ["INSTRUCTOR", "Instruction", "InstructionEmbedder"]

_MODULES = {
    "INSTRUCTOR": "embedding.instructor",
    "Instruction": "instructions.template",
    "InstructionEmbedder": "embedding.embedder",
}


def __getattr__(name: str) -> Any:
    """Import the public classes on first use: the encoder brings torch, which ``--help`` should not wait for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"one_embedder.{_MODULES[name]}"), name)
