"""FSDP: the weights of each transformer layer, their gradients and the optimizer's state are spread over the GPUs."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.plugins.precision import FSDPPrecision
from pytorch_lightning.strategies import FSDPStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecision
from transformers.modeling_layers import GradientCheckpointingLayer


def sharded_strategy() -> FSDPStrategy:
    """Shards layer by layer, so that only one layer at a time is whole on a GPU.

    Lightning's ``fsdp`` by name would shard the encoder as one piece, all of which is put together for each pass.
    Checkpoints are one file with all weights, as without sharding.
    """
    return FSDPStrategy(auto_wrap_policy={GradientCheckpointingLayer}, state_dict_type="full")


class ShardedPrecision(FSDPPrecision):
    """FSDP's mixed precision for batches of token ids and masks."""

    @property
    def mixed_precision_config(self) -> MixedPrecision:
        """Nothing is rounded: Lightning's own would round weights and summed gradients, where autocast is enough."""
        return MixedPrecision(torch.float32, torch.float32, torch.float32)

    def convert_input(self, data: Any) -> Any:
        """As they are: there are no floats to cast, and Lightning refuses to look into frozen dataclasses."""
        return data


def clip_sharded(model: nn.Module | None, max_norm: float) -> Tensor | None:
    """Clip the gradient by its norm over all GPUs; None, and nothing done, where the model is not sharded.

    Each GPU sees the gradient of its own shard only: clipped by that norm, every shard would shrink differently.

    Returns:
        The norm before clipping.
    """
    return model.clip_grad_norm_(max_norm) if isinstance(model, FullyShardedDataParallel) else None


class WholeWeights(Callback):
    """Puts the weights together when training ends: afterwards each process holds its shards only.

    Attributes:
        state: name -> weight of the Lightning module, on the CPU of the main process; None where nothing is sharded.
    """

    def __init__(self) -> None:
        self.state: dict[str, Tensor] | None = None

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """On all processes: each gives its part. Also where a run that goes on has no step left to train."""
        if isinstance(trainer.strategy, FSDPStrategy):
            state = trainer.strategy.lightning_module_state_dict()
            self.state = state if trainer.is_global_zero else None
