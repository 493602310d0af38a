"""Queries that are held back from training, as retrieval tasks in the layout that ``evaluate`` reads.

Rows that share a query or a positive stay together: no text of a held-back query, and none that it should find, is
left for training. Texts count as the same if their letters and digits are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.medi.mining.leakage import normalised
from one_embedder.medi.sources.assembly import write_task_files
from one_embedder.medi.sources.own.pairs import Instructions, Pair

MOST = 1000
"""Queries held back at most: more make intervals little narrower and evaluation slower."""


@dataclass(frozen=True)
class Divided:
    """The pairs of a file, in its order.

    Attributes:
        training: without negatives that are texts of ``held_back``.
        held_back: without negatives that are texts of ``training``.
    """

    training: Sequence[Pair]
    held_back: Sequence[Pair]

    @property
    def queries(self) -> int:
        """How many different ones are held back."""
        return len({same(pair.query) for pair in self.held_back})


def same(text: str) -> str:
    """The form in which two texts count as the same one."""
    return normalised(text) or text


def divide(pairs: Sequence[Pair], share: float) -> Divided:
    """Hold back ``share`` of the queries, but ``MOST`` at most; the choice depends on their texts alone.

    Raises:
        DataError: the rows share so many texts that none can be held back.
    """
    if not share:
        return Divided(pairs, [])
    groups = _groups(pairs)
    chosen = _chosen(groups, share)
    if not chosen or len(chosen) == len(groups):
        raise DataError(
            f"no queries can be held back: the {len(pairs)} pairs hang together in {len(groups)} groups, through "
            "queries with several positives and positives of several queries; add other pairs, or build without a "
            "benchmark: medi.held_back=0"
        )
    held = {same(pair.query) for name in chosen for pair in groups[name]}
    training = [pair for pair in pairs if same(pair.query) not in held]
    held_back = [pair for pair in pairs if same(pair.query) in held]
    training = _without(training, _texts(replace(pair, negatives=()) for pair in held_back))
    return Divided(training, _without(held_back, _texts(training)))


def write_tasks(held_back: Sequence[Pair], names: Mapping[Instructions, str], root: Path) -> None:
    """Write a task for each pair of instructions, with ``instructions.json`` beside its rows.

    The documents are what the queries should find and their negatives.

    Args:
        held_back: pairs that are not trained on.
        names: instructions -> name of the task.
        root: of the benchmark.
    """
    of_task: dict[Instructions, list[Pair]] = defaultdict(list)
    for pair in held_back:
        of_task[pair.instructions].append(pair)
    folders = {words: f"eval/Retrieval/{names[words]}" for words in of_task}
    write_task_files({folders[words]: _task(pairs) for words, pairs in of_task.items()}, root)
    for words, folder in folders.items():
        content = dict(zip(("query", "document"), words, strict=True))
        (root / folder / "instructions.json").write_text(
            json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def _groups(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """One of its texts -> pairs that share queries or positives, directly or through other pairs."""
    above: dict[str, str] = {}

    def root(text: str) -> str:
        while (higher := above.setdefault(text, text)) != text:
            above[text] = above[higher]
            text = higher
        return text

    for pair in pairs:
        above[root(same(pair.query))] = root(same(pair.positive))
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[root(same(pair.query))].append(pair)
    return groups


def _chosen(groups: Mapping[str, Sequence[Pair]], share: float) -> list[str]:
    sizes = {name: len({same(pair.query) for pair in group}) for name, group in groups.items()}
    most = min(MOST, max(1, round(share * sum(sizes.values()))))
    chosen, taken = [], 0
    for name in sorted(groups, key=lambda name: _place(groups[name])):
        if taken + sizes[name] <= most:
            chosen.append(name)
            taken += sizes[name]
    return chosen


def _place(group: Sequence[Pair]) -> bytes:
    return hashlib.blake2b(min(same(pair.query) for pair in group).encode()).digest()


def _texts(pairs: Iterable[Pair]) -> set[str]:
    return {same(text) for pair in pairs for text in (pair.query, pair.positive, *pair.negatives)}


def _without(pairs: Sequence[Pair], texts: set[str]) -> list[Pair]:
    """The pairs without negatives that are among the texts."""
    return [replace(pair, negatives=tuple(n for n in pair.negatives if same(n) not in texts)) for pair in pairs]


def _task(pairs: Sequence[Pair]) -> dict[str, list[dict[str, Any]]]:
    queries = {text: f"q{number}" for number, text in enumerate(dict.fromkeys(pair.query for pair in pairs))}
    found = dict.fromkeys(text for pair in pairs for text in (pair.positive, *pair.negatives))
    documents = {text: f"d{number}" for number, text in enumerate(found)}
    right = dict.fromkeys((queries[pair.query], documents[pair.positive]) for pair in pairs)
    return {
        "queries": [{"_id": key, "text": text} for text, key in queries.items()],
        "corpus": [{"_id": key, "title": "", "text": text} for text, key in documents.items()],
        "qrels_test": [{"query-id": query, "corpus-id": document, "score": 1} for query, document in right],
    }
