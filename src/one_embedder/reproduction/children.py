"""The configurations of the steps of a reproduction: copies of its own with a few fields changed."""

from __future__ import annotations

import copy
from pathlib import Path

import yaml

from one_embedder.config.instructions import written_out
from one_embedder.config.location import conf_folder
from one_embedder.config.schema import Config, InstructionsConfig
from one_embedder.errors import ConfigError
from one_embedder.reproduction.layout import RowSpec


def training_config(cfg: Config, *, with_instructions: bool, seed: int) -> Config:
    """Train the backbone of ``cfg`` with or without instructions; the run folder follows from the settings."""
    child = copy.deepcopy(cfg)
    child.with_instructions = with_instructions
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
        child.encoder.name_or_path = str(run / "checkpoint")
        child.encoder.revision = None
    elif spec.encoder is not None and spec.encoder != cfg.encoder.name_or_path:
        child.encoder.name_or_path = spec.encoder
        child.encoder.revision = None
    child.output = str(results_folder(cfg, spec, run))
    child.tracking.group = _group(cfg)
    return child


def results_folder(cfg: Config, spec: RowSpec, run: Path | None) -> Path:
    """``<experiments>/results/<model>/<benchmark>_<split>``."""
    side = "with_instructions" if spec.evaluated_with_instructions else "plain"
    model = run.name if run is not None else f"{Path(spec.encoder or cfg.encoder.name_or_path).name}-{side}"
    return Path(cfg.paths.experiments) / "results" / model / f"{cfg.benchmark.name}_{cfg.benchmark.split}"


def benchmark_instructions(cfg: Config) -> InstructionsConfig:
    """The instruction table of ``cfg``; where it names none, the one in ``conf/instructions`` named like the benchmark.

    Raises:
        ConfigError: if there is no such table: a comparison with and without instructions needs instructions.
    """
    if cfg.instructions.table:
        return cfg.instructions
    path = conf_folder() / "instructions" / f"{cfg.benchmark.name}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"no instruction table for the benchmark {cfg.benchmark.name!r}: write {path}, or choose one with "
            "instructions=NAME"
        )
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return InstructionsConfig(name=str(content["name"]), table=written_out(content["table"]))


def _group(cfg: Config) -> str:
    """Under what a tracker shows the runs of one table or sweep together."""
    return cfg.tracking.group or f"{cfg.table.name} {cfg.profile}"
