"""A benchmark of nine tiny tasks, one a category, and an encoder that needs no model."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from one_embedder.config.schema import Config, TaskFolderConfig
from one_embedder.evaluation.benchmarks import TaskScore
from one_embedder.evaluation.run import evaluate

TOPICS = {
    "sea": ["wave", "ship", "harbour", "sail", "tide"],
    "sky": ["cloud", "bird", "storm", "wing", "star"],
    "soil": ["root", "stone", "worm", "field", "clay"],
}

Rows = list[dict[str, Any]]


class HashEncoder:
    """Unit-length sums of pseudo-random word vectors; the instruction shifts the embedding. Records every call."""

    revision = "hash-encoder-1"

    def __init__(self, dimension: int = 48) -> None:
        self.dimension = dimension
        self.calls: list[tuple[str, list[str]]] = []

    def encode(
        self, sentences: Sequence[str], instruction: str, *, batch_size: int, show_progress_bar: bool | None
    ) -> np.ndarray:
        self.calls.append((instruction, list(sentences)))
        vectors = np.stack(
            [self._sum(text.lower().split()) + 0.5 * self._sum(instruction.split()) for text in sentences]
        )
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def _sum(self, words: list[str]) -> np.ndarray:
        seeds = (int.from_bytes(hashlib.sha1(word.encode()).digest()[:4], "little") for word in words)
        return sum(
            (np.random.default_rng(seed).standard_normal(self.dimension) for seed in seeds), np.zeros(self.dimension)
        )


@pytest.fixture
def encoder() -> HashEncoder:
    return HashEncoder()


def sentence(rng: np.random.Generator, topic: str) -> str:
    words = [*rng.choice(TOPICS[topic], 3), *rng.choice(["one", "two", "the", "a", "old", "new"], 3)]
    return " ".join(rng.permutation(words))


def labelled(rng: np.random.Generator, count: int) -> Rows:
    topics = list(TOPICS)
    return [
        {"text": f"{sentence(rng, topics[i % 3])} {i}", "label": i % 3, "label_text": topics[i % 3]}
        for i in range(count)
    ]


def pairs(rng: np.random.Generator, count: int) -> Rows:
    topics = list(TOPICS)
    rows = []
    for i in range(count):
        same = i % 2
        first = sentence(rng, topics[i % 3])
        second = sentence(rng, topics[i % 3 if same else (i + 1) % 3])
        rows.append({"sent1": first, "sent2": second, "label": same})
    return rows


def graded(rng: np.random.Generator, count: int) -> Rows:
    rows = []
    for i in range(count):
        words = sentence(rng, list(TOPICS)[i % 3]).split()
        kept = i % 6
        rows.append(
            {"sentence1": " ".join(words), "sentence2": " ".join(words[:kept] + ["noise"] * (6 - kept)), "score": kept}
        )
    return rows


def judged(rng: np.random.Generator, count: int) -> Rows:
    rows = []
    for i in range(count):
        words = sentence(rng, list(TOPICS)[i % 3]).split()
        machine = [" ".join(words[:kept] + ["noise"] * (6 - kept)) for kept in range(1, 6)]
        relevance = [float(kept + rng.integers(0, 3)) for kept in range(1, 6)]
        relevance[0] = 0.0
        human = [" ".join(words), " ".join(words[::-1])]
        rows.append(
            {"text": " ".join(words), "human_summaries": human, "machine_summaries": machine, "relevance": relevance}
        )
    return rows


def tiny_files() -> dict[str, Rows]:
    """Path below the root -> rows. Queries q0.. of the retrieval task have their own document in the corpus."""
    rng = np.random.default_rng(0)
    documents = [sentence(rng, topic) for topic in list(TOPICS) * 5]
    queries = [" ".join(document.split()[:3]) for document in documents[:9]]
    corpus = [{"_id": f"d{i}", "title": f"title {i}", "text": text} for i, text in enumerate(documents)]
    corpus += [{"_id": f"q{i}", "title": "", "text": text} for i, text in enumerate(queries)]
    candidates = [
        {
            "id": f"r{i}",
            "query": sentence(rng, list(TOPICS)[i % 3]),
            "positive": [sentence(rng, list(TOPICS)[i % 3]) for _ in range(2)],
            "negative": [sentence(rng, list(TOPICS)[(i + 1) % 3]) for _ in range(3)],
        }
        for i in range(8)
    ]
    summaries = judged(rng, 8)
    hyps = [
        {"SYS": f"s{s}", "seg_id": str(i), "hyp": hyp, "human_score": row["relevance"][s]}
        for i, row in enumerate(summaries)
        for s, hyp in enumerate(row["machine_summaries"])
    ]
    prompts = [
        {"id": i, "input": row["text"], "output": f"this is about the {row['label_text']}"}
        for i, row in enumerate(labelled(rng, 40))
    ]
    return {
        "eval/Retrieval/TinyRetrieval/corpus": corpus,
        "eval/Retrieval/TinyRetrieval/queries": [{"_id": f"q{i}", "text": text} for i, text in enumerate(queries)],
        "eval/Retrieval/TinyRetrieval/qrels_test": [
            {"query-id": f"q{i}", "corpus-id": f"d{j}", "score": 1} for i in range(9) for j in {i, (i + 4) % 15}
        ],
        "eval/Reranking/TinyReranking/test": candidates,
        "eval/Clustering/TinyClustering/test": labelled(rng, 45),
        "eval/PairClassification/TinyPairs/test": pairs(rng, 40),
        "eval/Classification/TinyClassification/train": labelled(rng, 60),
        "eval/Classification/TinyClassification/test": labelled(rng, 30),
        "eval/STS/TinySTS/test": graded(rng, 40),
        "eval/Summarization/TinySummarization/test": summaries,
        "prompt_retrieval/TinyPrompts/train": prompts[:30],
        "prompt_retrieval/TinyPrompts/eval": prompts[30:],
        "billboard/TinyBillboard/hyps": hyps,
        "billboard/TinyBillboard/references": [
            {"seg_id": str(i), "refs": row["human_summaries"]} for i, row in enumerate(summaries)
        ],
    }


def configured(root: Path, output: Path) -> Config:
    cfg = Config()
    cfg.benchmark.root = str(root)
    cfg.benchmark.protocol = {"TinyRetrieval": TaskFolderConfig(ignore_identical_ids=True)}
    cfg.output = str(output)
    return cfg


def write_rows(path: Path, rows: Rows) -> None:
    """One JSON object a line, gzipped where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_benchmark(root: Path) -> Path:
    """The nine tasks on disk, some files compressed and some not."""
    for number, (name, rows) in enumerate(tiny_files().items()):
        write_rows(root / f"{name}{'.jsonl.gz' if number % 2 else '.jsonl'}", rows)
    return root


@pytest.fixture
def benchmark_root(tmp_path: Path) -> Path:
    """A benchmark that the test may change."""
    return write_benchmark(tmp_path / "benchmark")


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, list[TaskScore], HashEncoder]:
    """The nine tasks scored once, without instructions; not to be changed."""
    folder = tmp_path_factory.mktemp("evaluated")
    cfg, encoder = configured(write_benchmark(folder / "benchmark"), folder / "results"), HashEncoder()
    return cfg, evaluate(cfg, encoder), encoder


@pytest.fixture
def task_folder(benchmark_root: Path, cfg: Config) -> Callable[[str], Path]:
    """Narrows the configuration to the task with this name, and returns its folder."""

    def choose(name: str) -> Path:
        cfg.benchmark.tasks = [name]
        return next(folder for folder in benchmark_root.rglob(name) if folder.is_dir())

    return choose


@pytest.fixture
def cfg(benchmark_root: Path, tmp_path: Path) -> Config:
    """No instructions, results below the test's own folder."""
    return configured(benchmark_root, tmp_path / "results")


@pytest.fixture
def rewrite() -> Callable[..., None]:
    """Changes one row of a file in place: ``rewrite(folder, "test", 3, label=None)`` removes or replaces fields."""

    def change(folder: Path, name: str, row: int, **fields: Any) -> None:
        path = next(folder.glob(f"{name}.jsonl*"))
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = [json.loads(line) for line in content.splitlines()]
        rows[row] = {key: value for key, value in {**rows[row], **fields}.items() if value is not None}
        write_rows(path, rows)

    return change
