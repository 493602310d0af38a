"""InstructorEmbedding's way from an instruction and a text to an embedding: one pair at a time, step by step.

Written from the rules of both published versions, ``"pypi"`` (release 1.0.1) and ``"head"`` (the repository since
January 2024), without padding, masks or batches. The encoder under test lends its weights and its tokenizer only.
"""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerFast

from one_embedder.encoder.model import InstructionEncoder


def published_tokens(
    tokenizer: PreTrainedTokenizerFast, instruction: str, text: str, *, joining: str, max_length: int
) -> tuple[list[int], int]:
    """Token ids of the joined text, and how many of the first ones are not pooled."""
    if joining == "head":
        instruction = instruction.strip()
    joined = instruction + text.strip()
    ids = _cut(tokenizer(joined.strip())["input_ids"], max_length)
    instruction_ids = _cut(tokenizer(instruction.strip())["input_ids"], max_length)
    skipped = len(instruction_ids) - 1  # its end token is not in the joined text
    if joining == "pypi" and skipped <= 1:
        skipped = 0
    return ids, skipped


@torch.no_grad()
def published_embedding(encoder: InstructionEncoder, instruction: str, text: str, *, joining: str) -> torch.Tensor:
    """The embedding (D,), of length 1; zero where the package pools nothing at all."""
    ids, skipped = published_tokens(
        encoder.tokenizer.tokenizer, instruction, text, joining=joining, max_length=encoder.tokenizer.max_length
    )
    hidden = encoder.backbone(input_ids=torch.tensor([ids])).last_hidden_state[0]
    total = torch.zeros_like(hidden[0])
    for place in range(skipped, len(ids)):
        total = total + hidden[place]
    pooled = total / max(len(ids) - skipped, 1e-9)
    for layer in encoder.dense:
        pooled = layer.linear.weight @ pooled
        if layer.linear.bias is not None:
            pooled = pooled + layer.linear.bias
        pooled = layer.activation(pooled)
    return pooled / pooled.norm().clamp(min=1e-12)


def _cut(ids: list[int], max_length: int) -> list[int]:
    """The first ids and the end token, at most ``max_length`` in all."""
    return ids if len(ids) <= max_length else [*ids[: max_length - 1], ids[-1]]
