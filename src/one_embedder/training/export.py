"""From what a fit leaves to the encoder that is saved: whole weights, mixed with the backbone's where asked for.

Mixing: each weight is ``share * backbone + (1 - share) * finetuned``. Between the two the loss has no barrier when the
one was finetuned from the other, and the mix often keeps what the backbone could do besides learning the new tasks
(WiSE-FT, arXiv:2109.01903; for embedders LM-Cocktail, arXiv:2311.13534).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from one_embedder.config.schema import Config
from one_embedder.embedding.prompts import SETTINGS
from one_embedder.encoder.checkpoint import load_encoder, weights_sha256
from one_embedder.encoder.folder import read_object
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import JOININGS
from one_embedder.errors import DataError
from one_embedder.instructions.detail import at_detail
from one_embedder.tracking.manifest import write_atomically

Weights = Mapping[str, Tensor]

_ENCODER = "encoder."  # in the state of the Lightning module


def load_backbone_of(cfg: Config) -> InstructionEncoder:
    """The encoder that a run begins with.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    settings = cfg.encoder
    return load_encoder(
        settings.name_or_path,
        revision=settings.revision,
        joining=settings.joining,
        max_length=settings.max_length,
        layers=settings.layers,
    )


def exported(
    cfg: Config, encoder: InstructionEncoder, revision: str, sharded: Weights | None = None
) -> InstructionEncoder:
    """The encoder as it is saved.

    Args:
        cfg: says what it began with, and ``trainer.backbone_share``.
        encoder: the trained one, left as it is.
        revision: hash of the weights that the run began with.
        sharded: name -> whole weight of the Lightning module, where ``encoder`` holds shards only.

    Returns:
        ``encoder`` itself where nothing is sharded or mixed; else another one, in evaluation mode on its device.

    Raises:
        DataError: the backbone's folder has other weights than when the run began.
    """
    share = cfg.trainer.backbone_share
    if sharded is None and not share:
        return encoder
    fresh = load_backbone_of(cfg).to(encoder.device)
    # Not encoder.state_dict() where it is sharded: all processes would have to ask, and only the main one is here.
    trained = encoder.state_dict() if sharded is None else _of_encoder(sharded)
    if share:
        if weights_sha256(fresh) != revision:
            raise DataError(
                f"{cfg.encoder.name_or_path} has other weights than when this training began: trainer.backbone_share "
                "would mix in another model's; put the old ones back and run the same command"
            )
        trained = mixed(fresh.state_dict(), trained, share)
    fresh.load_state_dict(trained)
    return fresh


def mixed(backbone: Weights, finetuned: Weights, share: float) -> dict[str, Tensor]:
    """``share * backbone + (1 - share) * finetuned`` of every weight; equal weights (frozen layers) stay bit for bit.

    Args:
        backbone: name -> weight.
        finetuned: the same names; neither is changed, so that weights under two names are mixed once.
        share: 0 to 1.
    """
    return {
        name: weight.lerp(backbone[name].to(weight.device), share) if weight.is_floating_point() else weight
        for name, weight in finetuned.items()
    }


def _of_encoder(module: Weights) -> dict[str, Tensor]:
    return {key.removeprefix(_ENCODER): value for key, value in module.items() if key.startswith(_ENCODER)}


def saved_prompts(cfg: Config, of_data: Mapping[str, str]) -> dict[str, str]:
    """The instructions under the names that mteb looks for: ``<task>`` and ``<task>-query|document``.

    Args:
        cfg: with the evaluation instructions.
        of_data: the prompts that the training data name (``Medi.prompts``).
    """
    if not cfg.with_instructions:
        return {}
    sides = [(task, side, text) for task, table in cfg.instructions.table.items() for side, text in table.items()]
    of_table = {
        task if side == "text" else f"{task}-{side}": at_detail(text, cfg.instruction_detail, task)
        for task, side, text in sides
    }
    return {**(of_data if cfg.instruction_detail == "detailed" else {}), **of_table}


def renewed_prompts(folder: Path, prompts: Mapping[str, str], joining: str) -> bool:
    """Write the prompts of a saved encoder again if they are others now: no training depends on them.

    Args:
        folder: as ``save_encoder`` wrote it; one without its settings is left as it is.
        prompts: as ``saved_prompts`` gives them.
        joining: the tokenizer's, which says how a prompt is written.

    Returns:
        Whether they were others.

    Raises:
        CheckpointError: the settings are damaged.
    """
    path = folder / SETTINGS
    if not path.is_file():
        return False
    settings = read_object(path)
    wanted = {name: JOININGS[joining].prompt(text) for name, text in prompts.items()}
    if settings.get("prompts") == wanted:
        return False
    write_atomically(path, json.dumps(settings | {"prompts": wanted}, indent=2, ensure_ascii=False) + "\n")
    return True
