"""What FSDP is told; training with it: ``test_two_processes``."""

from __future__ import annotations

import torch

from one_embedder.training.sharding import ShardedPrecision


def test_in_bf16_mixed_weights_and_gradients_stay_in_float32_as_without_sharding() -> None:
    """Lightning's own would round the weights before each layer, and the gradients before they are added up."""
    told = ShardedPrecision("bf16-mixed").mixed_precision_config
    assert (told.param_dtype, told.reduce_dtype, told.buffer_dtype) == (torch.float32,) * 3
