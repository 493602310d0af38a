"""What a reproduction will do and cost, said before it starts."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from one_embedder.config.schema import AboutConfig, Config
from one_embedder.reproduction.statistics.layout import RowSpec
from one_embedder.reproduction.steps.profiles import NOT_MEASURED
from one_embedder.reproduction.table1.expected import ExpectedTable


def preamble(cfg: Config, rows: Sequence[RowSpec], expected: ExpectedTable | None, machine: Mapping[str, Any]) -> str:
    """Plan, estimate and hardware as text.

    Args:
        cfg: the configuration to be run.
        rows: of the table.
        expected: the recorded run, whose cost stands in where the profile itself says none.
        machine: cores, memory in GiB, cpu and gpu names.
    """
    trained = sum(spec.is_trained for spec in rows) * len(cfg.table.seeds)
    untrained = sum(not spec.is_trained for spec in rows)
    gpu = f", {machine['gpu_count']} x {machine['gpu']}" if machine.get("gpu") else ", no GPU in use yet"
    return "\n".join(
        [
            f"Reproducing Table 1, profile {cfg.profile}",
            f"  plan      {_training(cfg, rows, trained)}{trained + untrained} evaluations -> table",
            f"  estimate  {_estimate(cfg.about, expected)}; what is already done is found again, not repeated",
            f"  hardware  {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB memory{gpu}, "
            f"Python {platform.python_version()}",
            "",
        ]
    )


def _training(cfg: Config, rows: Sequence[RowSpec], trainings: int) -> str:
    if not trainings:
        return ""
    sides = " and ".join(
        "with" if spec.trained_with_instructions else "without" for spec in rows[::-1] if spec.is_trained
    )
    seeds = ", ".join(map(str, cfg.table.seeds))
    steps = cfg.trainer.max_steps
    return f"build data -> {trainings} trainings of {steps} steps ({sides} instructions, seeds {seeds}) -> "


def _estimate(about: AboutConfig, expected: ExpectedTable | None) -> str:
    if about.time or expected is None:
        return f"{about.time or NOT_MEASURED} ({about.hardware or NOT_MEASURED})"
    recorded = expected.shown.recorded
    cost, machine = recorded["cost"], recorded["hardware"]
    return (
        f"{cost['wall_s'] / 60:.0f} minutes and {cost['peak_memory_gib']:.1f} GiB in the recorded run (seeds "
        f"{', '.join(map(str, recorded['seeds']))}; {machine['cores']} cores, {machine['cpu']})"
    )
