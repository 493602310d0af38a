"""mteb tasks on the rows of a task folder, with the protocols of MTEB(eng, v1), which the paper used.

Each class reads its files in ``load_data`` and gives, after mteb has evaluated it, the scores of its single items.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from datasets import Dataset, DatasetDict
from mteb.abstasks import (
    AbsTaskClassification,
    AbsTaskClusteringLegacy,
    AbsTaskPairClassification,
    AbsTaskRetrieval,
    AbsTaskSTS,
)
from mteb.abstasks.abstask import AbsTask
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata, TaskType
from mteb.abstasks.text.summarization import AbsTaskSummarization
from mteb.types import EncodeKwargs
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from one_embedder.errors import DataError
from one_embedder.evaluation.benchmarks import METRICS
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.mteb_encoder import MtebEncoder
from one_embedder.evaluation.search_rows import SearchRows, read_reranking, read_retrieval
from one_embedder.evaluation.task_folder import TaskFolder
from one_embedder.json_lines import JsonLines

SPLIT = "test"


class FolderTask(AbsTask):
    """What the tasks below share: metadata from the folder, and items after evaluation."""

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

    def items(self, predictions: Any) -> ItemScores:
        """The scores of single items.

        Args:
            predictions: what mteb saves of this category, as read from its prediction file.
        """
        raise NotImplementedError

    def run(self, model: MtebEncoder, settings: EncodeKwargs) -> tuple[Mapping[str, Any], ItemScores]:
        """Evaluate with mteb.

        ``mteb.evaluate()`` is this call plus look-ups on the hub, a cache of its own and an import of
        sentence-transformers.

        Returns:
            mteb's scores by subset, and the scores of single items.
        """
        # One thread: scikit-learn's spin while they wait, and on two busy cores small fits took 70 times as long.
        with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
            scores = self.evaluate(model, SPLIT, encode_kwargs=settings, prediction_folder=Path(folder))
            saved = json.loads((Path(folder) / self.prediction_file_name).read_text(encoding="utf-8"))
        return scores, self.items(saved["default"][SPLIT])


class FolderRetrieval(FolderTask, AbsTaskRetrieval):
    """nDCG@10 over the whole corpus; a document with the query's own id is never counted."""

    ignore_identical_ids = True
    per_query = "ndcg_cut_10"

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read corpus, queries and qrels."""
        self._serve(read_retrieval(self.folder.path, SPLIT))

    def _serve(self, rows: SearchRows) -> None:
        corpus = {"id": list(rows.documents), "text": list(rows.documents.values())}
        queries = {"id": list(rows.queries), "text": list(rows.queries.values())}
        data = RetrievalSplitData(
            corpus=Dataset.from_dict(corpus),
            queries=Dataset.from_dict(queries),
            relevant_docs=rows.relevant,
            top_ranked=rows.candidates,
        )
        self.dataset = {"default": {SPLIT: data}}
        self.data_loaded = True

    def task_specific_scores(self, scores: dict[str, dict[str, float]], *args: Any, **kwargs: Any) -> dict[str, float]:
        """Keep the score of each query, and give the main score back without mteb's rounding to five digits."""
        self.query_scores = np.array([query[self.per_query] for query in scores.values()])
        return {self.metadata.main_score: float(self.query_scores.mean())}

    def run(self, model: MtebEncoder, settings: EncodeKwargs) -> tuple[Mapping[str, Any], ItemScores]:
        """Evaluate with mteb, whose predictions (a thousand documents a query) are not needed for the items.

        Returns:
            mteb's scores by subset, and one value a query that has a relevant document.
        """
        scores = self.evaluate(model, SPLIT, encode_kwargs=settings)
        return scores, ItemScores("mean", {"value": self.query_scores})


class FolderReranking(FolderRetrieval):
    """MAP over each query's own candidates."""

    per_query = "map_cut_1000"

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read queries with their positive and negative candidates."""
        self._serve(read_reranking(self.folder.path, SPLIT))


class FolderClustering(FolderTask, AbsTaskClusteringLegacy):
    """v-measure of mini-batch k-means with as many clusters as labels."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read one set of texts; mteb's legacy layout is one row a set."""
        rows = JsonLines.read(self.folder.path, SPLIT)
        self.gold = _numbered(rows.labels())
        self.dataset = _dataset(test={"sentences": [rows.texts("text")], "labels": [self.gold]})
        self.data_loaded = True

    def items(self, predictions: Any) -> ItemScores:
        """One true and one predicted cluster a text."""
        return ItemScores("v_measure", {"predicted": np.array(predictions[0]), "gold": np.array(self.gold)})


class FolderPairClassification(FolderTask, AbsTaskPairClassification):
    """Average precision of the cosine similarity."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read pairs with a label of 0 or 1."""
        rows = JsonLines.read(self.folder.path, SPLIT)
        self.gold = rows.labels()
        for row, label in enumerate(self.gold):
            if label not in (0, 1):
                raise rows.error(row, f"field 'label' must be 0 or 1, got {label!r}")
        pairs = {"sentence1": rows.texts("sent1"), "sentence2": rows.texts("sent2"), "labels": self.gold}
        self.dataset = _dataset(test=pairs)
        self.data_loaded = True

    def items(self, predictions: Any) -> ItemScores:
        """One similarity and one label a pair."""
        predicted = np.array(predictions["cosine_scores"])
        return ItemScores("average_precision", {"predicted": predicted, "gold": np.array(self.gold)})


class FolderClassification(FolderTask, AbsTaskClassification):
    """Mean accuracy of ten logistic regressions, each trained on eight texts a label or on as many as is set."""

    samples_per_label = 8
    n_experiments = 10

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read the texts to train on and to test on."""
        if self.folder.settings.samples_per_label is not None:
            self.samples_per_label = self.folder.settings.samples_per_label
        train, test = JsonLines.read(self.folder.path, "train"), JsonLines.read(self.folder.path, SPLIT)
        numbers = _numbers(train.labels())
        for row, label in enumerate(test.labels()):
            if label not in numbers:
                raise test.error(row, f"label {label!r} does not occur in {train.path.name}, so it cannot be learned")
        self.gold = [numbers[label] for label in test.labels()]
        self.dataset = _dataset(
            train={"text": train.texts("text"), "label": [numbers[label] for label in train.labels()]},
            test={"text": test.texts("text"), "label": self.gold},
        )
        self.data_loaded = True

    def _calculate_scores(self, y_test: Any, y_pred: Any) -> Any:
        # Given as a lazy column, the labels would be read row by row for each of eight metrics: 100 times as slow.
        return super()._calculate_scores(np.asarray(y_test[:]), y_pred)

    def items(self, predictions: Any) -> ItemScores:
        """Of each test text, the share of experiments in which it was classified correctly."""
        return ItemScores("mean", {"value": (np.array(predictions) == np.array(self.gold)).mean(axis=0)})


class FolderSTS(FolderTask, AbsTaskSTS):
    """Spearman correlation of cosine similarity and graded similarity."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read graded pairs, of several files where the task's settings say so."""
        files = [JsonLines.read(self.folder.path, split) for split in self.folder.settings.splits or [SPLIT]]
        self.gold = [score for rows in files for score in rows.numbers("score")]
        self.min_score, self.max_score = _range(files[0], "score", self.gold)
        first, second = ([text for rows in files for text in rows.texts(f"sentence{side}")] for side in (1, 2))
        self.dataset = _dataset(test={"sentence1": first, "sentence2": second, "score": self.gold})
        self.data_loaded = True

    def items(self, predictions: Any) -> ItemScores:
        """One similarity and one grade a pair."""
        predicted = np.array(predictions["cosine_scores"])
        return ItemScores("spearman", {"predicted": predicted, "gold": np.array(self.gold)})


class FolderSummarization(FolderTask, AbsTaskSummarization):
    """Mean over documents of the Spearman correlation of human scores and the cosine to the nearest human summary."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read documents with human and judged machine summaries."""
        rows = JsonLines.read(self.folder.path, SPLIT)
        machine, relevance = rows.text_lists("machine_summaries"), rows.number_lists("relevance")
        for row, (summaries, scores) in enumerate(zip(machine, relevance, strict=True)):
            if len(summaries) != len(scores):
                raise rows.error(row, f"{len(summaries)} machine_summaries but {len(scores)} relevance scores")
        self.min_score, self.max_score = _range(rows, "relevance", [score for scores in relevance for score in scores])
        self.dataset = _dataset(
            test={
                "text": rows.texts("text"),
                "human_summaries": rows.text_lists("human_summaries"),
                "machine_summaries": machine,
                "relevance": relevance,
            }
        )
        self.data_loaded = True

    def items(self, predictions: Any) -> ItemScores:
        """One correlation a document; mteb leaves out documents whose scores are all equal."""
        pairs = zip(predictions["human_scores"], predictions["cosine_scores"], strict=True)
        return ItemScores("mean", {"value": np.array([spearmanr(human, cosine).statistic for human, cosine in pairs])})


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
