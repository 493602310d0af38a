"""The encoder: transformer, masked mean, dense layers, unit length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from one_embedder.encoder.dense import Dense
from one_embedder.encoder.pooling import at_least_float32, masked_mean
from one_embedder.encoder.tokenize import InstructionTokenizer, TokenizedBatch
from one_embedder.encoder.unpadded import is_unpadded, unpadded_means
from one_embedder.errors import CheckpointError


class InstructionEncoder(nn.Module):
    """Any Hugging Face text encoder with INSTRUCTOR's pooling on top.

    Args:
        backbone: an encoder whose output has ``last_hidden_state``, (B, L, hidden_size).
        tokenizer: joins, tokenises and masks; made for this backbone.
        dense: layers between pooling and normalisation, in order; usually none or one.

    Attributes:
        skip_padding: leave padding out of the computation where the backbone can do without it (``unpadded``). False
            computes it as transformers does; embeddings are the same up to the order of additions.

    Raises:
        CheckpointError: if the layers' sizes do not fit each other or the tokenizer has ids beyond the vocabulary.
    """

    def __init__(self, backbone: PreTrainedModel, tokenizer: InstructionTokenizer, dense: Sequence[Dense] = ()) -> None:
        super().__init__()
        _check_sizes(backbone, tokenizer, dense)
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.dense = nn.Sequential(*dense)
        self.skip_padding = True

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        if len(self.dense):
            return cast(Dense, self.dense[-1]).linear.out_features
        return int(self.backbone.config.hidden_size)

    def forward(self, batch: TokenizedBatch) -> Tensor:
        """Embed one batch.

        Returns:
            (B, dimension) float32, or float64 from float64 weights, each row of length 1.
        """
        means = unpadded_means(self.backbone, batch) if self.skip_padding else None
        if means is None:
            hidden = self.backbone(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
            means = masked_mean(hidden, batch.pooling_mask)
        embedding: Tensor = self.dense(means)
        return functional.normalize(at_least_float32(embedding), dim=-1)

    @property
    def is_unpadded(self) -> bool:
        """Whether padding costs nothing: texts of any lengths may then share a batch."""
        return self.skip_padding and is_unpadded(self.backbone)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


def _check_sizes(backbone: PreTrainedModel, tokenizer: InstructionTokenizer, dense: Sequence[Dense]) -> None:
    width = int(backbone.config.hidden_size)
    for number, layer in enumerate(dense, start=1):
        if layer.linear.in_features != width:
            raise CheckpointError(
                f"dense layer {number} takes {layer.linear.in_features} features but is given {width}: "
                "its folder belongs to another model"
            )
        width = layer.linear.out_features
    vocabulary = int(backbone.config.vocab_size)
    if len(tokenizer.tokenizer) > vocabulary:
        raise CheckpointError(
            f"the tokenizer has {len(tokenizer.tokenizer)} tokens, the model only {vocabulary}: "
            "their files belong to different models"
        )
