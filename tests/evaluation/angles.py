"""Tasks of the two categories that mteb does not know, and an encoder whose cosines can be worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from one_embedder.evaluation.encoder import CachingEncoder
from one_embedder.evaluation.tasks.folder import TaskFolder


class AngleEncoder:
    """A text is an angle in degrees; cosines are known."""

    revision = "angles"

    def encode(
        self, sentences: Sequence[str], instruction: str, *, batch_size: int, show_progress_bar: bool | None
    ) -> np.ndarray:
        angles = np.radians([float(text.split()[-1]) for text in sentences])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def angles() -> CachingEncoder:
    return CachingEncoder(AngleEncoder(), batch_size=8)


def folder(path: Path, category: str, **files: list[dict]) -> TaskFolder:
    """A task named Task; each keyword is a file."""
    for name, rows in files.items():
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TaskFolder("Task", category, path)
