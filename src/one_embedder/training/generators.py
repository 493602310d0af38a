"""The generators that a training step draws from: the CPU's and, on an accelerator, the accelerator's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GeneratorState:
    """Torch's generators at one moment.

    Attributes:
        device: that is computed on.
        cpu: state of the CPU's generator, uint8.
        accelerator: state of the device's generator (CUDA and MPS have one each), uint8; None on the CPU.
    """

    device: torch.device
    cpu: Tensor
    accelerator: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> GeneratorState:
        """The state of the CPU's generator and of the device's, where it has its own."""
        own = None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)
        return cls(device, torch.get_rng_state(), own)

    def restore(self) -> None:
        """Go on drawing as at that moment."""
        torch.set_rng_state(self.cpu)
        if self.accelerator is not None:
            torch.get_device_module(self.device).set_rng_state(self.accelerator, self.device)


@contextmanager
def replayed(state: GeneratorState) -> Iterator[None]:
    """Draw again what was drawn after ``state``; afterwards go on as if nothing had been drawn."""
    before = GeneratorState.now(state.device)
    state.restore()
    try:
        yield
    finally:
        before.restore()
