"""What scoring tasks of mteb's registry takes, said before it starts: time, disk and memory of each.

Counts come from the descriptive statistics that mteb ships with each task, speed from a probe of the encoder on this
machine. Tasks from folders are left out: they are small, and counting their texts means reading them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_embedder.encoder.truncation import cuts_kept
from one_embedder.evaluation.tasks.chosen import Task
from one_embedder.evaluation.tasks.registry import HubTask, statistics_of

if TYPE_CHECKING:
    from one_embedder.evaluation.encoder import TextEncoder

SENTENCE = "The quick brown fox jumps over the lazy dog while the sun sets. "
PROBES = ((32, 1), (16, 12))
"""Texts, and sentences in each: short texts and passages of 768 characters."""

CHUNK_BYTES_A_QUERY = 4 * 10_000
"""Of its similarities to a chunk of a corpus, ``itemized.CORPUS_CHUNK`` documents."""
FOUND_BYTES = 260
"""Of a document that was found, as mteb keeps it: a float in a tuple on a heap, its id, and both in a dictionary."""
FOUND = 1_000
"""Documents that mteb keeps of each query in a search; of candidates to be ranked again it keeps all."""
DISK_FACTOR = 1.5
"""Bytes on disk a character: the text as Arrow, and the compressed download beside it."""
COPY_FACTOR = 2.0
"""More, until the process ends, a character of a corpus: mteb's own layout holds the text twice."""


@dataclass(frozen=True)
class Size:
    """What a task holds.

    Attributes:
        texts: different ones to embed.
        characters: in these.
        stored: characters in all rows, repeats included.
        queries: of retrieval and reranking.
        candidates: pairs of query and document to be ranked again.
        rows: embeddings in memory at a time.
    """

    texts: int
    characters: int
    stored: int
    queries: int = 0
    candidates: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Pace:
    """Speed of an encoder: seconds a text and, on top, a character; and the length of an embedding."""

    a_text: float
    a_character: float
    dimension: int

    def seconds(self, size: Size) -> float:
        """To embed a task's texts."""
        return size.texts * self.a_text + size.characters * self.a_character


def size_of(task: HubTask) -> Size | None:
    """Texts of the split that is scored; None where mteb has no statistics. Training texts are some hundreds."""
    statistics = statistics_of(task)
    if statistics is None:
        return None
    texts = [counts for counts in statistics.values() if isinstance(counts, Mapping) and "unique_texts" in counts]
    queries = int(statistics.get("num_queries") or 0)
    ranked = int((statistics.get("top_ranked_statistics") or {}).get("num_top_ranked", 0))
    unique = sum(int(value["unique_texts"]) for value in texts)
    return Size(
        texts=unique,
        characters=sum(int(value["unique_texts"] * value["average_text_length"]) for value in texts),
        stored=int(statistics.get("number_of_characters") or sum(value["total_text_length"] for value in texts)),
        queries=queries,
        candidates=ranked,
        rows=queries + (int(statistics["num_documents"]) if ranked else 0) if queries else unique,
    )


def sizes(tasks: Sequence[Task]) -> dict[str, int]:
    """Task -> characters to embed, of those for which it is known."""
    known = {task.name: size_of(task) for task in tasks if isinstance(task, HubTask)}
    return {name: size.characters for name, size in known.items() if size is not None}


def measure_pace(encoder: TextEncoder, batch_size: int) -> Pace:
    """Embed a few dozen texts of two lengths and draw a line through their times; the first call only warms up."""
    took, lengths, dimension = [], [], 0
    for count, sentences in (PROBES[0], *PROBES):
        texts = [f"{number} {SENTENCE * sentences}" for number in range(count)]
        began = time.perf_counter()
        with cuts_kept():  # made-up texts: nobody need know what is cut of them
            dimension = encoder.encode(texts, "", batch_size=batch_size, show_progress_bar=False).shape[1]
        took.append((time.perf_counter() - began) / count)
        lengths.append(len(SENTENCE) * sentences)
    slope = max(0.0, (took[2] - took[1]) / (lengths[2] - lengths[1]))
    return Pace(max(0.0, took[1] - slope * lengths[1]), slope, dimension)


def disk_of(size: Size) -> float:
    """Bytes, while the task is scored."""
    return size.stored * (DISK_FACTOR + (COPY_FACTOR if size.queries else 0.0))


def memory_of(size: Size, dimension: int) -> int:
    """Bytes beside the model: embeddings held at a time and, in a search, similarities and best documents."""
    bytes_held = 4 * dimension * size.rows
    if size.candidates:
        return bytes_held + FOUND_BYTES * size.candidates
    return bytes_held + size.queries * (CHUNK_BYTES_A_QUERY + FOUND_BYTES * FOUND)


def estimate(tasks: Sequence[Task], encoder: TextEncoder, batch_size: int) -> Iterator[str]:
    """Lines to print: the sum, then a line a task, the longest first. Nothing where no task is mteb's.

    Args:
        tasks: to be scored.
        encoder: probed here; a second or so.
        batch_size: as in the evaluation.
    """
    known = {task.name: size for task in tasks if isinstance(task, HubTask) and (size := size_of(task)) is not None}
    if not known:
        return
    pace = measure_pace(encoder, batch_size)
    disk = sum(map(disk_of, known.values()))
    yield (
        f"estimate for {len(known)} tasks from the hub, at {1 / pace.seconds(_passage()):.0f} passages of "
        f"{len(SENTENCE) * PROBES[1][1]} characters a second as just measured: "
        f"{_time(sum(pace.seconds(size) for size in known.values()))}, {_gigabytes(disk)} of disk for data sets, "
        f"{_gigabytes(max(memory_of(size, pace.dimension) for size in known.values()))} of memory beside the model"
    )
    for name, size in sorted(known.items(), key=lambda item: -pace.seconds(item[1])):
        yield (
            f"  {name:40} {size.texts:>10,} texts  {_time(pace.seconds(size)):>10}  "
            f"disk {_gigabytes(disk_of(size)):>8}  memory {_gigabytes(memory_of(size, pace.dimension)):>8}"
        )


def _passage() -> Size:
    return Size(texts=1, characters=len(SENTENCE) * PROBES[1][1], stored=0)


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB"
