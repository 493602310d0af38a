"""A small record of an ablation, as the runner writes it: one trained axis, one evaluated axis, one reference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.ablation.record import (
    AblationRecord,
    Axis,
    Cell,
    PublishedPoint,
    Tested,
    write_record,
)
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS

SEEDS = (0, 1, 2)
SIDES = {"without": 0.50, "with": 0.60}
WORDINGS = {"as written": 0.0, "paraphrased": -0.02}


def small_record() -> AblationRecord:
    """Six runs of two trainings, each scored with two wordings, beside the untrained encoder."""
    trained = [
        _cell(f"{side}+{wording}", {"side": side, "wording": wording}, SEEDS, quality + change)
        for side, quality in SIDES.items()
        for wording, change in WORDINGS.items()
    ]
    return AblationRecord(
        name="wording",
        profile="documentation",
        question="Does the wording of an instruction matter?",
        seeds=SEEDS,
        axes=[
            Axis("side", "finetuned", False, {side: {"with_instructions": side == "with"} for side in SIDES}),
            Axis("wording", "instructions at test time", True, {wording: {} for wording in WORDINGS}),
        ],
        cells=[_cell("backbone", {}, (), 0.55), *trained],
        claims=[
            Tested(
                id="instructions_help",
                text="Finetuning with instructions is better than without.",
                source="figure 3",
                column=AVERAGE,
                gap_over=None,
                plus=["with+as written"],
                minus=["without+as written"],
                difference=Interval(0.1, 0.07, 0.13),
                p_value=0.002,
                p_adjusted=0.004,
                tasks_won=9,
                tasks_total=9,
                verdict="supported",
            ),
            Tested(
                id="smaller_gap",
                text="Trained with instructions, the best and the worst wording are closer to each other.",
                source="ours",
                column=AVERAGE,
                gap_over="wording",
                plus=["without"],
                minus=["with"],
                difference=Interval(0.0, -0.01, 0.01),
                p_value=0.9,
                p_adjusted=0.9,
                verdict="undecided",
            ),
        ],
        published=[PublishedPoint("INSTRUCTOR", {"side": "with"}, 58.4, "arXiv:2212.09741, table 2", False)],
        missing=[],
        task_categories={f"{column}Task": column for column in COLUMNS},
        provenance={
            "data": {"medi": "a" * 64, "benchmark": "b" * 64},
            "settings": "c" * 64,
            "environment": {"python": "3.11.7", "lock": "d" * 16, "platform": "Linux x86_64"},
            "code": {"commit": "e" * 40, "dirty": False, "diff_sha256": None},
            "hardware": {"cpu": "a processor", "cores": 2, "memory_gib": 8.0, "gpu": None, "gpu_count": 0},
            "bootstrap": {"resamples": 1000, "confidence": 0.95, "seed": 0},
            "steps": [400],
            "cost": {"train_s": 600.0, "evaluate_s": 300.0},
        },
    )


def write_small_record(experiments: Path, *, missing: tuple[str, ...] = ()) -> Path:
    """Where a reader looks for it."""
    path = experiments / "ablations" / "wording" / "documentation.json"
    path.parent.mkdir(parents=True)
    write_record(path, replace(small_record(), missing=list(missing)))
    return path


def _cell(name: str, levels: dict[str, str], seeds: tuple[int, ...], quality: float) -> Cell:
    """Every category of a run has one task, and all of them the same score: quality, and a hundredth more a seed."""
    runs = [quality + 0.01 * seed for seed in seeds or (0,)]
    columns = [dict.fromkeys((*COLUMNS, AVERAGE), score) for score in runs]
    mean, deviation = fmean(runs), stdev(runs) if len(runs) > 1 else 0.0
    return Cell(
        id=name,
        label=name.replace("+", ", "),
        reference=not levels,
        levels=levels,
        seeds=list(seeds),
        runs=[f"run-s{seed}-{'0' * 8}" for seed in seeds] or ["minilm"],
        results=[f"experiments/results/{name}-{number}/documentation_test" for number in range(len(runs))],
        columns=columns,
        tasks={f"{column}Task": runs for column in COLUMNS},
        scores=dict.fromkeys((*COLUMNS, AVERAGE), mean),
        deviations=dict.fromkeys((*COLUMNS, AVERAGE), deviation),
        intervals=dict.fromkeys((*COLUMNS, AVERAGE), Interval(mean, mean - 0.02, mean + 0.02)),
    )
