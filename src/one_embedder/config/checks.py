"""Value checks that cost nothing, made before anything that does."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from one_embedder.config import ablation as design
from one_embedder.config import views
from one_embedder.config.messages import nearest
from one_embedder.config.schema import Config, MiningConfig
from one_embedder.errors import ConfigError

CHOICES: dict[str, tuple[str, ...]] = {
    "instruction_detail": ("detailed", "simple", "tag"),
    "encoder.joining": ("pypi", "head"),
    "sampler.strategy": ("proportional", "uniform", "temperature", "capped", "released", "mixed"),
    "loss.spelling": ("released", "paper"),
    "trainer.precision": ("32-true", "bf16-mixed"),
    "trainer.accelerator": ("auto", "cpu", "gpu", "mps"),
    "medi.text_output": ("inputs", "outputs"),
    "medi.mining.none_left": ("least_similar", "drop"),
    "evaluation.instructions": ("right", "wrong", "shuffled"),
    "evaluation.dtype": ("float32", "bfloat16", "float16"),
    "benchmark.split": ("dev", "test"),
    "views.part": ("dev", "test"),
    "prompt_retrieval.learner": ("nearest", "vote", "model"),
    "prompt_retrieval.metric": ("rouge_l", "rouge_l_unicode"),
    "prompt_retrieval.model.dtype": ("float32", "bfloat16", "float16"),
    "tracking.wandb": ("disabled", "offline", "online"),
}

CENTRINGS = ("none", "separate", "pool")
"""Of ``prompt_retrieval.centring``, which may be null too, and of each of its tasks."""


def _at_least(smallest: int) -> tuple[str, Callable[[Any], bool]]:
    return f"at least {smallest}", lambda value: bool(value >= smallest)


_POSITIVE: tuple[str, Callable[[Any], bool]] = ("a number > 0", lambda value: math.isfinite(value) and value > 0)
_SHARE: tuple[str, Callable[[Any], bool]] = ("between 0 and 1", lambda value: 0 <= value <= 1)
_GIVEN: tuple[str, Callable[[Any], bool]] = ("a non-empty text", lambda value: bool(value.strip()))

RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "seed": _at_least(0),
    "encoder.name_or_path": _GIVEN,
    "encoder.max_length": _at_least(2),  # one token of text beside the end-of-sequence token
    "encoder.layers": _at_least(1),
    "medi.folder": _GIVEN,
    "medi.rows_per_task": _at_least(1),
    "medi.min_rows_per_task": _at_least(1),
    "medi.workers": _at_least(1),
    "medi.mining.max_share_of_positive": ("above 0 and at most 1", lambda value: 0 < value <= 1),
    "medi.mining.positive_margin": ("between 0 and 2, a difference of cosines", lambda value: 0 <= value <= 2),
    "medi.mining.first_rank": _at_least(1),
    "medi.mining.negatives": _at_least(1),
    "medi.mining.seed": _at_least(0),
    "medi.path": _GIVEN,
    "medi.max_rejected": _SHARE,
    "medi.instances_per_task": _at_least(1),
    "medi.instances_of_pairs": _at_least(1),
    "medi.tasks": ("null (all tasks) or a non-empty list", bool),
    "medi.view_sets": ("null (the sets of views.sets for training) or a non-empty list", bool),
    "medi.datasets": ("null (all data sets of medi.hub) or a non-empty list", bool),
    "sampler.global_batch_size": _at_least(2),  # in a batch of one nothing is contrasted
    "sampler.temperature": _POSITIVE,
    "sampler.cap": _at_least(2),
    "sampler.tasks": ("null (all tasks) or a non-empty list", bool),
    "loss.temperature": _POSITIVE,
    "loss.mask_margin": ("between -2 and 2, a difference of cosines", lambda value: -2 <= value <= 2),
    "optimizer.learning_rate": _POSITIVE,
    "optimizer.weight_decay": ("a number >= 0", lambda value: math.isfinite(value) and value >= 0),
    "optimizer.frozen_layers": _at_least(0),
    "optimizer.layer_decay": ("above 0 and at most 1", lambda value: 0 < value <= 1),
    "schedule.warmup_ratio": _SHARE,
    "trainer.max_steps": _at_least(1),
    "trainer.backbone_share": ("at least 0 and below 1", lambda value: 0 <= value < 1),
    "trainer.devices": _at_least(1),
    "trainer.num_nodes": _at_least(1),
    "trainer.gradient_clip_val": _POSITIVE,
    "trainer.mini_batch_size": _at_least(1),
    "trainer.accumulate_grad_batches": _at_least(1),
    "trainer.log_every_n_steps": _at_least(1),
    "trainer.checkpoint_every_n_steps": _at_least(1),
    "trainer.max_length": _at_least(2),
    "trainer.early_stopping.every_n_steps": _at_least(1),
    "trainer.early_stopping.patience": _at_least(1),
    "trainer.early_stopping.root": _GIVEN,
    "trainer.early_stopping.tasks": ("null (all tasks) or a non-empty list", bool),
    "benchmark.root": _GIVEN,
    "benchmark.tasks": ("null (all tasks) or a non-empty list", bool),
    "benchmark.shares": _at_least(1),
    "benchmark.share": _at_least(0),
    "evaluation.batch_size": _at_least(1),
    "evaluation.demonstrations": _at_least(1),
    "views.chosen": ("null (the sets of views.part) or a non-empty list", bool),
    "views.texts_per_set": _at_least(4),
    "views.neighbours": _at_least(1),
    "views.repeats": _at_least(1),
    "views.seed": _at_least(0),
    "prompt_retrieval.model.name_or_path": _GIVEN,
    "prompt_retrieval.model.batch_size": _at_least(1),
    "table.seeds": ("a non-empty list of different integers >= 0", lambda seeds: _are_seeds(seeds)),
    "table.bootstrap_resamples": _at_least(1),
    "table.confidence": ("strictly between 0 and 1", lambda value: 0 < value < 1),
    "paths.data": _GIVEN,
    "paths.experiments": _GIVEN,
}

TASK_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "pool_size": _at_least(1),
    "eval_size": _at_least(1),
    "seed": _at_least(0),
    "groups": _at_least(1),
    "group_size": _at_least(1),
    "max_demonstrations": _at_least(1),
    "token_budget": _at_least(1),
    "tokens_per_demonstration": _at_least(1),
    "max_new_tokens": _at_least(1),
    "labels": ("empty or at least two words", lambda labels: len(set(labels.values())) != 1),
    "stop": ("texts that are not empty", all),
}
"""Of each of ``prompt_retrieval.tasks``."""


def check(cfg: Config) -> None:
    """Refuse values that cannot work.

    Raises:
        ConfigError: naming every such key, its value and what it may be.
    """
    troubles = [
        f"{key}={value!r} must be {nearest(value, choices)}"
        for key, choices in CHOICES.items()
        if (value := _look_up(cfg, key)) not in choices
    ]
    troubles += [
        f"{key}={value!r} must be {wanted}"
        for key, (wanted, holds) in RANGES.items()
        if (value := _look_up(cfg, key)) is not None and not holds(value)
    ]
    troubles += _prompt_tasks(cfg)
    troubles += _protocol_troubles(cfg)
    if cfg.trainer.mini_batch_size is not None and "fsdp" in cfg.trainer.strategy:
        troubles.append("trainer.mini_batch_size needs every weight on each device: use trainer.strategy=ddp, not fsdp")
    troubles += views.troubles(cfg)
    troubles += _mining_troubles(cfg)
    troubles += _sampler_troubles(cfg)
    troubles += design.troubles(cfg.ablation)
    if cfg.loss.learn_temperature and "fsdp" in cfg.trainer.strategy:
        troubles.append("loss.learn_temperature: a single number cannot be sharded: use trainer.strategy=ddp, not fsdp")
    if cfg.trainer.early_stopping.every_n_steps is not None and "fsdp" in cfg.trainer.strategy:
        troubles.append("trainer.early_stopping needs every weight on one device: use trainer.strategy=ddp, not fsdp")
    if cfg.benchmark.share >= cfg.benchmark.shares:
        troubles.append(f"benchmark.share={cfg.benchmark.share} must be below benchmark.shares={cfg.benchmark.shares}")
    if not cfg.loss.hard_negatives and cfg.loss.spelling == "released":
        troubles.append(
            "loss.hard_negatives=false leaves a query nothing to be told from: with it, use loss.spelling=paper"
        )
    if cfg.loss.other_instruction_negatives and not cfg.loss.bidirectional:
        troubles.append(
            "loss.other_instruction_negatives: it is the positive that tells the instructions apart: use it with "
            "loss.bidirectional=true"
        )
    if cfg.output is not None and Path(cfg.output).is_file():
        troubles.append(f"output={cfg.output!r} is a file; name a folder")
    if troubles:
        raise ConfigError("\n".join(troubles))


def _prompt_tasks(cfg: Config) -> list[str]:
    chosen = {f"prompt_retrieval.tasks.{name}": task.centring for name, task in cfg.prompt_retrieval.tasks.items()}
    if cfg.prompt_retrieval.centring is not None:
        chosen["prompt_retrieval"] = cfg.prompt_retrieval.centring
    troubles = [
        f"{where}.centring={value!r} must be {nearest(value, CENTRINGS)}"
        for where, value in chosen.items()
        if value not in CENTRINGS
    ]
    for name, task in cfg.prompt_retrieval.tasks.items():
        where = f"prompt_retrieval.tasks.{name}"
        for key, (wanted, holds) in TASK_RANGES.items():
            value = getattr(task, key)
            if value is not None and not holds(value):
                troubles.append(f"{where}.{key}={value!r} must be {wanted}")
        if task.labels and task.options:
            troubles.append(f"{where}: labels and options exclude each other; drop one")
        if (task.prompt is None) != (task.output is None) or (task.prompt is None) != (task.retrieval_text is None):
            troubles.append(f"{where}: write all of retrieval_text, prompt and output, or none of them")
        if task.group is None and (task.groups or task.group_size):
            troubles.append(f"{where}: groups and group_size need group, the field that tells the groups apart")
    return troubles


def _protocol_troubles(cfg: Config) -> list[str]:
    troubles = []
    for name, task in cfg.benchmark.protocol.items():
        if task.samples_per_label is not None and task.samples_per_label < 1:
            troubles.append(f"benchmark.protocol.{name}.samples_per_label={task.samples_per_label} must be at least 1")
        if task.splits is not None and not task.splits:
            troubles.append(f"benchmark.protocol.{name}.splits must be null (test) or a non-empty list")
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


def _look_up(cfg: Config, dotted: str) -> Any:
    value: Any = cfg
    for name in dotted.split("."):
        value = getattr(value, name)
    return value


def _are_seeds(seeds: list[int]) -> bool:
    return bool(seeds) and len(set(seeds)) == len(seeds) and min(seeds) >= 0
