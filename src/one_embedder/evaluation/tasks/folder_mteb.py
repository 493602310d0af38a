"""mteb tasks on the rows of a task folder, with the protocols of MTEB(eng, v1), which the paper used.

Each class reads its files in ``load_data``; how it is scored, item by item, is told in ``itemized``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from datasets import Dataset, DatasetDict
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata, TaskType

from one_embedder.errors import DataError
from one_embedder.evaluation.benchmarks import METRICS
from one_embedder.evaluation.tasks.folder import TaskFolder
from one_embedder.evaluation.tasks.itemized import (
    Itemized,
    ItemizedClassification,
    ItemizedClustering,
    ItemizedPairClassification,
    ItemizedReranking,
    ItemizedRetrieval,
    ItemizedSTS,
    ItemizedSummarization,
)
from one_embedder.evaluation.tasks.search_rows import SearchRows, read_reranking, read_retrieval
from one_embedder.files.json_lines import JsonLines, same_label

SPLIT = "test"

REPEATED = 0.01
"""Share of test texts that may be training texts too before that is told; some public sets have a few, TREC 2 %."""

log = logging.getLogger(__name__)


class FolderTask(Itemized):
    """What the tasks below share: metadata from the folder."""

    def __init__(self, folder: TaskFolder) -> None:
        """Make the task of ``folder``; nothing is read before ``load_data``."""
        self.folder = folder
        self.metadata = TaskMetadata(
            name=folder.name,
            type=cast(TaskType, folder.category),
            description=f"{folder.category} task from a folder of JSON-lines files",
            dataset={"path": f"folder/{folder.name}", "revision": folder.sha256},  # mteb wants both; never contacted
            main_score=METRICS[folder.category],
            eval_splits=[SPLIT],
            eval_langs=["eng-Latn"],
        )
        super().__init__()  # seed 42, as all of mteb


class FolderRetrieval(FolderTask, ItemizedRetrieval):
    """nDCG@10 over the whole corpus; a document with the query's own id counts unless the task's settings say not."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read corpus, queries and judgements."""
        rows = read_retrieval(self.folder.path, SPLIT)
        chosen = self.folder.settings.ignore_identical_ids
        self.ignore_identical_ids = bool(chosen)
        itself = [query for query in rows.relevant if rows.documents.get(query) == rows.queries[query].strip()]
        if itself and chosen is None:
            log.warning(
                "%s: %d queries stand in the corpus, with the same id and text, and are found there; if that is no "
                "answer, set benchmark.protocol.%s.ignore_identical_ids=true",
                *(self.folder.path, len(itself), self.folder.name),
            )
        _serve(self, rows)


class FolderReranking(FolderTask, ItemizedReranking):
    """MAP over each query's own candidates."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read queries with their positive and negative candidates."""
        _serve(self, read_reranking(self.folder.path, SPLIT))


class FolderClustering(FolderTask, ItemizedClustering):
    """v-measure of mini-batch k-means with as many clusters as labels."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read one set of texts; mteb's legacy layout is one row a set."""
        rows = JsonLines.read(self.folder.path, SPLIT)
        self.dataset = _dataset(test={"sentences": [rows.texts("text")], "labels": [_numbered(rows.labels())]})
        self.data_loaded = True


class FolderPairClassification(FolderTask, ItemizedPairClassification):
    """Average precision of the cosine similarity."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read pairs with a label of 0 or 1."""
        rows = JsonLines.read(self.folder.path, SPLIT)
        labels = rows.labels(truth=True)
        for row, label in enumerate(labels):
            if label not in (0, 1):
                raise rows.error(row, f"field 'label' must be 0 or 1, got {label!r:.60}")
        first, second = rows.texts("sent1"), rows.texts("sent2")
        rows.refuse_contradictions(zip(first, second, strict=True), labels, "label")
        pairs = {"sentence1": first, "sentence2": second, "labels": list(map(int, labels))}
        self.dataset = _dataset(test=pairs)
        self.data_loaded = True


class FolderClassification(FolderTask, ItemizedClassification):
    """Mean accuracy of ten logistic regressions, each trained on eight texts a label or on as many as is set."""

    samples_per_label = 8
    n_experiments = 10

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read the texts to train on and to test on."""
        if self.folder.settings.samples_per_label is not None:
            self.samples_per_label = self.folder.settings.samples_per_label
        train, test = JsonLines.read(self.folder.path, "train"), JsonLines.read(self.folder.path, SPLIT)
        numbers = _numbers(train.labels())
        asked = test.labels(classes=1)
        for row, label in enumerate(asked):
            if label not in numbers:
                other = next((known for known in numbers if same_label(known) == same_label(label)), None)
                alike = f"where it is written {other!r:.60}; write both alike"
                why = "so it cannot be learned" if other is None else alike
                raise test.error(row, f"label {label!r:.60} does not occur in {train.path.name}, {why}")
        learned, scored = train.texts("text"), test.texts("text")
        known = set(learned)
        seen = sum(text in known for text in scored)
        if seen > REPEATED * len(scored):
            log.warning("%s: %d of %d texts are in %s too; they count", test.path, seen, len(scored), train.path.name)
        self.dataset = _dataset(
            train={"text": learned, "label": [numbers[label] for label in train.labels()]},
            test={"text": scored, "label": [numbers[label] for label in asked]},
        )
        self.data_loaded = True


class FolderSTS(FolderTask, ItemizedSTS):
    """Spearman correlation of cosine similarity and graded similarity."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read graded pairs, of several files where the task's settings say so."""
        files = [JsonLines.read(self.folder.path, split) for split in self.folder.settings.splits or [SPLIT]]
        grades = [score for rows in files for score in rows.numbers("score")]
        self.min_score, self.max_score = _range(files[0], "score", grades)
        first, second = ([text for rows in files for text in rows.texts(f"sentence{side}")] for side in (1, 2))
        self.dataset = _dataset(test={"sentence1": first, "sentence2": second, "score": grades})
        self.data_loaded = True


class FolderSummarization(FolderTask, ItemizedSummarization):
    """Mean over documents of the Spearman correlation of human scores and the cosine to the nearest human summary."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read documents with human and judged machine summaries."""
        rows = JsonLines.read(self.folder.path, SPLIT)
        machine, relevance = rows.text_lists("machine_summaries"), rows.number_lists("relevance")
        for row, (summaries, scores) in enumerate(zip(machine, relevance, strict=True)):
            if len(summaries) != len(scores):
                raise rows.error(row, f"{len(summaries)} machine_summaries but {len(scores)} relevance scores")
        self.min_score, self.max_score = _range(rows, "relevance", [score for scores in relevance for score in scores])
        if all(len(set(scores)) < 2 for scores in relevance):  # a document of equal grades is left out
            raise DataError(
                f"{rows.path}: no row has different grades in relevance; a document's summaries are ranked among each "
                "other, so give them different grades"
            )
        self.dataset = _dataset(
            test={
                "text": rows.texts("text"),
                "human_summaries": rows.text_lists("human_summaries"),
                "machine_summaries": machine,
                "relevance": relevance,
            }
        )
        self.data_loaded = True


TASKS: dict[str, type[FolderTask]] = {
    "Retrieval": FolderRetrieval,
    "Reranking": FolderReranking,
    "Clustering": FolderClustering,
    "PairClassification": FolderPairClassification,
    "Classification": FolderClassification,
    "STS": FolderSTS,
    "Summarization": FolderSummarization,
}
"""The seven categories of mteb."""


def _serve(task: ItemizedRetrieval, rows: SearchRows) -> None:
    """Give the task its rows in mteb's layout."""
    corpus = {"id": list(rows.documents), "text": list(rows.documents.values())}
    queries = {"id": list(rows.queries), "text": list(rows.queries.values())}
    data = RetrievalSplitData(
        corpus=Dataset.from_dict(corpus),
        queries=Dataset.from_dict(queries),
        relevant_docs=rows.relevant,
        top_ranked=rows.candidates,
    )
    task.dataset = {"default": {SPLIT: data}}
    task.data_loaded = True


def _numbers(labels: Sequence[str | int]) -> dict[str | int, int]:
    return {label: number for number, label in enumerate(sorted(set(labels), key=str))}


def _numbered(labels: Sequence[str | int]) -> list[int]:
    numbers = _numbers(labels)
    return [numbers[label] for label in labels]


def _range(rows: JsonLines, field: str, values: Sequence[float]) -> tuple[Any, Any]:
    """Smallest and largest value: mteb scales by them, which no rank correlation sees."""
    if min(values) == max(values):
        raise DataError(f"{rows.path}: every {field} is {values[0]}; a correlation needs different values")
    return min(values), max(values)


def _dataset(**splits: Mapping[str, Any]) -> DatasetDict:
    return DatasetDict({name: Dataset.from_dict(columns) for name, columns in splits.items()})
