"""Trainings that start from another's checkpoint, which is how a finished one is extended.

A finished run does not go on: its schedule ended at a learning rate of zero. A new run that starts from its checkpoint
has a warm-up, an order of batches and an optimizer of its own, and names its parent in its record, under ``model``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.files.location import inside_project
from one_embedder.tracking.identity import TRAINING_SECTIONS, facts, resolved
from one_embedder.tracking.manifest import read_manifest, read_settings
from one_embedder.training.outcome import BEST, CHECKPOINT


def parent_of(encoder: str, weights_sha256: str) -> dict[str, Any] | None:
    """The training whose checkpoint a run starts from.

    Args:
        encoder: ``encoder.name_or_path``.
        weights_sha256: of the weights that were loaded from there.

    Returns:
        Its ``run_id``, which ``checkpoint`` of it, the ``steps`` that this one had (None while that is not recorded),
        ``weights_sha256``, and its own ``base`` and ``parent``; None where the encoder is no run's.
    """
    folder = Path(encoder).expanduser().resolve()  # a link has another name
    manifest = _training(folder.parent)
    if manifest is None or folder.name not in (CHECKPOINT, BEST):
        return None
    cost, metrics = manifest["cost"] or {}, (manifest["outcome"] or {}).get("metrics", {})
    return {
        "run_id": manifest["run_id"],
        "checkpoint": folder.name,
        "steps": metrics.get("best_step") if folder.name == BEST else cost.get("steps"),
        "weights_sha256": weights_sha256,
        "base": manifest["model"]["base"],
        "parent": manifest["model"].get("parent"),
    }


def first_base(model: Mapping[str, Any]) -> str:
    """The encoder with which a line of trainings began; ``model`` is that section of a run record."""
    parent = model.get("parent")
    return first_base(parent) if parent else str(model["base"])


def how_to_extend(cfg: Config, data_sha256: str, revision: str, folders: Iterable[Path]) -> str | None:
    """What to do instead of a longer training, if one of the folders holds the same one of fewer steps, finished.

    Args:
        cfg: of the longer training.
        data_sha256: of its training data.
        revision: hash of the weights that it starts from.
        folders: of runs.
    """
    if cfg.trainer.share_of_steps:  # max_steps is not what it takes
        return None
    wanted = _but_for_steps(resolved(cfg))
    for folder in folders:
        manifest = _training(folder)
        if manifest is None or manifest["status"] != "completed":
            continue
        if (manifest["data"][0]["sha256"], manifest["model"]["revision"]) != (data_sha256, revision):
            continue
        try:
            settings = read_settings(folder)
        except DataError:  # of another run: no reason to end this one
            continue
        steps, more = settings["trainer"]["max_steps"], cfg.trainer.max_steps - settings["trainer"]["max_steps"]
        if more > 0 and _but_for_steps(settings) == wanted:
            return (
                f"{folder} holds the same training of {steps} steps, finished, with a schedule that ended there. To "
                f"train {more} steps more from its weights, in a run of its own whose record names this one: "
                f"encoder.name_or_path={inside_project(folder / CHECKPOINT)} trainer.max_steps={more} "
                f"seed={cfg.seed + 1} (another seed, for another order of batches)"
            )
    return None


def _training(folder: Path) -> dict[str, Any] | None:
    """The record of a training; None where there is none."""
    try:
        manifest = read_manifest(folder)
    except DataError:
        return None
    return manifest if manifest.get("name") == "train" else None


def _but_for_steps(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What determines a training, without its length."""
    trainer = {key: value for key, value in settings["trainer"].items() if key != "max_steps"}
    return facts({**settings, "trainer": trainer}, TRAINING_SECTIONS)
