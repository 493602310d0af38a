"""From YAML files and overrides to a checked ``Config``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from one_embedder.config.ablation import jobs
from one_embedder.config.checks import check
from one_embedder.config.messages import as_config_errors
from one_embedder.config.schema import Config
from one_embedder.files.location import CONF, PROJECT_ROOT
from one_embedder.instructions.table import written_out

VERBS = ("build_medi", "train", "evaluate", "evaluate_views", "reproduce")


def in_project(path: str) -> str:
    """A path as meant by ``paths.*``: relative ones start at the project's root, wherever the command was typed."""
    return str(PROJECT_ROOT / Path(path).expanduser()) if path.strip() else path  # an empty one is refused later


def register() -> None:
    """Make the schema and our resolvers known to Hydra; may be called again."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("in_project", in_project, replace=True)
    OmegaConf.register_new_resolver("children_of", jobs, replace=True)


def typed(cfg: DictConfig) -> Config:
    """A composed configuration as the checked dataclass, every ``${...}`` filled in.

    Raises:
        ConfigError: for an unknown key, a value of the wrong type or out of range.
    """
    with as_config_errors():
        # As plain containers first: Hydra lets `+key=value` add keys even to a typed node, this merge does not.
        values = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=False))
        values["instructions"]["table"] = written_out(values["instructions"]["table"])
        merged = OmegaConf.merge(OmegaConf.structured(Config), values)
        for key in ("data", "experiments"):
            merged.paths[key] = in_project(merged.paths[key])
        config = cast(Config, OmegaConf.to_object(merged))
    check(config)
    return config


def compose_verb(verb: str, overrides: Sequence[str] = ()) -> DictConfig:
    """What Hydra makes of ``conf/<verb>.yaml`` and the overrides, not checked yet.

    Raises:
        ConfigError: for what Hydra itself refuses: an unknown group, choice or key, a value of the wrong type.
    """
    register()
    GlobalHydra.instance().clear()
    with as_config_errors(), initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        return compose(verb, overrides=list(overrides))


def load_config(verb: str, overrides: Sequence[str] = ()) -> Config:
    """What the entry point ``verb`` would run with, for tests and notebooks.

    Args:
        verb: one of ``VERBS``.
        overrides: as on the command line: ``["profile=local", "seed=1"]``.

    Raises:
        ConfigError: see ``typed``.
    """
    return typed(compose_verb(verb, overrides))


register()
