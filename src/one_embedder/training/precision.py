"""fp32 or bf16: decided by measuring, because a CPU that only emulates bf16 is a hundred times slower with it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import torch

from one_embedder.errors import ConfigError

log = logging.getLogger(__name__)

PRECISIONS = ("auto", "32-true", "bf16-mixed")
WORTHWHILE = 1.2  # bf16 has to be this many times faster; below, the rounding is not worth it
# Of the size that training has: (rows x tokens, width) times (width, 4 widths). GPUs need more to be busy.
_SHAPES = {"cpu": (512, 384, 1536), "cuda": (4096, 1024, 4096), "mps": (2048, 1024, 4096)}


@dataclass(frozen=True)
class Precision:
    """A choice and its reason.

    Attributes:
        name: Lightning's name, ``32-true`` or ``bf16-mixed``.
        reason: why, for the log.
    """

    name: str
    reason: str


def choose_precision(requested: str, device: torch.device) -> Precision:
    """Resolve ``trainer.precision``; ``auto`` multiplies two matrices in fp32 and bf16 on the device (under 2 s).

    Raises:
        ConfigError: an unknown precision.
    """
    if requested not in PRECISIONS:
        raise ConfigError(f"trainer.precision={requested!r} is unknown; use one of {', '.join(PRECISIONS)}")
    if requested != "auto":
        return Precision(requested, "as configured")
    fp32, bf16 = measure_gflops(device, torch.float32), measure_gflops(device, torch.bfloat16)
    name = "bf16-mixed" if bf16 >= WORTHWHILE * fp32 else "32-true"
    return Precision(name, f"measured on {device.type}: fp32 {fp32:.0f}, bf16 {bf16:.0f} GFLOP/s")


def measure_gflops(device: torch.device, dtype: torch.dtype, *, repetitions: int = 5, budget_s: float = 0.5) -> float:
    """Best of a few matrix products in GFLOP/s (fewer of them when slow); 0.0 when the device has no such type."""
    m, k, n = _SHAPES.get(device.type, _SHAPES["cpu"])
    try:
        left = torch.ones(m, k, device=device, dtype=dtype)
        right = torch.ones(k, n, device=device, dtype=dtype)
        _product_seconds(left, right)  # the first one also loads libraries and picks a kernel
        best, began = float("inf"), time.perf_counter()
        for _ in range(repetitions):
            best = min(best, _product_seconds(left, right))
            if time.perf_counter() - began > budget_s:
                break
    except (RuntimeError, TypeError) as error:
        log.info("%s has no matrix product in %s: %s", device.type, dtype, error)
        return 0.0
    return 2 * m * k * n / best / 1e9


def _product_seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    _wait(left.device)
    began = time.perf_counter()
    torch.mm(left, right)
    _wait(left.device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    """Accelerators answer before they have finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
