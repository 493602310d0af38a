"""Value checks that cost nothing, made before anything that does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from one_embedder.config import ablation as design
from one_embedder.config import views
from one_embedder.config.limits import Limit, OneOf
from one_embedder.config.messages import nearest
from one_embedder.config.schema import Config, EarlyStoppingConfig, LossConfig, MiningConfig
from one_embedder.errors import ConfigError


def check(cfg: Config) -> None:
    """Refuse values that cannot work.

    Raises:
        ConfigError: naming every such key, its value and what it may be.
    """
    troubles = [*_outside_limits(cfg, ""), *_prompt_tasks(cfg)]
    if cfg.trainer.mini_batch_size is not None and cfg.trainer.strategy == "fsdp":
        troubles.append("trainer.mini_batch_size needs every weight on each device: use trainer.strategy=ddp, not fsdp")
    troubles += views.troubles(cfg)
    troubles += _mining_troubles(cfg)
    troubles += _sampler_troubles(cfg)
    troubles += design.troubles(cfg.ablation)
    if cfg.trainer.early_stopping.every_n_steps is not None and cfg.trainer.strategy == "fsdp":
        troubles.append("trainer.early_stopping needs every weight on one device: use trainer.strategy=ddp, not fsdp")
    troubles += _early_stopping_troubles(cfg.trainer.early_stopping)
    if cfg.benchmark.share >= cfg.benchmark.shares:
        troubles.append(f"benchmark.share={cfg.benchmark.share} must be below benchmark.shares={cfg.benchmark.shares}")
    troubles += _paths_among_names(cfg)
    if isinstance(cfg.loss, LossConfig):
        troubles += _loss_troubles(cfg.loss, cfg.trainer.strategy)
    if cfg.output is not None and not cfg.output.strip():
        troubles.append(f"output={cfg.output!r} names nothing; name a folder, or leave it out")
    if cfg.output is not None and Path(cfg.output).is_file():
        troubles.append(f"output={cfg.output!r} is a file; name a folder")
    if troubles:
        raise ConfigError("\n".join(troubles))


def choices_of(section: Any, name: str) -> tuple[str, ...]:
    """The words that a key of a section may be; none where it is not one of a few."""
    return next((limit.choices for key, limit in _limits(section) if key == name and isinstance(limit, OneOf)), ())


def _outside_limits(section: Any, prefix: str) -> Iterator[str]:
    """Every value of a section, and of those in it, that its limits do not allow."""
    kind: Any = type(section)
    for name, limit in _limits(kind):
        value = getattr(section, name)
        if value is not None and not limit.holds(value):
            wanted = nearest(str(value), limit.choices) if isinstance(limit, OneOf) else limit.told
            yield f"{prefix}{name}={value!r} must be {wanted}"
    for name, value in vars(section).items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, inner in parts:
            if is_dataclass(inner):
                yield from _outside_limits(inner, ".".join(filter(None, (f"{prefix}{name}", part, ""))) + ".")


@cache
def _limits(section: Any) -> list[tuple[str, Limit]]:
    """The limits beside the types of a section's keys; of ``Count | None`` those of ``Count``."""
    hints = get_type_hints(section, include_extras=True)
    return [
        (name, limit)
        for name, hint in hints.items()
        for part in (hint, *get_args(hint))
        for limit in getattr(part, "__metadata__", ())
    ]


def _paths_among_names(cfg: Config) -> Iterator[str]:
    """Names of files and folders below one that is named elsewhere; a path among them would lead out of it."""
    named = {"benchmark.folders": [*cfg.benchmark.folders], "views.sets": [*cfg.views.sets]}
    named |= {f"benchmark.protocol.{task}.splits": [*(it.splits or ())] for task, it in cfg.benchmark.protocol.items()}
    for key, names in named.items():
        yield from (f"{key} has {name!r}, which is a path; give a name" for name in names if Path(name).name != name)


def _early_stopping_troubles(settings: EarlyStoppingConfig) -> Iterator[str]:
    if settings.every_n_steps is None and settings != EarlyStoppingConfig():
        yield (
            "trainer.early_stopping is set, and nothing is scored without trainer.early_stopping.every_n_steps: add "
            "it, or leave the others out"
        )


def _loss_troubles(loss: LossConfig, strategy: str) -> Iterator[str]:
    if loss.learn_temperature and strategy == "fsdp":
        yield "loss.learn_temperature: a single number cannot be sharded: use trainer.strategy=ddp, not fsdp"
    if not loss.hard_negatives and loss.spelling == "released":
        yield "loss.hard_negatives=false leaves a query nothing to be told from: with it, use loss.spelling=paper"
    if loss.other_instruction_negatives and not loss.bidirectional:
        yield (
            "loss.other_instruction_negatives: it is the positive that tells the instructions apart: use it with "
            "loss.bidirectional=true"
        )


def _prompt_tasks(cfg: Config) -> list[str]:
    troubles = []
    for name, task in cfg.prompt_retrieval.tasks.items():
        where = f"prompt_retrieval.tasks.{name}"
        if task.labels and task.options:
            troubles.append(f"{where}: labels and options exclude each other; drop one")
        if (task.prompt is None) != (task.output is None) or (task.prompt is None) != (task.retrieval_text is None):
            troubles.append(f"{where}: write all of retrieval_text, prompt and output, or none of them")
        if task.group is None and (task.groups or task.group_size):
            troubles.append(f"{where}: groups and group_size need group, the field that tells the groups apart")
    return troubles


def _mining_troubles(cfg: Config) -> list[str]:
    mining, troubles = cfg.medi.mining, []
    if mining.max_share_of_positive is not None and mining.positive_margin is not None:
        troubles.append("medi.mining.max_share_of_positive and medi.mining.positive_margin are two bounds; choose one")
    ranks = mining.last_rank - mining.first_rank + 1
    if ranks < mining.negatives:
        troubles.append(
            f"medi.mining.negatives={mining.negatives} cannot be drawn from the ranks medi.mining.first_rank="
            f"{mining.first_rank} to medi.mining.last_rank={mining.last_rank}; raise last_rank"
        )
    if cfg.medi.source == "file" and mining != MiningConfig():
        troubles.append("medi.mining has no effect with medi.source=file: its rows have their negatives; leave it out")
    return troubles


def _sampler_troubles(cfg: Config) -> list[str]:
    """A setting that the strategy lacks, or that only another one would read."""
    chosen, troubles = cfg.sampler.strategy, []
    if chosen is None:
        return ["sampler.strategy=null names none: leave it out, or choose one with the group sampler"]
    for key, strategy, value in (
        ("sampler.temperature", "temperature", cfg.sampler.temperature),
        ("sampler.cap", "capped", cfg.sampler.cap),
    ):
        if chosen == strategy and value is None:
            troubles.append(f"sampler.strategy={chosen} needs {key}")
        elif chosen != strategy and value is not None:
            troubles.append(f"{key}={value!r} has an effect with sampler.strategy={strategy} only, not {chosen}")
    if cfg.sampler.cap is not None and cfg.sampler.cap < cfg.sampler.global_batch_size:
        troubles.append(
            f"sampler.cap={cfg.sampler.cap} must be at least sampler.global_batch_size={cfg.sampler.global_batch_size}"
        )
    return troubles
