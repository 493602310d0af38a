"""Hard negatives and positives by the paper's two rules, in deterministic, exact similarity search.

Source: paper, section 2.3. With E a sentence encoder used *without* instructions and cos the cosine:

- classification: similar texts with the same label are positives, similar texts with different labels hard negatives;
- text output: the positive of x_i is the x_j with the highest cos(x_i, x_j) + cos(y_i, y_j), its hard negative the x_j
  with the highest cos(x_i, x_j) - cos(y_i, y_j). Where x_i is paired with its own output y_i instead, the hard negative
  is the y_j of that second rule.

The paper gives no thresholds; ours are the constants below. ``negatives`` offers other choices of a hard negative.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from one_embedder.medi.mining.candidates import (
    CandidateTask,
    LabelTask,
    OutputTask,
    PairTask,
    RelationTask,
    TripleTask,
)
from one_embedder.medi.mining.negatives import HardNegatives, best
from one_embedder.medi.row import MediRow

logger = logging.getLogger(__name__)

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
    return dict(zip(texts, encode(texts), strict=True)) if texts else {}


def mine(
    task: CandidateTask, task_id: int, embeddings: Embeddings, limit: int, negatives: HardNegatives | None = None
) -> list[MediRow]:
    """At most ``limit`` rows of a task, each with one positive and its hard negatives.

    A text for which no allowed positive or negative exists gives no row.

    Args:
        task: its texts.
        task_id: of the rows.
        embeddings: of every text of the task.
        limit: rows at most.
        negatives: chooses among the candidates; None: as the paper does.
    """
    negatives = negatives or HardNegatives()
    if isinstance(task, TripleTask):
        instructions = (task.instruction.render(),) * 2
        return [_row(task_id, task.name, instructions, a, b, [c]) for a, b, c in task.triples[:limit]]
    if not task.texts():
        return []
    missed = negatives.missed
    if isinstance(task, OutputTask):
        rows = _mine_outputs(task, task_id, embeddings, limit, negatives)
    elif isinstance(task, PairTask):
        rows = _mine_pairs(task, task_id, embeddings, limit, negatives)
    elif isinstance(task, LabelTask):
        rows = _mine_labels(task, task_id, embeddings, limit, negatives)
    else:
        rows = _mine_relations(task, task_id, embeddings, limit, negatives)
    if missed < negatives.missed:
        lost = negatives.missed - missed
        logger.info("%s: no candidate within the bound and ranks of medi.mining for %d rows", task.name, lost)
    return rows


def _mine_pairs(
    task: PairTask, task_id: int, embeddings: Embeddings, limit: int, negatives: HardNegatives
) -> list[MediRow]:
    queries, documents, groups = (list(column) for column in zip(*task.pairs, strict=True))
    query, document = _matrix(queries, embeddings), _matrix(documents, embeddings)  # (N, D) each
    group, same_document = _codes(groups), _codes(documents)
    right = _right_answers(queries, same_document)
    instructions = task.query.render(), task.document.render()
    rows: list[MediRow] = []
    for block in _blocks(len(queries), len(queries), limit, rows):
        to_documents = _similarity(document[block], document)
        score = (_similarity(query[block], query) - to_documents).round(DECIMALS)
        answers = np.stack([np.isin(same_document, right[queries[i]]) for i in block])
        score[answers | _same(group, block) | (to_documents > FALSE_NEGATIVE_SIMILARITY)] = -np.inf
        across = _similarity(query[block], document) if negatives.compares_with_query else score  # else not read
        for i, scores, to_query in zip(block, score, across, strict=True):
            seed = f"{task.name}|{queries[i]}|{documents[i]}"
            if chosen := negatives.choose(scores, to_query, to_query[i], same_document, seed):
                texts = [documents[k] for k in chosen]
                rows.append(_row(task_id, task.name, instructions, queries[i], documents[i], texts))
    return rows[:limit]


def _mine_outputs(
    task: OutputTask, task_id: int, embeddings: Embeddings, limit: int, negatives: HardNegatives
) -> list[MediRow]:
    inputs, outputs = (list(column) for column in zip(*task.items, strict=True))
    text, output = _matrix(inputs, embeddings), _matrix(outputs, embeddings)  # (N, D) each
    same_text = _codes(inputs)
    instructions = (task.instruction.render(),) * 2
    rows: list[MediRow] = []
    for block in _blocks(len(inputs), len(inputs), limit, rows):
        of_inputs, of_outputs = _similarity(text[block], text), _similarity(output[block], output)
        itself = _same(same_text, block)
        alike = np.where(itself, -np.inf, (of_inputs + of_outputs).round(DECIMALS))
        unlike = (of_inputs - of_outputs).round(DECIMALS)
        unlike[itself | (of_inputs > FALSE_NEGATIVE_SIMILARITY) | (of_outputs > FALSE_NEGATIVE_SIMILARITY)] = -np.inf
        for i, positives, scores, to_query in zip(block, alike, unlike, of_inputs, strict=True):
            j = int(positives.argmax())
            if not np.isfinite(positives[j]):
                continue
            found = negatives.choose(scores, to_query, to_query[j], same_text, f"{task.name}|{inputs[i]}|{inputs[j]}")
            if texts := [inputs[k] for k in found if inputs[k] != inputs[j]]:
                rows.append(_row(task_id, task.name, instructions, inputs[i], inputs[j], texts))
    return rows[:limit]


def _mine_labels(
    task: LabelTask, task_id: int, embeddings: Embeddings, limit: int, negatives: HardNegatives
) -> list[MediRow]:
    texts, labels = (list(column) for column in zip(*task.items, strict=True))
    matrix, text, label = _matrix(texts, embeddings), _codes(texts), _codes(labels)
    crossing, in_common = _crossing(task), _labels_in_common(text, label)
    instructions = (task.instruction.render(),) * 2
    rows: list[MediRow] = []
    for block in _blocks(len(texts), len(texts), limit, rows):
        similarity = _similarity(matrix[block], matrix)
        same_label = _same(label, block)
        positive = np.where(same_label & ~_same(text, block), similarity, -np.inf)
        negative = np.where(in_common(block) | (similarity > FALSE_NEGATIVE_SIMILARITY), -np.inf, similarity)
        if crossing:
            alike = np.any([_same(codes, block) & (codes >= 0) for codes in crossing], axis=0)
            positive, negative = _narrowed(positive, ~alike), _narrowed(negative, alike)
        for i, positives, scores, to_query in zip(block, positive, negative, similarity, strict=True):
            j = _draw(positives, seed=f"{task.name}|{texts[i]}")
            if j is None:
                continue
            found = negatives.choose(scores, to_query, to_query[j], text, f"{task.name}|{texts[i]}|{texts[j]}")
            if chosen := [k for k in found if texts[k] != texts[j]]:
                row = _row(task_id, task.name, instructions, texts[i], texts[j], [texts[k] for k in chosen])
                first, *further = (labels[k] for k in chosen)
                classes = {"label": labels[i], "negative_label": first}
                rows.append(replace(row, **classes, further_negative_labels=tuple(further)))
    return rows[:limit]


def _labels_in_common(text: np.ndarray, label: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Of a block of items: (block, N), whether the text of item j has a label of item i's text, in any of its items.

    Args:
        text: (N,) codes of the items' texts; one may stand in several items.
        label: (N,) codes of their labels.
    """
    if len(np.unique(np.stack([text, label]), axis=1).T) == len(np.unique(text)):
        return lambda block: _same(label, block)
    has = csr_array((np.ones(len(text), np.int32), (text, label)))  # (texts, labels)
    return lambda block: (has[text[block]] @ has[text].T).toarray() > 0


def _crossing(task: LabelTask) -> list[np.ndarray]:
    """(N,) codes of the items' classes in each other labeling; -1 where a text has none."""
    if not task.crossing:
        return []
    columns = zip(*(task.crossing[text] for text, _ in task.items), strict=True)
    return [np.where([found is None for found in column], -1, _codes([str(c) for c in column])) for column in columns]


def _narrowed(candidates: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(block, N): the wanted candidates alone, in rows that have any; -inf is none."""
    narrowed = np.where(wanted, candidates, -np.inf)
    return np.where(np.isfinite(narrowed).any(axis=1, keepdims=True), narrowed, candidates)


def _mine_relations(
    task: RelationTask, task_id: int, embeddings: Embeddings, limit: int, negatives: HardNegatives
) -> list[MediRow]:
    place = {key: i for i, key in enumerate(task.items)}
    texts, linking = list(task.items.values()), list(task.links)
    matrix, text = _matrix(texts, embeddings), _codes(texts)
    instructions = (task.instruction.render(),) * 2
    rows: list[MediRow] = []
    for block in _blocks(len(linking), len(texts), limit, rows):
        asking = np.array([place[linking[number]] for number in block])
        similarity = _similarity(matrix[asking], matrix)
        allowed = np.where(_same(text, asking) | (similarity > FALSE_NEGATIVE_SIMILARITY), -np.inf, similarity)
        for i, number, scores, to_query in zip(asking, block, allowed, similarity, strict=True):
            linked = [place[other] for other in sorted(task.links[linking[number]])]
            scores[linked] = -np.inf
            for j in linked:
                found = negatives.choose(scores, to_query, to_query[j], text, f"{task.name}|{texts[i]}|{texts[j]}")
                chosen = [texts[k] for k in found if texts[k] != texts[j]]
                if chosen and texts[j] != texts[i]:
                    rows.append(_row(task_id, task.name, instructions, texts[i], texts[j], chosen))
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


def _right_answers(queries: Sequence[str], documents: np.ndarray) -> dict[str, list[int]]:
    """Query -> the codes of its documents, in all of its rows."""
    right: dict[str, list[int]] = {}
    for query, document in zip(queries, documents.tolist(), strict=True):
        right.setdefault(query, []).append(document)
    return right


def _draw(similarity: np.ndarray, seed: str) -> int | None:
    """One of the most similar candidates, the same one in every build."""
    ranked = best(similarity, POSITIVE_POOL)
    if not len(ranked):
        return None
    return int(ranked[int.from_bytes(hashlib.blake2b(seed.encode()).digest()[:4], "big") % len(ranked)])


def _row(
    task_id: int, name: str, instructions: tuple[str, str], text: str, positive: str, negatives: Sequence[str]
) -> MediRow:
    """A row with these instructions, of the query and of documents."""
    query, document = instructions
    first, *further = ((document, negative) for negative in negatives)
    return MediRow(task_id, name, (query, text), (document, positive), first, tuple(further))
