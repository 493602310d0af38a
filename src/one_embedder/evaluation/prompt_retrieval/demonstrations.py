"""Which demonstrations of the pool a test input is shown: the most similar or random ones, until a budget is full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from one_embedder.config.schema import PromptTaskConfig
from one_embedder.errors import EvaluationError

Array = NDArray[np.float32]

ROWS_AT_ONCE = 1024
"""Test inputs whose similarities to the pool (this x P numbers) are in memory at a time."""

IDENTICAL = 1 - 1e-6
"""From this cosine on two embeddings are the same up to rounding in float32."""


@dataclass(frozen=True)
class Selection:
    """The demonstrations of one test input.

    Attributes:
        indices: rows of the pool, the most similar last.
        similarities: cosine of each to the test input.
        candidates: whether the pool held any demonstration that may be shown at all.
    """

    indices: list[int]
    similarities: list[float]
    candidates: bool


def similarities(test: Array, pool: Array, centring: str) -> Iterator[Array]:
    """Cosine similarities of all test inputs to the pool in blocks of rows, (at most ROWS_AT_ONCE, P) each.

    Args:
        test: (N, D) unit-length embeddings.
        pool: (P, D) unit-length embeddings.
        centring: ``none``; ``separate``: both minus their own mean first; ``pool``: only the pool minus its mean. The
            released scripts do the second (main.py) or the third (most of the others), which compares vectors of two
            different origins.

    Raises:
        EvaluationError: if centring leaves an embedding without a direction.
    """
    if centring != "none":
        pool = _centred(pool)
        test = _centred(test) if centring == "separate" else test
    for start in range(0, len(test), ROWS_AT_ONCE):
        yield test[start : start + ROWS_AT_ONCE] @ pool.T


def at_random(tests: int, pool: int, seed: int) -> Iterator[Array]:
    """Numbers of 0-0.5 in place of similarities, in the same blocks: the order that they give is random."""
    rng = np.random.default_rng(seed)
    for start in range(0, tests, ROWS_AT_ONCE):
        yield rng.random((min(ROWS_AT_ONCE, tests - start), pool), dtype=np.float32) / np.float32(2)


def select(
    similar: Array, excluded: set[int], settings: PromptTaskConfig, pool_lengths: Sequence[int], test_length: int
) -> Selection:
    """The most similar demonstrations, greedily, until the next one would burst the budget.

    Args:
        similar: (P,) cosine similarities of the pool to the test input; of equal ones the earlier in the pool counts
            as more similar.
        excluded: pool indices that must not be shown: the test input itself, whose output is the answer.
        settings: of the task. A demonstration among its ``max_demonstrations`` that is too long is not replaced.
        pool_lengths: (P,) length of each demonstration, input and output; not looked at without limits on lengths.
        test_length: length of the test input.
    """
    chosen: list[int] = []
    total, looked_at = test_length, 0
    each, budget = settings.tokens_per_demonstration, settings.token_budget
    for index in map(int, np.argsort(-similar, kind="stable")):
        if index in excluded or (settings.skip_identical and similar[index] >= IDENTICAL):
            continue
        if looked_at == settings.max_demonstrations:
            break
        looked_at += 1
        if each is not None and pool_lengths[index] > each:
            continue
        if budget is not None:
            total += pool_lengths[index]
            if total > budget:
                break
        chosen.append(index)
    chosen.reverse()
    return Selection(chosen, [float(similar[index]) for index in chosen], looked_at > 0)


def _centred(embeddings: Array) -> Array:
    """(N, D) minus their mean, at unit length again."""
    centred = embeddings - embeddings.mean(axis=0, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    if not (lengths > 0).all():
        row = int(np.flatnonzero(lengths[:, 0] == 0)[0])
        raise EvaluationError(
            f"embedding {row + 1} of {len(embeddings)} is the mean of all: centring leaves it no direction; set "
            "prompt_retrieval.centring=none"
        )
    result: Array = centred / lengths
    return result
