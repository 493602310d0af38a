"""FSDP without a GPU, for tests: torch and Lightning can do it, but neither chooses it by itself."""

from __future__ import annotations

import torch
from pytorch_lightning.strategies import FSDPStrategy
from pytorch_lightning.strategies import fsdp as lightning_fsdp
from torch.distributed.fsdp import FullStateDictConfig, FullyShardedDataParallel, StateDictType
from torch.distributed.fsdp.api import FullOptimStateDictConfig
from torch.nn import Module

from one_embedder.training import sharding


class CpuFsdpStrategy(FSDPStrategy):
    """A kind of its own: Lightning refuses exactly ``FSDPStrategy`` on a CPU."""

    def _setup_model(self, model: Module) -> Module:
        """As Lightning's, with the device told: torch would look for a GPU."""
        return FullyShardedDataParallel(
            module=model,
            mixed_precision=self.mixed_precision_config,
            sharding_strategy=self.sharding_strategy,
            device_id=torch.device("cpu"),
            **self.kwargs,
        )


def shard_on_cpu() -> None:
    """Replace what ``one_embedder.training.sharding`` makes.

    What is put together is not moved to the CPU: it is there, and torch, which takes the move for a copy, would read
    weights that it has freed and save one moment of the optimizer as the other.
    """

    def whole(module: Module, world_size: int, rank0_only: bool = True) -> object:
        return FullyShardedDataParallel.state_dict_type(
            module,
            StateDictType.FULL_STATE_DICT,
            FullStateDictConfig(offload_to_cpu=False, rank0_only=rank0_only),
            FullOptimStateDictConfig(offload_to_cpu=False, rank0_only=rank0_only),
        )

    setattr(sharding, "FSDPStrategy", CpuFsdpStrategy)  # noqa: B010 - mypy knows it as a class
    setattr(lightning_fsdp, "_get_full_state_dict_context", whole)  # noqa: B010 - likewise a function
