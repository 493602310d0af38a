"""Which of a text's candidates become its hard negatives: the paper's rule, and two ways around false negatives.

The paper takes the first candidate by its rule. That one is often a right answer which nobody marked. Two settings of
``medi.mining`` pass over such candidates:

- a bound: a negative's cosine to the query is at most a share of the positive's, or lies below it by a margin
  (TopK-PercPos and TopK-MarginPos of NV-Retriever, arXiv:2407.15831). Of a positive cosine c the share s gives
  c - (1 - s)|c|, as in sentence-transformers' ``mine_hard_negatives``: a share of a negative number would lie above it;
- a band of ranks: negatives are drawn among the candidates from a first to a last rank, as with ``range_min`` and
  ``range_max`` of that function and ``sampling_strategy="random"``.

What a task excludes (its own class, links, near-copies) stays excluded. Ranks count the candidates that are then left
within the bound, by the task's own rule, each text once.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from one_embedder.config.schema import MiningConfig


@dataclass
class HardNegatives:
    """Chooses hard negatives as configured; by default the paper's one.

    Attributes:
        settings: ``medi.mining``, checked.
        missed: rows so far for which no candidate lay within bound and band.
    """

    settings: MiningConfig = field(default_factory=MiningConfig)
    missed: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        """The settings and what came of them, as JSON values."""
        return {**asdict(self.settings), "missed": self.missed}

    @property
    def compares_with_query(self) -> bool:
        """Whether ``choose`` looks at similarities to the query."""
        return self._has_bound or self.settings.first_rank > 1

    def choose(
        self, score: np.ndarray, to_query: np.ndarray, positive: float, texts: np.ndarray, seed: str
    ) -> list[int]:
        """The hard negatives of one row.

        Where no candidate is within bound and band, ``medi.mining.none_left`` decides: ``least_similar`` takes the
        candidate that is least similar to the query, ``drop`` none. Fewer candidates than negatives are all taken.

        Args:
            score: (N,) by which the task ranks; -inf where a candidate is excluded.
            to_query: (N,) cosine of the query and each candidate; read only if ``compares_with_query``.
            positive: cosine of the query and its positive; as ``to_query``.
            texts: (N,) integers; equal texts, equal integers.
            seed: tells the row from all others.

        Returns:
            Candidates, best first; empty: the row has none.
        """
        chosen = self.settings
        within = np.where(to_query <= self.bound(positive), score, -np.inf) if self._has_bound else score
        band = self._ranked(within, texts)[chosen.first_rank - 1 :]
        if not len(band):
            self.missed += 1
            return self._instead(score, to_query)
        count = min(chosen.negatives, len(band))
        drawn = random.Random(f"{chosen.seed}|{seed}").sample(range(len(band)), count)
        return [int(band[place]) for place in sorted(drawn)]

    def bound(self, positive: float) -> float:
        """The highest cosine to the query that a negative may have."""
        if self.settings.max_share_of_positive is not None:
            return positive - (1 - self.settings.max_share_of_positive) * abs(positive)
        return np.inf if self.settings.positive_margin is None else positive - self.settings.positive_margin

    @property
    def _has_bound(self) -> bool:
        return self.settings.max_share_of_positive is not None or self.settings.positive_margin is not None

    def _ranked(self, score: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """The candidates up to the last rank, best first, each text once."""
        last = self.settings.last_rank
        if last == 1:
            return best(score, 1)
        ranked = best(score, len(score))
        first_of_text = np.unique(texts[ranked], return_index=True)[1]
        return np.asarray(ranked[np.sort(first_of_text)][:last])

    def _instead(self, score: np.ndarray, to_query: np.ndarray) -> list[int]:
        allowed = np.flatnonzero(score > -np.inf)
        if self.settings.none_left == "drop" or not len(allowed):
            return []
        return [int(allowed[to_query[allowed].argmin()])]


def best(score: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` candidates of the highest scores above -inf, best first; of equal ones the first comes first."""
    candidates = np.flatnonzero(score > -np.inf)
    if count < len(candidates):
        least = np.partition(score[candidates], -count)[-count]
        candidates = candidates[score[candidates] >= least]  # with those that tie for the last place
    return np.asarray(candidates[np.argsort(-score[candidates], kind="stable")][:count])
