"""A whole reproduction without a model: task scores of a chosen quality, and fakes for the four stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from one_embedder.config.schema import Config
from one_embedder.evaluation.benchmarks import CATEGORIES, METRICS, TaskScore
from one_embedder.evaluation.items import ItemScores
from one_embedder.reproduction.statistics.layout import RowSpec
from one_embedder.reproduction.statistics.rows import RowRuns
from one_embedder.reproduction.steps.verbs import Stages

STATISTIC = {
    "Clustering": "v_measure",
    "PairClassification": "average_precision",
    "STS": "spearman",
    "TextEvaluation": "pearson",
}
ITEMS = 60


def make_items(statistic: str, quality: float, task: int, items: int = ITEMS) -> ItemScores:
    """Items whose score rises with ``quality`` (0-1); what is hard about a task is the same for every model."""
    rng = np.random.default_rng(task)
    if statistic in ("mean", "low_group_mean", "mean_of_groups"):
        value = np.clip(quality + 0.2 * rng.standard_normal(items), 0, 1)
        group = {} if statistic == "mean" else {"group": np.arange(items) % 20}
        return ItemScores(statistic, {"value": value, **group})
    gold = rng.integers(0, 2 if statistic == "average_precision" else 4, items)
    gold[:2] = 0, 1
    noise = rng.standard_normal(items)
    if statistic == "v_measure":
        predicted = np.where(rng.random(items) < quality, gold, rng.integers(0, 4, items))
    else:
        predicted = quality * gold + (1 - quality) * noise
    return ItemScores(statistic, {"predicted": predicted, "gold": gold})


def make_scores(quality: float, *, tasks_per_category: int = 2, items: int = ITEMS) -> list[TaskScore]:
    """Two tasks in each of the nine categories."""
    scores = []
    for number, category in enumerate(CATEGORIES):
        for task in range(tasks_per_category):
            made = make_items(STATISTIC.get(category, "mean"), quality, 10 * number + task, items)
            scores.append(TaskScore(f"{category}{task}", category, METRICS[category], made.score(), made))
    return scores


def make_row(spec: RowSpec, *qualities: float) -> RowRuns:
    """A row with one run for each quality."""
    seeds = tuple(range(len(qualities))) if spec.is_trained else ()
    return RowRuns(spec, seeds, tuple(tuple(make_scores(quality)) for quality in qualities))


@dataclass
class FakeWork:
    """Stages that need no model, and the calls that they saw.

    Attributes:
        quality: (trained with instructions or None, evaluated with instructions) -> quality of the embeddings.
        data: what the data is said to be.
    """

    calls: list[tuple[str, Config]] = field(default_factory=list)
    quality: dict[tuple[bool | None, bool], float] = field(
        default_factory=lambda: {(None, False): 0.45, (None, True): 0.42, (False, False): 0.5, (True, True): 0.6}
    )
    data: dict[str, str] = field(default_factory=lambda: {"medi": "a" * 64, "benchmark": "b" * 64})

    def train(self, cfg: Config) -> Path:
        self.calls.append(("train", cfg))
        side = "with" if cfg.with_instructions else "without"
        return Path(cfg.paths.experiments) / "runs" / f"{side}-s{cfg.seed}"

    def evaluate(self, cfg: Config) -> list[TaskScore]:
        self.calls.append(("evaluate", cfg))
        model = Path(cfg.encoder.name_or_path).parent.name
        trained = None if not model else model.startswith("with-")
        seed = 0 if trained is None else int(model.rpartition("-s")[2])
        return make_scores(self.quality[trained, bool(cfg.instructions.table)] + 0.01 * seed)

    @property
    def stages(self) -> Stages:
        return Stages(
            build=lambda cfg: self.calls.append(("build", cfg)),
            train=self.train,
            evaluate=self.evaluate,
            data_identity=lambda cfg: self.data,
        )
