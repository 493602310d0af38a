"""A function on several CPU processes at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing

RANKS = 2


def run_distributed(function: Callable[..., Any], folder: Path, *arguments: Any) -> list[Any]:
    """Call ``function(*arguments)`` on two processes of one gloo group; what each returned, in order of rank.

    Args:
        function: importable by its name. Lightning finds the group and starts no processes of its own.
        folder: where results pass through.
        arguments: picklable.
    """
    multiprocessing.spawn(_call, (function, folder, arguments), nprocs=RANKS)
    return [torch.load(folder / f"result{rank}.pt", weights_only=False) for rank in range(RANKS)]


def _call(rank: int, function: Callable[..., Any], folder: Path, arguments: tuple[Any, ...]) -> None:
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'rendezvous'}", rank=rank, world_size=RANKS)
    torch.save(function(*arguments), folder / f"result{rank}.pt")
    distributed.destroy_process_group()
