"""The configurations of the steps of a reproduction: copies of its own with a few fields changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import is_dataclass, make_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from omegaconf import OmegaConf

from one_embedder.config.checks import check
from one_embedder.config.compose import complete
from one_embedder.config.messages import as_config_errors, suggestion
from one_embedder.config.schema import Config, InstructionsConfig, LossConfig
from one_embedder.errors import ConfigError
from one_embedder.files.documents import read_yaml
from one_embedder.files.location import CONF
from one_embedder.instructions.table import written_out
from one_embedder.reproduction.statistics.layout import RowSpec


def training_config(cfg: Config, *, with_instructions: bool, seed: int) -> Config:
    """Train the backbone of ``cfg`` with or without instructions; the run folder follows from the settings."""
    child = copy.deepcopy(cfg)
    child.with_instructions = with_instructions
    if isinstance(child.loss, LossConfig):
        child.loss.other_instruction_negatives &= with_instructions  # without instructions there is nothing to contrast
    child.seed = seed
    child.output = None
    child.tracking.group = _group(cfg)
    return child


def evaluation_config(cfg: Config, spec: RowSpec, run: Path | None, instructions: InstructionsConfig) -> Config:
    """Score one model.

    Args:
        cfg: the reproduction's configuration. Its seed also serves every evaluation, so that whatever a task draws
            (training samples of a classifier, say) is drawn alike for every row.
        spec: the row, which says whether instructions are given.
        run: the training run whose checkpoint is scored; None for the backbone of ``cfg``.
        instructions: the benchmark's table.
    """
    child = copy.deepcopy(cfg)
    child.instructions = copy.deepcopy(instructions) if spec.evaluated_with_instructions else InstructionsConfig()
    if run is not None:
        _take_checkpoint(child, run)
    elif spec.encoder is not None and spec.encoder != cfg.encoder.name_or_path:
        child.encoder.name_or_path = spec.encoder
        child.encoder.revision = None
    child.output = str(results_folder(cfg, spec, run))
    child.tracking.group = _group(cfg)
    return child


def views_config(cfg: Config, run: Path | None) -> Config:
    """Measure how far instructions steer one model.

    Args:
        cfg: the reproduction's configuration.
        run: the training run whose checkpoint is scored; None for the backbone of ``cfg``.
    """
    child = copy.deepcopy(cfg)
    model = f"{Path(cfg.encoder.name_or_path).name}{_depth(cfg)}"
    if run is not None:
        _take_checkpoint(child, run)
        model = run.name
    child.output = str(Path(cfg.paths.experiments) / "results" / model / f"views_{cfg.views.name}_{cfg.views.part}")
    child.tracking.group = _group(cfg)
    return child


def results_folder(cfg: Config, spec: RowSpec, run: Path | None) -> Path:
    """``<experiments>/results/<model>/<benchmark>_<split>``."""
    side = "with_instructions" if spec.evaluated_with_instructions else "plain"
    name = Path(spec.encoder or cfg.encoder.name_or_path).name
    model = run.name if run is not None else f"{name}{_depth(cfg)}-{side}"
    return Path(cfg.paths.experiments) / "results" / model / f"{cfg.benchmark.name}_{cfg.benchmark.split}"


def benchmark_instructions(cfg: Config) -> InstructionsConfig:
    """The instruction table of ``cfg``; where it names none, the one in ``conf/instructions`` named like the benchmark.

    Raises:
        ConfigError: if there is no such table: a comparison with and without instructions needs instructions.
    """
    if cfg.instructions.table or cfg.instructions.beside_tasks:
        return cfg.instructions
    return instruction_table(cfg.benchmark.name)


def instruction_table(name: str) -> InstructionsConfig:
    """The table ``conf/instructions/<name>.yaml``.

    Raises:
        ConfigError: if there is no such table.
    """
    path = CONF / "instructions" / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"no instruction table for the benchmark {name!r}: write {path}, or choose one with instructions=NAME"
        )
    content = read_yaml(path)
    beside = bool(content.get("beside_tasks", False))
    return InstructionsConfig(name=str(content["name"]), table=written_out(content["table"]), beside_tasks=beside)


def with_settings(cfg: Config, settings: Mapping[str, Any]) -> Config:
    """A copy of ``cfg`` with some values changed, checked like any other configuration.

    Args:
        cfg: left as it is.
        settings: dotted key -> value; the key ``instructions`` takes the name of a table in ``conf/instructions``.

    Raises:
        ConfigError: for a key that does not exist, or a value that cannot work.
    """
    changed = copy.deepcopy(cfg)
    for key, value in settings.items():
        if key == "instructions":
            changed.instructions = instruction_table(str(value))
        else:
            _set(changed, key, value)
    complete(changed)
    check(changed)
    return changed


def _set(cfg: Config, key: str, value: Any) -> None:
    """Set one value, of the type that the schema wants, without the fifth of a second that the whole schema takes."""
    *sections, leaf = key.split(".")
    place: Any = cfg
    for name in sections:
        place = getattr(place, name, None)
    if isinstance(place, dict) and leaf in place:  # arguments of a class that is not ours
        place[leaf] = value
        return
    types = get_type_hints(type(place)) if is_dataclass(place) else {}
    if leaf not in types:
        raise ConfigError(f"unknown key {key!r}: {suggestion(key)}")
    with as_config_errors():
        alone = OmegaConf.structured(make_dataclass("Alone", [(leaf, types[leaf])]))
        OmegaConf.update(alone, leaf, value)
        setattr(place, leaf, getattr(OmegaConf.to_object(alone), leaf))


def _take_checkpoint(child: Config, run: Path) -> None:
    child.encoder.name_or_path = str(run / "checkpoint")
    child.encoder.revision = None
    child.encoder.layers = None  # the checkpoint knows its depth


def _depth(cfg: Config) -> str:
    return "" if cfg.encoder.layers is None else f"-{cfg.encoder.layers}_layers"


def _group(cfg: Config) -> str:
    """Under what a tracker shows the runs of one table or sweep together."""
    return cfg.tracking.group or f"{cfg.table.name} {cfg.profile}"
