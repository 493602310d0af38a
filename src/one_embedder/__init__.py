"""One Embedder, Any Task: instruction-finetuned text embeddings, reproduced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from one_embedder.embedding.embedder import InstructionEmbedder
    from one_embedder.instructions.template import Instruction

__all__ = ["Instruction", "InstructionEmbedder"]


def __getattr__(name: str) -> Any:
    """Import the two public classes on first use: the encoder brings torch, which ``--help`` should not wait for."""
    if name == "Instruction":
        from one_embedder.instructions.template import Instruction

        return Instruction
    if name == "InstructionEmbedder":
        from one_embedder.embedding.embedder import InstructionEmbedder

        return InstructionEmbedder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
