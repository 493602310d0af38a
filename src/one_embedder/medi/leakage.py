"""Training texts that also stand in a benchmark: found and dropped before mining."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from one_embedder.medi.candidates import CandidateTask, LabelTask, PairTask, RelationTask

NGRAM = 8
"""Words in a row that two texts must share to count as overlapping."""
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class BenchmarkTexts:
    """What a benchmark contains, as normalised whole texts and word n-grams."""

    whole: frozenset[str]
    ngrams: frozenset[str]

    @classmethod
    def read(cls, root: Path) -> BenchmarkTexts:
        """Every string of at least one word in the task folders under ``root``, identifiers and labels left out."""
        whole = frozenset(
            normalised(text)
            for path in sorted([*root.rglob("*.jsonl.gz"), *root.rglob("*.jsonl")])
            for text in _texts_of_file(path)
        )
        return cls(whole, frozenset(gram for text in whole for gram in _ngrams(text)))

    def overlaps(self, text: str) -> bool:
        """Whether a text stands in the benchmark, wholly or with ``NGRAM`` words in a row."""
        norm = normalised(text)
        return norm in self.whole or any(gram in self.ngrams for gram in _ngrams(norm))


def normalised(text: str) -> str:
    """The form in which two texts count as the same: lower case, letters and digits only."""
    return " ".join(_WORD.findall(text.lower()))


def drop_overlapping(
    tasks: Sequence[CandidateTask], benchmark: BenchmarkTexts
) -> tuple[list[CandidateTask], dict[str, int]]:
    """The tasks without texts of the benchmark, and how many pairs or texts each task lost, if any."""
    bad = {text for text in {text for task in tasks for text in task.texts()} if benchmark.overlaps(text)}
    kept, lost = [], {}
    for task in tasks:
        clean, count = _without(task, bad)
        kept.append(clean)
        if count:
            lost[task.name] = count
    return kept, lost


def _without(task: CandidateTask, bad: set[str]) -> tuple[CandidateTask, int]:
    if isinstance(task, PairTask):
        pairs = tuple(pair for pair in task.pairs if pair[0] not in bad and pair[1] not in bad)
        return replace(task, pairs=pairs), len(task.pairs) - len(pairs)
    if isinstance(task, LabelTask):
        items = tuple(item for item in task.items if item[0] not in bad)
        return replace(task, items=items), len(task.items) - len(items)
    return _without_relation(task, bad)


def _without_relation(task: RelationTask, bad: set[str]) -> tuple[RelationTask, int]:
    items = {key: text for key, text in task.items.items() if text not in bad}
    links = {key: linked & items.keys() for key, linked in task.links.items() if key in items}
    clean = replace(task, items=items, links={key: frozenset(linked) for key, linked in links.items() if linked})
    return clean, len(task.items) - len(items)


def _ngrams(norm: str) -> Iterator[str]:
    tokens = norm.split()
    return (" ".join(tokens[start : start + NGRAM]) for start in range(len(tokens) - NGRAM + 1))


_NOT_TEXTS = frozenset({"_id", "id", "query-id", "corpus-id", "label_text", "SYS", "seg_id", "output"})


def _texts_of_file(path: Path) -> Iterator[str]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for line in lines:
            yield from _texts_of({key: value for key, value in json.loads(line).items() if key not in _NOT_TEXTS})


def _texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_of(inner)
