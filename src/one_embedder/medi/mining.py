"""Hard negatives and positives by the paper's two rules, in deterministic, exact similarity search.

Source: paper, section 2.3. With E a sentence encoder used *without* instructions and cos the cosine:

- classification: similar texts with the same label are positives, similar texts with different labels hard negatives;
- text output: the hard negative of (x_i, y_i) is the y_j with the highest cos(x_i, x_j) - cos(y_i, y_j).

The paper gives no thresholds; ours are the constants below.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from one_embedder.medi.candidates import CandidateTask, LabelTask, PairTask, RelationTask
from one_embedder.medi.record import MediRow

POSITIVE_POOL = 12
"""A classification positive is drawn from this many most similar texts of the same label: the nearest alone
is often a copy, and teaches wording instead of the label."""
FALSE_NEGATIVE_SIMILARITY = 0.95
"""Texts more similar than this are taken for the same statement and never for negatives."""

Encode = Callable[[Sequence[str]], np.ndarray]
Embeddings = Mapping[str, np.ndarray]


def embed_texts(tasks: Iterable[CandidateTask], encode: Encode) -> dict[str, np.ndarray]:
    """Each distinct text of the tasks -> its unit-length embedding (D,), float32."""
    texts = sorted({text for task in tasks for text in task.texts()})
    return dict(zip(texts, encode(texts), strict=True))


def mine(task: CandidateTask, task_id: int, embeddings: Embeddings, limit: int) -> list[MediRow]:
    """At most ``limit`` rows of a task, each with one positive and one hard negative.

    A text for which no allowed positive or negative exists gives no row.
    """
    if not task.texts():
        return []
    if isinstance(task, PairTask):
        return _mine_pairs(task, task_id, embeddings, limit)
    if isinstance(task, LabelTask):
        return _mine_labels(task, task_id, embeddings, limit)
    return _mine_relations(task, task_id, embeddings, limit)


def _mine_pairs(task: PairTask, task_id: int, embeddings: Embeddings, limit: int) -> list[MediRow]:
    queries, documents, groups = (list(column) for column in zip(*task.pairs, strict=True))
    to_queries = _similarity(queries, embeddings)  # (N, N)
    to_documents = _similarity(documents, embeddings)  # (N, N)
    score = to_queries - to_documents
    score[_same(groups) | _same(documents) | (to_documents > FALSE_NEGATIVE_SIMILARITY)] = -np.inf
    hardest = score.argmax(axis=1)
    rows = [
        _row(task_id, task.name, task.query.render(), task.document.render(), queries[i], documents[i], documents[j])
        for i, j in enumerate(hardest)
        if np.isfinite(score[i, j])
    ]
    return rows[:limit]


def _mine_labels(task: LabelTask, task_id: int, embeddings: Embeddings, limit: int) -> list[MediRow]:
    texts, labels = (list(column) for column in zip(*task.items, strict=True))
    similarity = _similarity(texts, embeddings)
    same_label, same_text = _same(labels), _same(texts)
    positive = np.where(same_label & ~same_text, similarity, -np.inf)
    negative = np.where(same_label | (similarity > FALSE_NEGATIVE_SIMILARITY), -np.inf, similarity)
    instruction = task.instruction.render()
    rows = []
    for i, text in enumerate(texts):
        j, k = _draw(positive[i], seed=f"{task.name}|{text}"), int(negative[i].argmax())
        if j is not None and np.isfinite(negative[i, k]):
            rows.append(_row(task_id, task.name, instruction, instruction, text, texts[j], texts[k]))
    return rows[:limit]


def _mine_relations(task: RelationTask, task_id: int, embeddings: Embeddings, limit: int) -> list[MediRow]:
    keys = list(task.items)
    place = {key: i for i, key in enumerate(keys)}
    texts = list(task.items.values())
    similarity = _similarity(texts, embeddings)
    allowed = np.where(_same(texts) | (similarity > FALSE_NEGATIVE_SIMILARITY), -np.inf, similarity)
    for key, linked in task.links.items():
        allowed[place[key], [place[other] for other in sorted(linked)]] = -np.inf
    instruction = task.instruction.render()
    rows = []
    for key, linked in task.links.items():
        i, k = place[key], int(allowed[place[key]].argmax())
        for other in sorted(linked):
            if np.isfinite(allowed[i, k]) and texts[place[other]] != texts[i]:
                rows.append(_row(task_id, task.name, instruction, instruction, texts[i], texts[place[other]], texts[k]))
    return rows[:limit]


def _similarity(texts: Sequence[str], embeddings: Embeddings) -> np.ndarray:
    matrix = np.stack([embeddings[text] for text in texts])
    return np.asarray(matrix @ matrix.T)


def _same(values: Sequence[str]) -> np.ndarray:
    codes = np.unique(np.asarray(values, dtype=object).astype(str), return_inverse=True)[1]
    return np.asarray(codes[:, None] == codes[None, :])


def _draw(similarity: np.ndarray, seed: str) -> int | None:
    """One of the most similar candidates, the same one in every build."""
    ranked = np.argsort(-similarity, kind="stable")[:POSITIVE_POOL]
    ranked = ranked[np.isfinite(similarity[ranked])]
    if not len(ranked):
        return None
    return int(ranked[int.from_bytes(hashlib.blake2b(seed.encode()).digest()[:4], "big") % len(ranked)])


def _row(task_id: int, name: str, query: str, document: str, text: str, positive: str, negative: str) -> MediRow:
    return MediRow(task_id, name, (query, text), (document, positive), (document, negative))
