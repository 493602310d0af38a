"""Configurations for tests of what settings do: each choice of groups is composed once, which takes half a second."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from one_embedder.config.compose import compose_verb, typed
from one_embedder.config.schema import Config
from one_embedder.files.location import CONF


def composed(verb: str, overrides: Sequence[str] = ()) -> Config:
    """As ``load_config``, checks included, for overrides of the plain forms ``group=choice`` and ``key=value``."""
    groups = tuple(override for override in overrides if (CONF / override.partition("=")[0]).is_dir())
    values = [override for override in overrides if override not in groups]
    cfg = deepcopy(_with_groups(verb, groups))
    for override in OverridesParser.create().parse_overrides(values):
        OmegaConf.update(cfg, override.key_or_group, override.value())
    return typed(cfg)


@cache
def _with_groups(verb: str, groups: tuple[str, ...]) -> DictConfig:
    return compose_verb(verb, groups)
