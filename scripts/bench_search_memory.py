"""Measure the memory that scoring a retrieval task takes: ``python -m scripts.bench_search_memory``.

Passages are generated, the encoder adds up a fixed random vector a word, everything between them is what ``evaluate``
uses. Each size runs in a process of its own; memory is that process's peak, before the search and after.
Writes ``experiments/own/bench/search_memory.{json,md}``; what is to be recorded is moved to ``experiments/bench``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from one_embedder.errors import OneEmbedderError
from scripts.bench_record import of_process, origin, own_record, peak_mb, write_record

SIZES = ((100_000, 200), (1_000_000, 200), (100_000, 1_000))
"""Passages and queries."""
DIMENSION = 768
WORDS = 4_096


def main() -> None:
    """Measure every size and write the record."""
    if len(sys.argv) > 1:
        passages, queries = map(int, sys.argv[1:])
        sys.stdout.write(json.dumps(measure(passages, queries)))
        return
    from one_embedder.reproduction.show.grid import Grid

    child = [sys.executable, "-m", "scripts.bench_search_memory"]
    try:
        rows = [json.loads(of_process([*child, str(passages), str(queries)])[0]) for passages, queries in SIZES]
    except OneEmbedderError as error:
        sys.exit(f"error: {error}")
    grid = Grid(list(rows[0]), [[f"{value:,}" for value in row.values()] for row in rows])
    note = f"{DIMENSION} dimensions, an encoder that adds up word vectors. Written by scripts/bench_search_memory.py."
    text = f"# Memory of a search\n\n{note}\n\n{grid.markdown()}\n"
    write_record(own_record("search_memory"), {"sizes": rows, **origin()}, text)


def measure(passages: int, queries: int) -> dict[str, float]:
    """Score generated queries against generated passages; memory in MB, time in seconds."""
    import datasets
    import numpy as np
    import pyarrow as pa
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from mteb.abstasks.task_metadata import TaskMetadata
    from pyarrow import parquet

    from one_embedder.evaluation.encoder import CachingEncoder, MtebEncoder
    from one_embedder.evaluation.task_instructions import TaskInstructions
    from one_embedder.evaluation.tasks.itemized import ItemizedRetrieval

    datasets.disable_progress_bars()
    table = np.random.default_rng(0).standard_normal((WORDS, DIMENSION), dtype=np.float32)

    class WordEncoder:
        revision = "words"

        def encode(self, sentences: list[str], *_: object, **__: object) -> np.ndarray:
            words = np.array([[int(word) for word in text.split()] for text in sentences])
            rows = table[words].sum(axis=1)
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def write(path: Path) -> None:
        """Passages of six words, written in pieces."""
        rng = np.random.default_rng(1)
        schema = pa.schema({"id": pa.string(), "text": pa.string()})
        with parquet.ParquetWriter(path, schema) as writer:
            for start in range(0, passages, 50_000):
                words = rng.integers(0, WORDS, (min(50_000, passages - start), 6)).tolist()
                ids = [f"d{start + number}" for number in range(len(words))]
                writer.write_table(pa.table({"id": ids, "text": [" ".join(map(str, row)) for row in words]}))

    class Generated(ItemizedRetrieval):
        metadata = TaskMetadata(
            name="Generated",
            type="Retrieval",
            description="generated",
            dataset={"path": "generated/passages", "revision": "1"},
            main_score="ndcg_at_10",
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
        )

        def load_data(self, num_proc: int | None = None, **kwargs: object) -> None:
            corpus = datasets.Dataset.from_parquet(str(folder / "corpus.parquet"), cache_dir=str(folder))
            asked = [{"id": f"q{number}", "text": text} for number, text in enumerate(corpus[:queries]["text"])]
            data = RetrievalSplitData(
                corpus=corpus,
                queries=datasets.Dataset.from_list(asked),
                relevant_docs={f"q{number}": {f"d{number}": 1} for number in range(queries)},
                top_ranked=None,
            )
            self.dataset = {"default": {"test": data}}
            self.data_loaded = True

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "corpus.parquet")
        task = Generated()
        task.load_data()
        before, began = peak_mb(), time.monotonic()
        encoder = CachingEncoder(WordEncoder(), batch_size=64)  # type: ignore[arg-type]
        model = MtebEncoder(encoder, TaskInstructions(), name="local/words")
        _, items = task.run(model, {"batch_size": 64, "show_progress_bar": False})
    return {
        "passages": passages,
        "queries": queries,
        "ndcg_at_10": round(items.score(), 4),
        "seconds": round(time.monotonic() - began),
        "cpu_seconds": round(time.process_time()),
        "before_mb": round(before),
        "peak_mb": round(peak_mb()),
    }


if __name__ == "__main__":
    main()
