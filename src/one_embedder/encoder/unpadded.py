"""The transformer without its padding: exact, and faster by what padding and unpooled positions would have cost.

A batch of texts of unequal length is mostly padding to the layers of a transformer. Here the texts lie one behind the
other, (T, W) for T real tokens, and every layer but the attention works on those rows alone. Attention puts them into
their padded places and takes them out again: with texts this short it is a few percent of the work. The last layer
computes its output only where pooling will look: an instruction's tokens are attended to, and nothing else.

Values and gradients are those of the padded forward pass up to the order of additions. BERT, MPNet and T5 encoders can
do it; whatever else is asked for (other families, decoders, sharded or checkpointed layers, float16 T5) goes the padded
way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertModel, MPNetModel, PreTrainedModel, T5EncoderModel
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.mpnet.modeling_mpnet import MPNetLayer, create_position_ids_from_input_ids
from transformers.models.t5.modeling_t5 import T5Block

from one_embedder.encoder.pooling import at_least_float32
from one_embedder.encoder.tokenize import TokenizedBatch

Hidden = Callable[[PreTrainedModel, "Places"], Tensor]


@dataclass(frozen=True)
class Places:
    """Where the real tokens of a padded batch of B texts and L positions lie.

    Attributes:
        batch: the padded batch.
        tokens: (T,) int64, place of each real token among the B x L.
        pooled: (P,) int64, which of those T are pooled.
        mask: (B, 1, 1, L) bool, what may be attended to; None where nothing is padded.
    """

    batch: TokenizedBatch
    tokens: Tensor
    pooled: Tensor
    mask: Tensor | None

    @classmethod
    def of(cls, batch: TokenizedBatch) -> Places:
        """The places of a batch's tokens."""
        real = batch.attention_mask.bool()
        tokens = real.flatten().nonzero().squeeze(1)
        pooled = batch.pooling_mask.flatten().index_select(0, tokens).nonzero().squeeze(1)
        return cls(batch, tokens, pooled, None if bool(real.all()) else real[:, None, None, :])

    @property
    def input_ids(self) -> Tensor:
        """(T,)."""
        return self.batch.input_ids.flatten().index_select(0, self.tokens)

    @property
    def positions(self) -> Tensor:
        """(T,), each token's position in its text."""
        return self.tokens % self.batch.input_ids.shape[1]

    def padded(self, rows: Tensor, places: Tensor) -> Tensor:
        """(n, W) rows at (n,) of the B x L places -> (B, L, W), zero elsewhere."""
        texts, length = self.batch.input_ids.shape
        spread = rows.new_zeros(texts * length, rows.shape[1]).index_copy(0, places, rows)
        return spread.view(texts, length, -1)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        heads: int,
        only_pooled: bool,
        bias: Tensor | None = None,
        scale: float | None = None,
        dropout: float = 0.0,
    ) -> Tensor:
        """Each text's attention over itself.

        Args:
            query: (T, W), or (P, W) with ``only_pooled``.
            key: (T, W).
            value: (T, W).
            heads: W is divided among them.
            only_pooled: the queries are the pooled tokens only.
            bias: (1, heads, L, L), added to the scores.
            scale: of the scores; None: one over the root of the width of a head.
            dropout: of the shares.

        Returns:
            (T, W) or (P, W), as the queries.
        """
        asking = self.tokens.index_select(0, self.pooled) if only_pooled else self.tokens

        def by_head(rows: Tensor, places: Tensor) -> Tensor:
            spread = self.padded(rows, places)
            return spread.view(*spread.shape[:2], heads, -1).transpose(1, 2)  # (B, heads, L, W / heads)

        mask = self.mask
        if bias is not None:
            bias = bias.to(query.dtype)
            mask = bias if mask is None else bias.masked_fill(~mask, torch.finfo(bias.dtype).min)
        sides = by_head(query, asking), by_head(key, self.tokens), by_head(value, self.tokens)
        mixed = functional.scaled_dot_product_attention(*sides, attn_mask=mask, dropout_p=dropout, scale=scale)
        return mixed.transpose(1, 2).flatten(2).flatten(0, 1).index_select(0, asking)


def unpadded_means(backbone: PreTrainedModel, batch: TokenizedBatch) -> Tensor | None:
    """Mean of the last hidden states at the pooled positions; None where only the padded way can compute it.

    Returns:
        (B, W) float32, or float64 for float64.
    """
    hidden = _computes(backbone)
    if hidden is None:
        return None
    places = Places.of(batch)
    states = at_least_float32(hidden(backbone, places))
    total = places.padded(states, places.tokens.index_select(0, places.pooled)).sum(dim=1)
    return total / batch.pooling_mask.sum(dim=1, keepdim=True).clamp(min=1)


def is_unpadded(backbone: PreTrainedModel) -> bool:
    """Whether ``unpadded_means`` computes this backbone as it is now."""
    return _computes(backbone) is not None


def _computes(backbone: PreTrainedModel) -> Hidden | None:
    """The function for the backbone's family, while its layers are plain ones: not sharded, not checkpointed."""
    if getattr(backbone.config, "is_decoder", False):  # each token then attends to those before it only
        return None
    if type(backbone) is BertModel and _are_plain(backbone.encoder.layer, BertLayer):
        return _bert
    if type(backbone) is MPNetModel and _are_plain(backbone.encoder.layer, MPNetLayer):
        return _mpnet
    if type(backbone) is T5EncoderModel and _are_plain(backbone.encoder.block, T5Block):
        return _t5 if backbone.dtype != torch.float16 else None  # its hidden states overflow unless they are clamped
    return None


def _are_plain(layers: Any, kind: type[nn.Module]) -> bool:
    return all(type(layer) is kind and not getattr(layer, "gradient_checkpointing", False) for layer in layers)


def _with_last(layers: nn.ModuleList) -> Iterator[tuple[Any, bool]]:
    """Each layer, and whether it is the last."""
    for number, layer in enumerate(layers, start=1):
        yield layer, number == len(layers)


def _bert(backbone: PreTrainedModel, places: Places) -> Tensor:
    """(P, W), the last hidden states of the pooled tokens."""
    model = cast(Any, backbone)
    hidden: Tensor = model.embeddings(input_ids=places.input_ids[None], position_ids=places.positions[None])[0]
    for layer, is_last in _with_last(model.encoder.layer):
        attention = layer.attention.self
        asking = hidden.index_select(0, places.pooled) if is_last else hidden
        mixed = places.attend(
            attention.query(asking),
            attention.key(hidden),
            attention.value(hidden),
            heads=attention.num_attention_heads,
            only_pooled=is_last,
            dropout=attention.dropout.p if attention.training else 0.0,
        )
        attended = layer.attention.output(mixed, asking)
        hidden = layer.output(layer.intermediate(attended), attended)
    return hidden


def _mpnet(backbone: PreTrainedModel, places: Places) -> Tensor:
    """(P, W), the last hidden states of the pooled tokens."""
    model = cast(Any, backbone)
    positions: Tensor = create_position_ids_from_input_ids(  # type: ignore[no-untyped-call]
        places.batch.input_ids, model.embeddings.padding_idx
    )
    positions = positions.flatten().index_select(0, places.tokens)
    hidden: Tensor = model.embeddings(input_ids=places.input_ids[None], position_ids=positions[None])[0]
    bias = model.encoder.compute_position_bias(places.batch.input_ids[:1])
    for layer, is_last in _with_last(model.encoder.layer):
        attention = layer.attention.attn
        asking = hidden.index_select(0, places.pooled) if is_last else hidden
        mixed = places.attend(
            attention.q(asking),
            attention.k(hidden),
            attention.v(hidden),
            heads=attention.num_attention_heads,
            only_pooled=is_last,
            bias=bias,
            dropout=attention.dropout.p if attention.training else 0.0,
        )
        attended = layer.attention.LayerNorm(layer.attention.dropout(attention.o(mixed)) + asking)
        hidden = layer.output(layer.intermediate(attended), attended)
    return hidden


def _t5(backbone: PreTrainedModel, places: Places) -> Tensor:
    """(P, W), the last hidden states of the pooled tokens."""
    stack = cast(Any, backbone).encoder
    hidden: Tensor = stack.dropout(stack.embed_tokens(places.input_ids))
    length = places.batch.input_ids.shape[1]
    bias = stack.block[0].layer[0].SelfAttention.compute_bias(length, length, device=hidden.device)
    for block, is_last in _with_last(stack.block):
        inner, attention = block.layer[0], block.layer[0].SelfAttention
        normed = inner.layer_norm(hidden)
        asking = normed.index_select(0, places.pooled) if is_last else normed
        mixed = places.attend(
            attention.q(asking),
            attention.k(normed),
            attention.v(normed),
            heads=attention.n_heads,
            only_pooled=is_last,
            bias=bias,
            scale=1.0,  # T5 has it in its weights
            dropout=attention.dropout if attention.training else 0.0,
        )
        hidden = hidden.index_select(0, places.pooled) if is_last else hidden
        hidden = block.layer[-1](hidden + inner.dropout(attention.o(mixed)))
    return cast(Tensor, stack.dropout(stack.final_layer_norm(hidden)))
