"""``last.ckpt``: written whole or not at all, and looked at before it is trusted."""

from __future__ import annotations

import logging
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from one_embedder.errors import OneEmbedderError
from one_embedder.files.disk import writing
from one_embedder.training.divergence import require_finite_weights

log = logging.getLogger(__name__)

LAST = "last.ckpt"
_UNUSABLE = (
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    OneEmbedderError,
)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames: a process killed while saving leaves the older checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Save on this process; Lightning calls it on rank 0 only."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            with writing(target), partial.open("wb") as file:  # torch's own writer would hide why it cannot write
                torch.save(checkpoint, file)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def resumable(path: Path) -> Path | None:
    """The checkpoint if it exists and is whole, else None; a damaged one is reported."""
    if not path.is_file():
        return None
    try:
        _check(path)
    except _UNUSABLE as error:
        log.warning("%s cannot be used (%s): training starts over", path, error)
        return None
    return path


def _check(path: Path) -> None:
    """Raise unless every part of the file matches its checksum and it holds a training state of finite weights."""
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"its part {damaged} is damaged")
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(content, dict):
        raise ValueError("it is no training state")
    for key in ("state_dict", "global_step", "optimizer_states", "loops"):
        if key not in content:
            raise KeyError(key)
    require_finite_weights(content["state_dict"], "its end")
