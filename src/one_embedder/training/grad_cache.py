"""The gradient of a large contrastive batch in the memory of a small one.

A contrastive loss needs all embeddings of a batch at once, but not all activations at once (Gao et al. 2021, "Scaling
Deep Contrastive Learning Batch Size under Memory Limited Setup", arXiv:2101.06983):

1. Each chunk is embedded without keeping activations; the random state before it is noted.
2. The loss of all embeddings gives the gradient of each embedding.
3. Each chunk is embedded again, with the same random state and so the same dropout, and sends its embeddings' gradient
   back through the encoder.

The result is the plain gradient of the same chunks, for the price of one more forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import TokenizedBatch
from one_embedder.training.generators import GeneratorState, replayed


@dataclass(frozen=True)
class Chunk:
    """Some rows of what one forward pass would embed.

    Attributes:
        number: of the pass.
        rows: which of its rows.
        texts: those rows, tokenized.
    """

    number: int
    rows: slice
    texts: TokenizedBatch


def cached_backward(
    encoder: InstructionEncoder,
    passes: Sequence[TokenizedBatch],
    mini_batch_size: int,
    *,
    loss: Callable[[Sequence[Tensor]], Tensor],
    backward: Callable[[Tensor, bool], None],
    parameters: Sequence[Tensor] = (),
) -> Tensor:
    """Add the gradient of a loss of a batch's embeddings to the parameters, a chunk at a time.

    Args:
        encoder: embeds; called twice for each chunk.
        passes: what would be embedded, a forward pass each, such as the sides of a batch; each is cut into chunks.
        mini_batch_size: rows of a chunk, at least 1; the last chunk of a pass may have fewer.
        loss: the embeddings of each pass, (rows, D), -> scalar. Called once. It may gather from other processes.
        backward: back-propagates a scalar; the flag is True for the last one, with which DDP has to average the
            accumulated gradients. Every parameter takes part in the last one.
        parameters: what the loss depends on besides the embeddings, such as a learned temperature.

    Returns:
        The loss, detached.
    """
    chunks = cut(passes, mini_batch_size)
    states, leaves = _embed_without_graph(encoder, chunks, len(passes))
    value = loss(leaves)
    gradients = torch.autograd.grad(value, [*leaves, *parameters], materialize_grads=True)  # a loss may ignore some
    of_embeddings, of_parameters = gradients[: len(leaves)], gradients[len(leaves) :]
    for number, (chunk, state) in enumerate(zip(chunks, states, strict=True), start=1):
        with replayed(state):
            embedding = encoder(chunk.texts)
        share = (embedding * of_embeddings[chunk.number][chunk.rows]).sum()
        is_last = number == len(chunks)
        if is_last:
            share = share + sum((p * g).sum() for p, g in zip(parameters, of_parameters, strict=True))
        backward(share, is_last)
    return value.detach()


def cut(passes: Sequence[TokenizedBatch], mini_batch_size: int) -> list[Chunk]:
    """Every row of every pass once, in order, at most ``mini_batch_size`` at a time."""
    return [
        Chunk(number, rows := slice(first, first + mini_batch_size), texts[rows])
        for number, texts in enumerate(passes)
        for first in range(0, len(texts), mini_batch_size)
    ]


def _embed_without_graph(
    encoder: InstructionEncoder, chunks: Sequence[Chunk], passes: int
) -> tuple[list[GeneratorState], list[Tensor]]:
    """The random state before each chunk, and each pass's embeddings as leaves that take a gradient."""
    states: list[GeneratorState] = []
    embeddings: list[list[Tensor]] = [[] for _ in range(passes)]
    with torch.no_grad():
        for chunk in chunks:
            states.append(GeneratorState.now(chunk.texts.input_ids.device))
            embeddings[chunk.number].append(encoder(chunk.texts))
    return states, [torch.cat(parts).requires_grad_() for parts in embeddings]
