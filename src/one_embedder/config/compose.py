"""From YAML files and overrides to a checked ``Config``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import MISSING, DictConfig, OmegaConf

from one_embedder.config.ablation import jobs
from one_embedder.config.checks import check
from one_embedder.config.messages import as_config_errors, refuse_no_choice
from one_embedder.config.own_class import TARGET, completed
from one_embedder.config.schema import (
    BenchmarkConfig,
    Config,
    LossConfig,
    MediConfig,
    PromptRetrievalConfig,
    ViewsConfig,
)
from one_embedder.config.secret import require_no_secrets
from one_embedder.errors import ConfigError
from one_embedder.files.location import CONF, PROJECT_ROOT
from one_embedder.instructions.table import written_out

VERBS = ("build_medi", "train", "evaluate", "evaluate_views", "reproduce")


def in_project(path: str) -> str:
    """A path as meant by ``paths.*``: relative ones start at the project's root, wherever the command was typed."""
    return str(PROJECT_ROOT / Path(path).expanduser()) if path.strip() else path  # an empty one is refused later


@dataclass
class _Benchmark(BenchmarkConfig):
    protocol: dict[str, Any] = field(default_factory=dict)


@dataclass
class _PromptRetrieval(PromptRetrievalConfig):
    tasks: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Views(ViewsConfig):
    sets: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Medi(MediConfig):
    hub: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Composed(Config):
    """As Hydra composes it: the group ``loss`` brings its own keys, ours by ``defaults: [schema]``."""

    loss: Any = MISSING
    benchmark: BenchmarkConfig = field(default_factory=_Benchmark)
    prompt_retrieval: PromptRetrievalConfig = field(default_factory=_PromptRetrieval)
    views: ViewsConfig = field(default_factory=_Views)
    medi: MediConfig = field(default_factory=_Medi)


def _composed() -> DictConfig:
    """The schema that Hydra composes into. Entries of tasks and sets are open there, and checked by ``typed``.

    Hydra can't add an entry to a dictionary of dataclasses: it begins with an empty one, which is not of the type.
    """
    schema: DictConfig = OmegaConf.structured(_Composed)
    for entries in (schema.benchmark.protocol, schema.prompt_retrieval.tasks, schema.views.sets, schema.medi.hub):
        OmegaConf.set_struct(entries, False)
    return schema


@cache
def register() -> None:
    """Make the schema and our resolvers known to Hydra, once a process."""
    ConfigStore.instance().store(name="schema", node=_composed())
    ConfigStore.instance().store(group="loss", name="schema", node=LossConfig)
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
        merged = OmegaConf.merge(OmegaConf.structured(_schema_for(values["loss"])), values)
        for key in ("data", "experiments"):
            merged.paths[key] = in_project(merged.paths[key])
        config = cast(Config, OmegaConf.to_object(merged))
    require_no_secrets(asdict(config))
    complete(config)
    check(config)
    return config


def _schema_for(loss: Any) -> Config:
    """The schema in which the section ``loss`` has the keys of its class: ours, or any."""
    if not isinstance(loss, dict) or TARGET not in loss:
        raise ConfigError("loss names no class: begin its file with defaults: [released], or see docs/extend.md")
    return Config() if loss[TARGET] == LossConfig._target_ else Config(loss={})


def complete(cfg: Config) -> None:
    """Check the classes that are not ours against their signatures, and fill in the arguments that were left out.

    Raises:
        ConfigError: see ``own_class.completed``.
    """
    if not isinstance(cfg.loss, LossConfig):
        cfg.loss = completed("loss", cfg.loss)
    if isinstance(cfg.sampler.strategy, dict):
        cfg.sampler.strategy = completed("sampler.strategy", cfg.sampler.strategy, given=3)
    if isinstance(cfg.prompt_retrieval.learner, dict):
        cfg.prompt_retrieval.learner = completed("prompt_retrieval.learner", cfg.prompt_retrieval.learner)


def compose_verb(verb: str, overrides: Sequence[str] = ()) -> DictConfig:
    """What Hydra makes of ``conf/<verb>.yaml`` and the overrides, not checked yet.

    Raises:
        ConfigError: for what Hydra itself refuses: an unknown group, choice or key, a value of the wrong type.
    """
    register()
    GlobalHydra.instance().clear()
    for override in overrides:
        if override.startswith("="):
            raise ConfigError(f"{override!r:.200} has no key before the =; type key=value")
    refuse_no_choice(overrides)
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
