"""Files of texts and rows: training data in every form, task folders, view sets, pairs, files to encode."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
from pyarrow import parquet

from one_embedder.config.schema import Config, PromptTaskConfig, ViewSetConfig
from one_embedder.embedding.records import RecordFile
from one_embedder.evaluation.prompt_retrieval.examples import read_examples
from one_embedder.evaluation.tasks.folder import discover
from one_embedder.evaluation.tasks.search_rows import read_reranking, read_retrieval
from one_embedder.files.json_lines import content_sha256
from one_embedder.medi.build import build
from one_embedder.medi.sources.pairs import read_pairs
from one_embedder.medi.sources.view_sets import read_view_sets
from one_embedder.medi.store import load_medi
from tests.torture.damage import Gone
from tests.torture.surface import Surface, key, label, number, numbers, string, text, texts

WORDS = ("river", "stone", "lamp", "garden", "market", "winter", "engine", "letter")
TEXTS = [f"the {one} near the {other}" for one, other in itertools.permutations(WORDS, 2)]


def _medi_rows() -> list[dict[str, Any]]:
    side = itertools.cycle(TEXTS)
    return [
        {
            "query": ["Represent it: ", next(side)],
            "pos": ["Represent it: ", next(side)],
            "neg": ["Represent it: ", next(side)],
            "task_id": number % 2,
            "task_name": f"task {number % 2}",
            "label": f"class {number % 3}",
        }
        for number in range(8)
    ]


def _read_medi(folder: Path) -> Any:
    """Build it; what was not taken has to be accounted for, one row in quarantine for each."""
    cfg = Config()
    cfg.medi.source, cfg.medi.max_rejected = "file", 0.5
    cfg.medi.path, cfg.output = str(folder), str(folder.parent / "built")
    with mock.patch("one_embedder.medi.sources.file.build._report"):  # its figures take a second
        built = build(cfg)
    return [row["query_text"] for row in load_medi(built / "medi").dataset]


def _parquet() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(_medi_rows()), file)
    return file.getvalue()


def _retrieval(folder: Path) -> Any:
    (found,) = discover(folder)
    return content_sha256(found.path), read_retrieval(found.path, "test")


def _reranking(folder: Path) -> Any:
    (found,) = discover(folder)
    return read_reranking(found.path, "test")


def _with_mteb(folder: Path) -> Any:
    from one_embedder.evaluation.tasks.folder_mteb import TASKS

    (found,) = discover(folder)
    task = TASKS[found.category](found)
    task.load_data()
    return {split: rows.to_dict() for split, rows in task.dataset.items()}


def _prompts(folder: Path) -> Any:
    (found,) = discover(folder)
    return read_examples(found, PromptTaskConfig())


def _text_evaluation(folder: Path) -> Any:
    from one_embedder.evaluation.encoder import CachingEncoder
    from one_embedder.evaluation.task_instructions import TaskInstructions
    from one_embedder.evaluation.tasks.text_evaluation import score_text_evaluation
    from tests.evaluation.conftest import HashEncoder

    (found,) = discover(folder)
    return score_text_evaluation(found, CachingEncoder(HashEncoder(), batch_size=8), TaskInstructions()).details


def _views(folder: Path) -> Any:
    cfg = Config()
    objectives = {"topic": "grouping by topic", "tone": "grouping by tone"}
    cfg.views.sets = {"Small": ViewSetConfig(part="test", domain="press", text_type="note", objectives=objectives)}
    return read_view_sets(cfg, str(folder), ["Small"], "test")


def _pairs(folder: Path) -> Any:
    sides = {"query": {"text_type": "question"}, "document": {"text_type": "answer"}}
    return read_pairs(folder, 10, {"asked": sides})


def _records(folder: Path) -> Any:
    return [list(RecordFile(path)) for path in sorted(folder.iterdir())]


def labeling(value: Any) -> bool:
    """A text may lack a labeling."""
    return value is Gone or label(value)


def _folder(name: str, category: str, **files: list[dict[str, Any]]) -> dict[str, Any]:
    """One file is packed, the others are not."""
    place = {"PromptRetrieval": "prompt_retrieval", "TextEvaluation": "billboard"}.get(category, f"eval/{category}")
    endings = itertools.cycle(("jsonl.gz", "jsonl"))
    return {f"{place}/{name}/{file}.{next(endings)}": rows for file, rows in files.items()}


def _labelled(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"text": TEXTS[i], "label": ("wet", "dry")[i % 2], **more} for i in range(count)]


RETRIEVAL = _folder(
    "Small",
    "Retrieval",
    corpus=[{"_id": f"d{i}", "title": "about it", "text": TEXTS[i]} for i in range(6)],
    queries=[{"_id": f"q{i}", "text": TEXTS[10 + i]} for i in range(3)],
    qrels_test=[{"query-id": f"q{i % 3}", "corpus-id": f"d{i}", "score": 1 + i % 2} for i in range(6)],
)
RERANKING = _folder(
    "Small",
    "Reranking",
    test=[{"id": f"q{i}", "query": TEXTS[i], "positive": TEXTS[9:11], "negative": TEXTS[12:15]} for i in range(3)],
)
VIEWS = {
    "Small/texts.jsonl": [
        {
            "text": TEXTS[i],
            "labels": {"topic": ("wet", "dry")[i // 2 % 2], "tone": ("kind", "dull")[i // 4]},
            "split": ("train", "test")[i % 2],
        }
        for i in range(8)
    ]
}
HEARD = ("entailment", "contradiction", "neutral")
PAIRS = {
    "alike.jsonl": [{"sentence1": TEXTS[i], "sentence2": TEXTS[20 + i]} for i in range(4)],
    "asked.jsonl.gz": [{"query": TEXTS[i], "positive": TEXTS[30 + i]} for i in range(4)],
    "nli_train.jsonl": [
        {"premise": TEXTS[i // 3], "hypothesis": TEXTS[9 + i], "label": HEARD[i % 3]} for i in range(6)
    ],
}
SUMMARIES = [
    {"text": TEXTS[i], "human_summaries": TEXTS[5:7], "machine_summaries": TEXTS[8:11], "relevance": [1.0, 2.5, 3]}
    for i in range(3)
]
GRADED = [{"sentence1": TEXTS[i], "sentence2": TEXTS[9 + i], "score": float(i)} for i in range(5)]
JUDGED = [{"seg_id": str(i), "hyp": TEXTS[i], "human_score": float(i), "SYS": "ours"} for i in range(4)]
MEDI_FIELDS = {
    "query": lambda value: False,
    "pos": lambda value: False,
    "neg": lambda value: False,
    "query[]": string,
    "pos[]": string,
    "neg[]": string,
    "task_id": lambda value: value in (None, Gone) or (type(value) is int and 0 <= value < 2**63),
    "task_name": lambda value: value is Gone or (string(value) and bool(value)),
    "label": lambda value: value in (None, Gone) or string(value),
}

SURFACES = (
    Surface("training data, list", {"medi.json": _medi_rows()}, _read_medi, MEDI_FIELDS, False, 8),
    Surface("training data, packed list", {"medi.json.gz": _medi_rows()}, _read_medi, MEDI_FIELDS, False, 8),
    Surface("training data, lines", {"medi.jsonl": _medi_rows()}, _read_medi, MEDI_FIELDS, whole=8),
    Surface("training data, packed lines", {"medi.jsonl.gz": _medi_rows()}, _read_medi, MEDI_FIELDS, whole=8),
    Surface("training data, parquet", {"medi.parquet": _parquet()}, _read_medi),
    Surface(
        "retrieval",
        RETRIEVAL,
        _retrieval,
        {"_id": key, "text": string, "title": lambda value: value in (None, Gone) or string(value), "query-id": key,
         "corpus-id": key, "score": number},
    ),
    Surface(
        "reranking",
        RERANKING,
        _reranking,
        {"id": key, "query": text, "positive": texts, "negative": texts, "positive[]": text, "negative[]": text},
    ),
    Surface(
        "clustering", _folder("Small", "Clustering", test=_labelled(6)), _with_mteb, {"text": text, "label": label}
    ),
    Surface(
        "classification",
        _folder("Small", "Classification", train=_labelled(6), test=_labelled(4)),
        _with_mteb,
        {"text": text, "label": label},
    ),
    Surface(
        "pair classification",
        _folder(
            "Small",
            "PairClassification",
            test=[{"sent1": TEXTS[i], "sent2": TEXTS[9 + i], "label": i % 2} for i in range(6)],
        ),
        _with_mteb,
        {"sent1": text, "sent2": text, "label": lambda value: type(value) in (int, bool) and value in (0, 1)},
    ),
    Surface(
        "STS", _folder("Small", "STS", test=GRADED), _with_mteb, {"sentence1": text, "sentence2": text, "score": number}
    ),
    Surface(
        "summarization",
        _folder("Small", "Summarization", test=SUMMARIES),
        _with_mteb,
        {"text": text, "human_summaries": texts, "machine_summaries": texts, "relevance": numbers,
         "machine_summaries[]": text, "relevance[]": number},
    ),
    Surface(
        "prompt retrieval",
        _folder("Small", "PromptRetrieval", train=[{"input": TEXTS[i], "output": "it is wet"} for i in range(5)],
                eval=[{"input": TEXTS[i], "output": "it is dry"} for i in range(3)]),
        _prompts,
        {"input": text, "output": text},
    ),
    Surface(
        "text evaluation",
        _folder("Small", "TextEvaluation", hyps=JUDGED,
                references=[{"seg_id": str(i), "refs": TEXTS[9:11]} for i in range(4)]),
        _text_evaluation,
        {"seg_id": key, "hyp": text, "human_score": number, "SYS": text, "refs": texts, "refs[]": text},
    ),
    Surface(
        "views", VIEWS, _views,
        {"text": text, "labels": lambda value: isinstance(value, dict),
         "split": lambda value: value in ("train", "test"), "topic": labeling, "tone": labeling},
    ),
    Surface(
        "pairs", PAIRS, _pairs,
        {"sentence1": text, "sentence2": text, "query": text, "positive": text, "premise": text, "hypothesis": text,
         "label": lambda value: value in HEARD},
    ),
    Surface("texts, lines", {"texts.jsonl": [{"text": TEXTS[i]} for i in range(4)]}, _records, {"text": string}),
    Surface("texts, table", {"texts.csv": b"text\n" + "\n".join(TEXTS[:5]).encode() + b"\n"}, _records),
    Surface("texts, plain", {"texts.txt": "\n".join(TEXTS[:5]).encode() + b"\n"}, _records),
)  # fmt: skip
