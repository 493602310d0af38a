"""Training texts that also stand in a benchmark: found and dropped, before mining where there is mining."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from one_embedder.config.schema import MediConfig
from one_embedder.errors import DataError
from one_embedder.files.json_lines import read_objects
from one_embedder.medi.mining.candidates import CandidateTask, LabelTask, OutputTask, PairTask, RelationTask, TripleTask
from one_embedder.medi.row import MediRow

NGRAM = 8
"""Words in a row that two texts must share to count as overlapping."""
TASK_FOLDERS = ("eval", "billboard", "prompt_retrieval")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class BenchmarkTexts:
    """What a benchmark contains, as hashes of normalised whole texts and of word n-grams.

    Python's own 64-bit hashes, which differ from process to process: the arrays are for this process only. Eight
    bytes an n-gram, so that the texts of a large benchmark fit.

    Attributes:
        whole: (N,) int64, ascending.
        ngrams: (M,) int64, ascending.
        sha256: of the task files, to tell one benchmark from another.
    """

    whole: np.ndarray
    ngrams: np.ndarray
    sha256: str

    @classmethod
    def read(cls, root: Path) -> BenchmarkTexts:
        """Every string of at least one word in the task folders under ``root``, identifiers and labels left out.

        Raises:
            DataError: if there is no task folder.
        """
        files = [path for folder in TASK_FOLDERS for path in root.glob(f"**/{folder}/**/*.jsonl*")]
        if not files:
            raise DataError(f"{root}: no task files below {', '.join(TASK_FOLDERS)}; name the root of a benchmark")
        whole, ngrams, content = [], [], hashlib.sha256()
        for path in sorted(files):
            content.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
            texts = {normalised(text) for text in _texts_of_file(path)}
            whole.append(_hashes(texts))
            ngrams.append(_hashes(gram for text in texts for gram in _ngrams(text)))
        return cls(np.unique(np.concatenate(whole)), np.unique(np.concatenate(ngrams)), content.hexdigest())

    @classmethod
    def of(cls, settings: MediConfig, held_out: Sequence[Path] = ()) -> BenchmarkTexts | None:
        """Those of ``medi.leakage`` and of further files; None where there is neither.

        Args:
            settings: name the benchmark.
            held_out: files of rows with a ``text``.

        Raises:
            DataError: if there is no task folder, or a file cannot be read.
        """
        parts = [] if settings.leakage is None else [cls.read(Path(settings.leakage))]
        parts += [cls._of_file(path) for path in held_out]
        if len(parts) <= 1:
            return parts[0] if parts else None
        whole, ngrams = (np.unique(np.concatenate([getattr(p, name) for p in parts])) for name in ("whole", "ngrams"))
        return cls(whole, ngrams, hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest())

    @classmethod
    def _of_file(cls, path: Path) -> BenchmarkTexts:
        texts = {normalised(row["text"]) for row in read_objects(path) if isinstance(row.get("text"), str)}
        ngrams = _hashes(gram for text in texts for gram in _ngrams(text))
        return cls(np.unique(_hashes(texts)), np.unique(ngrams), hashlib.sha256(path.read_bytes()).hexdigest())

    def overlaps(self, text: str) -> bool:
        """Whether a text stands in the benchmark, wholly or with ``NGRAM`` words in a row."""
        norm = normalised(text)
        if not norm:  # nothing of it is a letter or digit
            return False
        return _any_in(_hashes([norm]), self.whole) or _any_in(_hashes(_ngrams(norm)), self.ngrams)

    def overlaps_row(self, row: MediRow) -> bool:
        """Whether a text of the row does, its hard negatives included."""
        return any(self.overlaps(text) for _, text in (row.query, row.positive, *row.negatives))


def _hashes(texts: Iterable[str]) -> np.ndarray:
    return np.fromiter((hash(text) for text in texts), dtype=np.int64)


def _any_in(wanted: np.ndarray, ascending: np.ndarray) -> bool:
    if not len(wanted) or not len(ascending):
        return False
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return bool((ascending[places] == wanted).any())


def normalised(text: str) -> str:
    """The form in which two texts count as the same: lower case, letters and digits of any script only.

    Characters that Unicode holds for the same, such as an accented letter in one piece or in two, are.
    """
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).lower()))


def drop_overlapping(
    tasks: Sequence[CandidateTask], benchmark: BenchmarkTexts
) -> tuple[list[CandidateTask], dict[str, int]]:
    """The tasks without texts of the benchmark, and how many pairs or texts each task lost, if any."""
    bad = {text for text in {text for task in tasks for text in _all_texts(task)} if benchmark.overlaps(text)}
    kept, lost = [], {}
    for task in tasks:
        clean, count = _without(task, bad)
        kept.append(clean)
        if count:
            lost[task.name] = count
    return kept, lost


def _all_texts(task: CandidateTask) -> list[str]:
    return [text for triple in task.triples for text in triple] if isinstance(task, TripleTask) else task.texts()


def _without(task: CandidateTask, bad: set[str]) -> tuple[CandidateTask, int]:
    if isinstance(task, PairTask):
        pairs = tuple(pair for pair in task.pairs if pair[0] not in bad and pair[1] not in bad)
        return replace(task, pairs=pairs), len(task.pairs) - len(pairs)
    if isinstance(task, TripleTask):
        triples = tuple(triple for triple in task.triples if bad.isdisjoint(triple))
        return replace(task, triples=triples), len(task.triples) - len(triples)
    if isinstance(task, OutputTask | LabelTask):
        items = tuple(item for item in task.items if item[0] not in bad)  # outputs are not trained on
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
    for row in read_objects(path):
        yield from _texts_of({key: value for key, value in row.items() if key not in _NOT_TEXTS})


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
