"""mteb's task classes with what we add to them: the paper's main score and the scores of single items.

One class a category; ``folder_mteb`` puts rows of a folder under it, ``registry`` the tasks of mteb's own registry.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores
from mteb._evaluators.text.summarization_evaluator import DeprecatedSummarizationEvaluator
from mteb.abstasks import (
    AbsTaskClassification,
    AbsTaskClusteringLegacy,
    AbsTaskPairClassification,
    AbsTaskRetrieval,
    AbsTaskSTS,
)
from mteb.abstasks.abstask import AbsTask
from mteb.abstasks.text.summarization import AbsTaskSummarization
from mteb.models import SearchEncoderWrapper
from mteb.types import EncodeKwargs
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from threadpoolctl import threadpool_limits

from one_embedder.evaluation.encoder import MtebEncoder
from one_embedder.evaluation.items import ItemScores, item_ids
from one_embedder.evaluation.tasks.judgements import checked

CORPUS_CHUNK = 10_000
"""Documents embedded and compared at a time: the similarities of 10,000 queries to a chunk are 0.4 GB in float32."""


class Itemized(AbsTask):
    """What the categories below share: one split, one subset, and items after evaluation."""

    @property
    def split(self) -> str:
        """The one split that is scored."""
        (split,) = self.eval_splits
        return split

    @property
    def subset(self) -> str:
        """The one subset, in most data sets called ``default``, elsewhere a language."""
        (subset,) = self.hf_subsets
        return subset

    def column(self, name: str, split: str | None = None) -> Any:
        """One column of the rows that are scored, or of another split, as it was loaded."""
        data: Any = self.dataset
        return (data[self.subset] if self.subset in data else data)[split or self.split][name][:]

    def items(self, predictions: Any, scores: Mapping[str, Any]) -> ItemScores:
        """The scores of single items.

        Args:
            predictions: what mteb saves of this category, as read from its prediction file.
            scores: what mteb reports.
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
            scores = self.evaluate(model, self.split, encode_kwargs=settings, prediction_folder=Path(folder))
            saved = json.loads((Path(folder) / self.prediction_file_name).read_text(encoding="utf-8"))
        return scores, self.items(saved[self.subset][self.split], scores[self.subset])


class ItemizedRetrieval(Itemized, AbsTaskRetrieval):
    """nDCG@10 over the whole corpus; one item a query that has a judgement.

    Attributes:
        per_query: the metric, as pytrec_eval spells it.
        asks_in_parts: whether queries ``q_0``, ``q_1``, ... ask as one, the best similarity to any of them counting.
    """

    per_query = "ndcg_cut_10"
    asks_in_parts = False

    def task_specific_scores(
        self,
        scores: dict[str, dict[str, float]],
        qrels: Mapping[str, Mapping[str, int]],
        results: dict[str, dict[str, float]],
        hf_split: str,
        hf_subset: str,
    ) -> dict[str, float]:
        """Keep the score of each query, and give the main score back without mteb's rounding to five digits."""
        if self.asks_in_parts:
            scores = self._of_whole_queries(qrels, results)
        self.query_scores = np.array([query[self.per_query] for query in scores.values()])
        self.query_ids = item_ids(list(scores))
        return {self.metadata.main_score: float(self.query_scores.mean())}

    def run(self, model: MtebEncoder, settings: EncodeKwargs) -> tuple[Mapping[str, Any], ItemScores]:
        """Evaluate with mteb, whose predictions (a thousand documents a query) are not needed for the items.

        The corpus goes through memory in chunks, each forgotten once its best documents are known.

        Returns:
            mteb's scores by subset, and one value a query that has a judgement.

        Raises:
            DataError: if a judgement cannot be scored.
        """
        if not self.data_loaded:
            self.load_data()
        data = self.dataset[self.subset][self.split]
        data["relevant_docs"] = checked(data["relevant_docs"], self.metadata.name)
        documents = len(data["corpus"])
        search = SearchEncoderWrapper(model, corpus_chunk_size=CORPUS_CHUNK)
        shown: EncodeKwargs = {**settings, "show_progress_bar": documents > CORPUS_CHUNK}  # of hours, not of seconds
        scores = self.evaluate(search, self.split, encode_kwargs=shown)
        return scores, ItemScores("mean", {"value": self.query_scores}, self.query_ids)

    def _of_whole_queries(
        self, qrels: Mapping[str, Mapping[str, int]], results: dict[str, dict[str, float]]
    ) -> dict[str, dict[str, float]]:
        """The scores of the queries that ask in parts, of which mteb tells the mean alone."""
        merged: dict[str, dict[str, float]] = defaultdict(dict)
        relevant: dict[str, dict[str, int]] = {}
        for part, found in results.items():
            whole = part.rpartition("_")[0]
            relevant[whole] = dict(qrels[part])  # all parts have the same
            best = merged[whole]
            for document, similarity in found.items():
                best[document] = max(similarity, best.get(document, similarity))
        return dict(calculate_retrieval_scores(merged, relevant, list(self.k_values))[0])


class ItemizedReranking(ItemizedRetrieval):
    """MAP over each query's own candidates."""

    per_query = "map_cut_1000"


class ItemizedClustering(Itemized, AbsTaskClusteringLegacy):
    """v-measure of mini-batch k-means with as many clusters as labels; mean over the sets of texts."""

    def items(self, predictions: Any, scores: Mapping[str, Any]) -> ItemScores:
        """One true and one predicted cluster a text; where there are several sets, one v-measure a set."""
        texts, gold = self.column("sentences"), self.column("labels")
        if len(gold) > 1:
            return ItemScores("mean", {"value": np.array(scores["v_measures"])}, item_ids(texts, gold))
        columns = {"predicted": np.array(predictions[0]), "gold": _numbered(gold[0])}
        return ItemScores("v_measure", columns, item_ids(texts[0], gold[0]))


class ItemizedPairClassification(Itemized, AbsTaskPairClassification):
    """Average precision of the cosine similarity."""

    def items(self, predictions: Any, scores: Mapping[str, Any]) -> ItemScores:
        """One similarity and one label a pair."""
        columns = [self.column(name) for name in ("sentence1", "sentence2", "labels")]
        if len(columns[0]) == 1:
            columns = [column[0] for column in columns]  # older data sets are a single row of lists
        return ItemScores("average_precision", _both(predictions["cosine_scores"], columns[2]), item_ids(*columns))


class ItemizedClassification(Itemized, AbsTaskClassification):
    """Mean accuracy of logistic regressions, each trained on few texts a label."""

    def _calculate_scores(self, y_test: Any, y_pred: Any) -> Any:
        # Given as a lazy column, the labels would be read row by row for each of eight metrics: 100 times as slow.
        gold = np.asarray(y_test[:])
        if len(np.unique(gold)) != 2 or set(self.column("label", self.train_split)) <= {0, 1}:
            return super()._calculate_scores(gold, y_pred)
        # Two of more classes: mteb would take them for all there are and ask for an average precision.
        averaged = {
            f"{name}{suffix}": metric(gold, y_pred, average=average, zero_division=0)
            for name, metric in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score))
            for suffix, average in (("", "macro"), ("_weighted", "weighted"))
        }
        return {"accuracy": accuracy_score(gold, y_pred), **averaged, "ap": None, "ap_weighted": None}

    def items(self, predictions: Any, scores: Mapping[str, Any]) -> ItemScores:
        """Of each test text, the share of experiments in which it was classified correctly."""
        texts, labels = self.column("text"), self.column("label")
        right = np.array(predictions) == np.array(labels)
        return ItemScores("mean", {"value": right.mean(axis=0)}, item_ids(texts, labels))


class ItemizedSTS(Itemized, AbsTaskSTS):
    """Spearman correlation of cosine similarity and graded similarity."""

    def items(self, predictions: Any, scores: Mapping[str, Any]) -> ItemScores:
        """One similarity and one grade a pair."""
        first, second, gold = (self.column(name) for name in ("sentence1", "sentence2", "score"))
        return ItemScores("spearman", _both(predictions["cosine_scores"], gold), item_ids(first, second, gold))


class ItemizedSummarization(Itemized, AbsTaskSummarization):
    """Mean over documents of the Spearman correlation of human scores and the cosine to the nearest human summary.

    SummEval in MTEB(eng, v1) averages every correlation with its p-value, by an error that mteb keeps for the sake of
    the scores published until then, INSTRUCTOR's among them (embeddings-benchmark/mteb, issue 1156).
    """

    def items(self, predictions: Any, scores: Mapping[str, Any]) -> ItemScores:
        """One correlation a document; mteb leaves out documents whose scores are all equal."""
        pairs = zip(predictions["human_scores"], predictions["cosine_scores"], strict=True)
        correlations = np.array([spearmanr(human, cosine) for human, cosine in pairs]).reshape(-1, 2)  # and p-values
        as_published = issubclass(self.evaluator, DeprecatedSummarizationEvaluator)
        value = correlations.mean(axis=1) if as_published else correlations[:, 0]
        return ItemScores("mean", {"value": value}, self._scored_documents(predictions))

    def _scored_documents(self, predictions: Any) -> tuple[str, ...]:
        """The documents that mteb scored, of which it tells the scores alone: found again by the human ones.

        mteb leaves out a document whose scores are all equal, its cosines too, so that another encoder's documents may
        be others. Where the human scores leave open which, items are named by their cosines: the same as nobody else's.
        """
        columns = [self.column(name) for name in ("text", "machine_summaries", "relevance")]
        rows = [row for row in zip(*columns, strict=True) if len(set(row[1])) > 1 and len(set(row[2])) > 1]
        scale = self.max_score - self.min_score  # by which mteb divides the human scores
        known = [((np.array(row[2]) - self.min_score) / scale).tolist() for row in rows]
        human = predictions["human_scores"]
        first, last = _in_order(human, known), _in_order(human[::-1], known[::-1])
        if len(first) < len(human) or first != [len(rows) - 1 - place for place in reversed(last)]:
            return item_ids(predictions["cosine_scores"])
        return item_ids([rows[place] for place in first])


ITEMIZED: dict[str, type[Itemized]] = {
    "Retrieval": ItemizedRetrieval,
    "Reranking": ItemizedReranking,
    "Clustering": ItemizedClustering,
    "PairClassification": ItemizedPairClassification,
    "Classification": ItemizedClassification,
    "STS": ItemizedSTS,
    "Summarization": ItemizedSummarization,
}
"""The seven categories of mteb."""


def _both(predicted: Any, gold: Any) -> dict[str, Any]:
    return {"predicted": np.array(predicted), "gold": np.array(gold)}


def _numbered(labels: Any) -> Any:
    """Labels as numbers; which number a label gets says nothing."""
    return np.unique(labels, return_inverse=True)[1]


def _in_order(found: Sequence[Any], known: Sequence[Any]) -> list[int]:
    """The first places in ``known`` at which all of ``found`` stand, one after the other."""
    places: list[int] = []
    for place, value in enumerate(known):
        if len(places) < len(found) and value == found[len(places)]:
            places.append(place)
    return places
