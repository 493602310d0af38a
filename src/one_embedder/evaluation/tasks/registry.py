"""Tasks of mteb's own registry: named by one of its benchmarks, their data fetched from the hub at a fixed revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.benchmarks import AGGREGATES, METRICS
from one_embedder.files.hub import reason

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask

    from one_embedder.evaluation.tasks.itemized import Itemized

_SUBQUERIES = "max_over_subqueries"
"""Begins the name of mteb's main score where several queries ask as one: MindSmallReranking's clicked articles."""

_AS_PUBLISHED: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("MTEB(eng, v1)", "ToxicConversationsClassification"): {
        "samples_per_label": 32,  # mteb: 16, since 2024
        "dataset_transform": lambda *args, **kwargs: None,  # mteb: 2,048 of the 50,000 test texts, since 2024
    }
}
"""(Benchmark, task) -> what mteb changed in it after the paper's scores were made, set back."""


@dataclass(frozen=True)
class HubTask:
    """One task whose data are on the hub; nothing is fetched before it is scored.

    Attributes:
        name: of the task in mteb's registry.
        category: one of ``CATEGORIES``.
        benchmark: whose choice of split and language holds.
        repository: data set on the hub.
        revision: commit of it.
    """

    name: str
    category: str
    benchmark: str
    repository: str
    revision: str

    @property
    def identity(self) -> Mapping[str, Any]:
        """What of a result's identity is the task."""
        data = {"data_revision": f"{self.repository}@{self.revision}", "benchmark": self.benchmark}
        return {**data, "settings": "as published"} if (self.benchmark, self.name) in _AS_PUBLISHED else data

    @property
    def record(self) -> Mapping[str, Any]:
        """The task's data in a run record."""
        return {"name": self.name, "repository": self.repository, "revision": self.revision}


def hub_tasks(benchmark: str) -> list[HubTask]:
    """Every task of one of mteb's benchmarks, in its order; a task that is a mean of others is given as these.

    Raises:
        ConfigError: if mteb knows no such benchmark.
    """
    return [
        HubTask(name, task.metadata.type, benchmark, task.metadata.dataset["path"], task.metadata.dataset["revision"])
        for name, task in _registered(benchmark).items()
    ]


def open_hub_task(task: HubTask) -> Itemized:
    """Fetch the data, or find them in the cache.

    Raises:
        DataError: if the hub refuses or cannot be reached, or its data are not what mteb expects.
    """
    from one_embedder.evaluation.tasks.itemized import ITEMIZED, ItemizedRetrieval

    registered = _registered(task.benchmark)[task.name]
    own = type(registered)
    changed = dict(_AS_PUBLISHED.get((task.benchmark, task.name), {}))
    opened: Itemized = type(f"Itemized{own.__name__}", (ITEMIZED[task.category], own), changed)()
    # The category's main score for every task: mteb's own for pairs is the best of five similarities, not the cosine.
    opened.metadata = registered.metadata.model_copy(update={"main_score": METRICS[task.category]})
    opened.hf_subsets = registered.hf_subsets
    opened.filter_eval_splits(registered.eval_splits)
    if isinstance(opened, ItemizedRetrieval):
        opened.asks_in_parts = registered.metadata.main_score.startswith(_SUBQUERIES)
    try:
        opened.load_data()
    # Out of it come errors of datasets, of huggingface_hub, of its HTTP library and of mteb's transformations.
    except Exception as error:
        raise DataError(
            f"its data set {task.repository} at revision {task.revision[:8]} is not to be had: "
            f"{reason(error, f'datasets/{task.repository}', 'data set')}"
        ) from error
    return opened


def statistics_of(task: HubTask) -> Mapping[str, Any] | None:
    """mteb's own counts of the split and language that are scored; None where it has none."""
    registered = _registered(task.benchmark)[task.name]
    # The whole test split of the one that is set back was not counted; its training split is as large.
    split = "train" if (task.benchmark, task.name) in _AS_PUBLISHED else registered.eval_splits[0]
    counts: Any = (registered.metadata.descriptive_stats or {}).get(split)
    by_subset = (counts or {}).get("hf_subset_descriptive_stats") or {}
    found: Mapping[str, Any] | None = by_subset.get(registered.hf_subsets[0], counts)
    return found


def row_counts(benchmark: str, name: str) -> dict[str, int]:
    """mteb's own number of rows of a task: split -> rows, or documents and queries of a search; empty if not known."""
    registered = _registered(benchmark).get(name)
    known: Any = (registered.metadata.descriptive_stats if registered else None) or {}
    for counts in known.values():
        if "num_queries" in counts:
            return {"documents": int(counts["num_documents"]), "queries": int(counts["num_queries"])}
    return {split: int(counts["num_samples"]) for split, counts in known.items() if "num_samples" in counts}


@cache
def _registered(benchmark: str) -> dict[str, AbsTask]:
    """Name -> task; parts in place of their aggregate."""
    import mteb

    try:
        tasks = mteb.get_benchmark(benchmark).tasks
    except KeyError as error:
        raise ConfigError(f"benchmark.mteb: {error.args[0]}") from error
    found: dict[str, AbsTask] = {}
    for task in tasks:
        parts = getattr(task, "tasks", [task])
        if task.is_aggregate and AGGREGATES.get(task.metadata.name) != tuple(part.metadata.name for part in parts):
            raise ConfigError(
                f"benchmark.mteb={benchmark}: {task.metadata.name} is a mean of tasks that is not known here"
            )
        found |= {part.metadata.name: part for part in parts}
    return found
