"""How well embeddings under one instruction tell one labeling: by nearest neighbours and by clustering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from one_embedder.evaluation.encoder import Embeddings
from one_embedder.evaluation.items import ItemScores

NEIGHBOURS, CLUSTERING = MEASURES = ("knn_accuracy", "v_measure")
"""``knn_accuracy``: share of texts whose class the majority of the nearest other texts has, mean over classes.
``v_measure``: of clusters and classes, mean over repeats."""

CLUSTERING_BATCH = 500
"""Texts that mini-batch k-means looks at at a time, as MTEB has it."""
ROWS = 1024
"""Texts whose similarities to all the others are in memory at a time."""

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Labeling:
    """The texts of a set that have a class in one labeling.

    Attributes:
        places: (M,) of these texts among all of the set, ascending.
        gold: (M,) the class of each, from 0.
    """

    places: Codes
    gold: Codes

    @classmethod
    def of(cls, classes: Sequence[str | None]) -> Labeling:
        """Those with a class that another text has too: of a class of one, no other text can tell."""
        names = sorted(name for name, texts in Counter(classes).items() if name is not None and texts > 1)
        number = {name: code for code, name in enumerate(names)}
        kept = [(place, number[name]) for place, name in enumerate(classes) if name in number]
        places, gold = zip(*kept, strict=True) if kept else ((), ())
        return cls(np.array(places, dtype=np.int64), np.array(gold, dtype=np.int64))

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(np.unique(self.gold))


@dataclass(frozen=True)
class Cell:
    """One instruction against one labeling.

    Attributes:
        right: (M,) 1 where the neighbours of a text have its class, else 0.
        clusters: (R, M) the cluster of each text in each repeat.
    """

    right: Codes
    clusters: Codes

    def items(self, labeling: Labeling) -> dict[str, list[ItemScores]]:
        """Measure -> what its score is the mean of: one entry, or one a repeat; one item a text."""
        gold = labeling.gold.astype(np.float64)
        runs = self.clusters.astype(np.float64)
        return {
            NEIGHBOURS: [ItemScores("mean_of_groups", {"value": self.right.astype(np.float64), "group": gold})],
            CLUSTERING: [ItemScores("v_measure", {"predicted": run, "gold": gold}) for run in runs],
        }

    def scores(self, labeling: Labeling) -> dict[str, float]:
        """Measure -> score, 0-1."""
        return {name: float(np.mean([items.score() for items in runs])) for name, runs in self.items(labeling).items()}


def score_cell(embeddings: Embeddings, labeling: Labeling, *, neighbours: int, repeats: int, seed: int) -> Cell:
    """Score embeddings against one labeling.

    Args:
        embeddings: (N, D), unit length, of all texts of the set.
        labeling: which of them have a class, and which.
        neighbours: that vote, itself not counted; fewer where there are fewer texts.
        repeats: of the clustering.
        seed: of the first one; the next takes the next.
    """
    own = np.asarray(embeddings, dtype=np.float64)[labeling.places]
    clusters = [_clusters(own, labeling.classes, seed + repeat) for repeat in range(repeats)]
    return Cell((_voted(own, labeling, neighbours) == labeling.gold).astype(np.int64), np.stack(clusters))


def _voted(embeddings: NDArray[Any], labeling: Labeling, neighbours: int) -> Codes:
    """(M,) the class of most of the nearest texts; of classes with equally many, the nearer one's."""
    count = min(neighbours, len(embeddings) - 1)
    voted = [
        _votes(embeddings, labeling, np.arange(start, min(start + ROWS, len(embeddings))), count)
        for start in range(0, len(embeddings), ROWS)
    ]
    return np.concatenate(voted)


def _votes(embeddings: NDArray[Any], labeling: Labeling, block: Codes, count: int) -> Codes:
    similarity = embeddings[block] @ embeddings.T  # (block, M)
    similarity[np.arange(len(block)), block] = -np.inf
    nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    near = np.take_along_axis(similarity, nearest, axis=1)
    votes = np.zeros((len(block), labeling.classes))
    rows = np.repeat(np.arange(len(block)), count)
    # A voice counts 1; cosines, which sum to less than count, decide between classes with equally many.
    np.add.at(votes, (rows, labeling.gold[nearest].ravel()), 1 + near.ravel() / (2 * count + 1))
    return np.asarray(votes.argmax(axis=1), dtype=np.int64)


def _clusters(embeddings: NDArray[Any], classes: int, seed: int) -> Codes:
    from sklearn.cluster import MiniBatchKMeans

    means = MiniBatchKMeans(n_clusters=classes, batch_size=CLUSTERING_BATCH, n_init="auto", random_state=seed)
    return np.asarray(means.fit_predict(embeddings), dtype=np.int64)
