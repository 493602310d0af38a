"""Hard negatives and positives by the paper's two rules, in deterministic, exact similarity search.

Source: paper, section 2.3. With E a sentence encoder used *without* instructions and cos the cosine:

- classification: similar texts with the same label are positives, similar texts with different labels hard negatives;
- text output: the positive of x_i is the x_j with the highest cos(x_i, x_j) + cos(y_i, y_j), its hard negative the x_j
  with the highest cos(x_i, x_j) - cos(y_i, y_j). Where x_i is paired with its own output y_i instead, the hard negative
  is the y_j of that second rule.

The paper gives no thresholds; ours are the constants below.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from one_embedder.medi.candidates import (
    CandidateTask,
    LabelTask,
    OutputTask,
    PairTask,
    RelationTask,
    TripleTask,
)
from one_embedder.medi.record import MediRow

POSITIVE_POOL = 12
"""A classification positive is drawn from this many most similar texts of the same label: the nearest alone
is often a copy, and teaches wording instead of the label."""
FALSE_NEGATIVE_SIMILARITY = 0.95
"""Texts more similar than this are taken for the same statement and never for negatives."""
DECIMALS = 7
"""To which similarities are rounded, so that candidates with equal embeddings tie and the first one is taken. Texts
that the encoder cannot tell apart are common: cut at the miner's length, or different in capitals only."""
CELLS = 2**22
"""Similarities computed at a time, 32 MB of them: memory grows with a task's size, not with its square."""

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
    if isinstance(task, TripleTask):
        instruction = task.instruction.render()
        return [_row(task_id, task.name, instruction, instruction, *triple) for triple in task.triples[:limit]]
    if not task.texts():
        return []
    if isinstance(task, OutputTask):
        return _mine_outputs(task, task_id, embeddings, limit)
    if isinstance(task, PairTask):
        return _mine_pairs(task, task_id, embeddings, limit)
    if isinstance(task, LabelTask):
        return _mine_labels(task, task_id, embeddings, limit)
    return _mine_relations(task, task_id, embeddings, limit)


def _mine_pairs(task: PairTask, task_id: int, embeddings: Embeddings, limit: int) -> list[MediRow]:
    queries, documents, groups = (list(column) for column in zip(*task.pairs, strict=True))
    query, document = _matrix(queries, embeddings), _matrix(documents, embeddings)  # (N, D) each
    group, same_document = _codes(groups), _codes(documents)
    instructions = task.query.render(), task.document.render()
    rows: list[MediRow] = []
    for block in _blocks(len(queries), len(queries), limit, rows):
        to_documents = _similarity(document[block], document)
        score = (_similarity(query[block], query) - to_documents).round(DECIMALS)
        excluded = _same(group, block) | _same(same_document, block) | (to_documents > FALSE_NEGATIVE_SIMILARITY)
        score[excluded] = -np.inf
        for i, scores in zip(block, score, strict=True):
            j = int(scores.argmax())
            if np.isfinite(scores[j]):
                rows.append(_row(task_id, task.name, *instructions, queries[i], documents[i], documents[j]))
    return rows[:limit]


def _mine_outputs(task: OutputTask, task_id: int, embeddings: Embeddings, limit: int) -> list[MediRow]:
    inputs, outputs = (list(column) for column in zip(*task.items, strict=True))
    text, output = _matrix(inputs, embeddings), _matrix(outputs, embeddings)  # (N, D) each
    same_text = _codes(inputs)
    instruction = task.instruction.render()
    rows: list[MediRow] = []
    for block in _blocks(len(inputs), len(inputs), limit, rows):
        of_inputs, of_outputs = _similarity(text[block], text), _similarity(output[block], output)
        itself = _same(same_text, block)
        alike = np.where(itself, -np.inf, (of_inputs + of_outputs).round(DECIMALS))
        unlike = (of_inputs - of_outputs).round(DECIMALS)
        unlike[itself | (of_inputs > FALSE_NEGATIVE_SIMILARITY) | (of_outputs > FALSE_NEGATIVE_SIMILARITY)] = -np.inf
        for i, positives, negatives in zip(block, alike, unlike, strict=True):
            j, k = int(positives.argmax()), int(negatives.argmax())
            if np.isfinite(positives[j]) and np.isfinite(negatives[k]) and inputs[j] != inputs[k]:
                rows.append(_row(task_id, task.name, instruction, instruction, inputs[i], inputs[j], inputs[k]))
    return rows[:limit]


def _mine_labels(task: LabelTask, task_id: int, embeddings: Embeddings, limit: int) -> list[MediRow]:
    texts, labels = (list(column) for column in zip(*task.items, strict=True))
    matrix, text, label = _matrix(texts, embeddings), _codes(texts), _codes(labels)
    instruction = task.instruction.render()
    rows: list[MediRow] = []
    for block in _blocks(len(texts), len(texts), limit, rows):
        similarity = _similarity(matrix[block], matrix)
        same_label = _same(label, block)
        positive = np.where(same_label & ~_same(text, block), similarity, -np.inf)
        negative = np.where(same_label | (similarity > FALSE_NEGATIVE_SIMILARITY), -np.inf, similarity)
        for i, positives, negatives in zip(block, positive, negative, strict=True):
            j, k = _draw(positives, seed=f"{task.name}|{texts[i]}"), int(negatives.argmax())
            if j is not None and np.isfinite(negatives[k]):
                row = _row(task_id, task.name, instruction, instruction, texts[i], texts[j], texts[k])
                rows.append(replace(row, label=labels[i], negative_label=labels[k]))
    return rows[:limit]


def _mine_relations(task: RelationTask, task_id: int, embeddings: Embeddings, limit: int) -> list[MediRow]:
    place = {key: i for i, key in enumerate(task.items)}
    texts, linking = list(task.items.values()), list(task.links)
    matrix, text = _matrix(texts, embeddings), _codes(texts)
    instruction = task.instruction.render()
    rows: list[MediRow] = []
    for block in _blocks(len(linking), len(texts), limit, rows):
        asking = np.array([place[linking[number]] for number in block])
        similarity = _similarity(matrix[asking], matrix)
        allowed = np.where(_same(text, asking) | (similarity > FALSE_NEGATIVE_SIMILARITY), -np.inf, similarity)
        for i, number, scores in zip(asking, block, allowed, strict=True):
            linked = [place[other] for other in sorted(task.links[linking[number]])]
            scores[linked] = -np.inf
            k = int(scores.argmax())
            if np.isfinite(scores[k]):
                rows += [
                    _row(task_id, task.name, instruction, instruction, texts[i], texts[j], texts[k])
                    for j in linked
                    if texts[j] != texts[i]
                ]
    return rows[:limit]


def _blocks(count: int, width: int, limit: int, rows: Sequence[MediRow]) -> Iterator[np.ndarray]:
    """Numbers below ``count``, as many at a time as ``CELLS`` allows for ``width`` texts, until ``rows`` are enough."""
    size = max(1, CELLS // width)
    for start in range(0, count, size):
        if len(rows) >= limit:
            return
        yield np.arange(start, min(start + size, count))


def _matrix(texts: Sequence[str], embeddings: Embeddings) -> np.ndarray:
    return np.stack([embeddings[text] for text in texts]).astype(np.float64)


def _similarity(block: np.ndarray, all_texts: np.ndarray) -> np.ndarray:
    """(block, N) cosines."""
    cosines = block @ all_texts.T
    return np.asarray(cosines.round(DECIMALS, out=cosines))


def _codes(values: Sequence[str]) -> np.ndarray:
    """(N,) integers; equal values, equal integers. NumPy's arrays of strings pad each to the longest."""
    numbers: dict[str, int] = {}
    return np.fromiter((numbers.setdefault(value, len(numbers)) for value in values), np.int64, len(values))


def _same(codes: np.ndarray, block: np.ndarray) -> np.ndarray:
    """(block, N): whether row i of the block has the value of item j."""
    return np.asarray(codes[block, None] == codes)


def _draw(similarity: np.ndarray, seed: str) -> int | None:
    """One of the most similar candidates, the same one in every build."""
    ranked = _best(similarity, POSITIVE_POOL)
    if not len(ranked):
        return None
    return int(ranked[int.from_bytes(hashlib.blake2b(seed.encode()).digest()[:4], "big") % len(ranked)])


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` candidates of the highest finite scores, best first; of equal ones the first comes first."""
    candidates = np.flatnonzero(scores > -np.inf)
    if count < len(candidates):
        least = np.partition(scores[candidates], -count)[-count]
        candidates = candidates[scores[candidates] >= least]  # with those that tie for the last place
    return np.asarray(candidates[np.argsort(-scores[candidates], kind="stable")][:count])


def _row(task_id: int, name: str, query: str, document: str, text: str, positive: str, negative: str) -> MediRow:
    return MediRow(task_id, name, (query, text), (document, positive), (document, negative))
