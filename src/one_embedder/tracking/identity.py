"""Deterministic names for results: the same settings on the same data have the same id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from omegaconf import MISSING, OmegaConf

from one_embedder.config.schema import Config, LossConfig

# What determines a trained checkpoint, next to its data (whose hash callers pass as a part). Where things are written,
# how often progress is logged and how it is later evaluated are left out on purpose.
TRAINING_SECTIONS = (
    "seed",
    "with_instructions",
    "instruction_detail",
    "encoder",
    "sampler",
    "loss",
    "optimizer",
    "schedule",
    "trainer",
)
# Raise it when the same settings, data and seed begin to give other weights: earlier checkpoints are then not taken for
# those of the present code.
TRAINING_VERSION = 3
# The same for runs whose gradients Lightning accumulates; others do not have it in their ids.
ACCUMULATION_VERSION = 2
# Early stopping enters a run's id as a part, by what it watches and not by where that lies.
_WITHOUT_EFFECT = frozenset({"log_every_n_steps", "checkpoint_every_n_steps", "early_stopping"})
# Keys that came after the first results were recorded, with the value at which everything is as before they came. At
# that value they are left out, so that a new setting makes no earlier record stale.
NEUTRAL: Mapping[str, Any] = MappingProxyType(
    {
        "instruction_detail": "detailed",
        "encoder.layers": None,
        "evaluation.dtype": "float32",
        "evaluation.instructions": "right",
        "instructions.beside_tasks": False,
        "loss._target_": LossConfig._target_,
        "loss.bidirectional": True,
        "loss.hard_negatives": True,
        "loss.learn_temperature": False,
        "loss.gather_negatives": False,
        "loss.other_instruction_negatives": False,
        "loss.mask_margin": None,
        "loss.mask_same_label": False,
        "optimizer.layer_decay": 1.0,
        "trainer.share_of_steps": False,
        "trainer.mini_batch_size": None,
        "trainer.backbone_share": 0.0,
        "trainer.accumulate_grad_batches": 1,
        "sampler.strategy": "proportional",
        "sampler.temperature": None,
        "sampler.cap": None,
        "sampler.tasks": None,
        "sampler.symmetric": None,
        "trainer.gradient_checkpointing": False,
    }
)

_UNFILLED = ("${", MISSING)


def resolved(cfg: Config) -> dict[str, Any]:
    """The configuration as plain values, every ``${...}`` filled in."""
    values = asdict(cfg)
    if not any(mark in repr(values) for mark in _UNFILLED):
        return values  # as every composed one is; OmegaConf would take most of a second to find nothing to fill in
    container = OmegaConf.to_container(OmegaConf.structured(cfg), resolve=True, throw_on_missing=True)
    return dict(container)  # type: ignore[arg-type]


def config_hash(cfg: Config, sections: Sequence[str], *parts: str) -> str:
    """Sha256 (hex) of some sections of the configuration and of further parts, such as data hashes.

    Args:
        cfg: the configuration.
        sections: the top-level keys that determine the result in question; no others are looked at.
        parts: anything else that determines it. Their order counts.

    Raises:
        KeyError: if a section does not exist.
    """
    chosen = facts(resolved(cfg), sections)
    return hashlib.sha256(json.dumps([chosen, list(parts)], sort_keys=True).encode()).hexdigest()


def facts(values: Mapping[str, Any], sections: Sequence[str]) -> dict[str, Any]:
    """What in a resolved configuration can change a result: those sections, without keys at their neutral value."""
    return {name: effective(name, values[name]) for name in sections if not _is_neutral(name, values[name])}


def run_id(cfg: Config, name: str, *parts: str) -> str:
    """``<name>-s<seed>-<8 hex>``, the hex from what determines a trained checkpoint and from ``parts``."""
    by_lightning = cfg.trainer.accumulate_grad_batches > 1 and cfg.trainer.mini_batch_size is None
    version = f"training {TRAINING_VERSION}" + f", accumulation {ACCUMULATION_VERSION}" * by_lightning
    determined = config_hash(cfg, TRAINING_SECTIONS, version, *parts)
    return f"{name}-s{cfg.seed}-{determined[:8]}"


def effective(section: str, value: Any) -> Any:
    """What in a section of the configuration can change a result; ``section`` is its top-level key.

    A class that is not ours may have arguments of our keys' names: none of its values are neutral.
    """
    if not isinstance(value, Mapping) or value.get("_target_", LossConfig._target_) != LossConfig._target_:
        return value
    return {
        key: item
        for key, item in value.items()
        if key not in _WITHOUT_EFFECT and not _is_neutral(f"{section}.{key}", item)
    }


def _is_neutral(key: str, value: Any) -> bool:
    return key in NEUTRAL and value == NEUTRAL[key]
