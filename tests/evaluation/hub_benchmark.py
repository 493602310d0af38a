"""Tiny copies of tasks of MTEB(eng, v1) for the stand-in hub, one a category, in the formats of the real data sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pytest

from one_embedder.evaluation.tasks.registry import HubTask, hub_tasks
from tests.evaluation.conftest import Rows, judged, labelled, pairs, tiny_files
from tests.hub import StandInHub

BENCHMARK = "MTEB(eng, v1)"
TASKS = (
    "SciFact",
    "StackOverflowDupQuestions",
    "TwentyNewsgroupsClustering",
    "TwitterSemEval2015",
    "EmotionClassification",
    "STS17",
    "SummEval",
)
"""One a category, in the order of Table 1."""


Tables = Mapping[tuple[str, str], Rows]
"""(Configuration, split) -> rows."""


def serve_benchmark(
    hub: StandInHub, folder: Path, monkeypatch: pytest.MonkeyPatch, data: Mapping[str, Tables] | None = None
) -> dict[str, HubTask]:
    """Put tasks' data on the hub under the revisions that mteb asks for, and let ``datasets`` look there.

    Args:
        hub: the stand-in.
        folder: for the files.
        monkeypatch: undoes what is set here.
        data: task -> tables; None: those of ``tiny_tasks``.
    """
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "datasets-cache")
    tasks = {task.name: task for task in hub_tasks(BENCHMARK)}
    data = tiny_tasks() if data is None else data
    for name, tables in data.items():
        _write_repository(folder / name, tables)
        hub.commit(tasks[name].repository, folder / name, branch=tasks[name].revision, kind="datasets")
    return {name: tasks[name] for name in data}


def tiny_tasks() -> dict[str, Tables]:
    """Task -> its tables."""
    import numpy as np

    files, rng = tiny_files(), np.random.default_rng(5)
    search = {name: files[f"eval/Retrieval/TinyRetrieval/{name}"] for name in ("corpus", "queries", "qrels_test")}
    sets = [labelled(rng, 24), labelled(rng, 18)]
    couples = pairs(rng, 30)
    graded = files["eval/STS/TinySTS/test"]
    return {
        "SciFact": {
            ("corpus", "corpus"): search["corpus"],
            ("queries", "queries"): search["queries"],
            ("default", "test"): search["qrels_test"],
        },
        "StackOverflowDupQuestions": _reranking(files["eval/Reranking/TinyReranking/test"]),
        "TwentyNewsgroupsClustering": {
            ("default", "test"): [
                {"sentences": [row["text"] for row in rows], "labels": [row["label_text"] for row in rows]}
                for rows in sets
            ]
        },
        "TwitterSemEval2015": {  # a single row of lists, as older sets are
            ("default", "test"): [
                {
                    "sent1": [row["sent1"] for row in couples],
                    "sent2": [row["sent2"] for row in couples],
                    "labels": [row["label"] for row in couples],
                }
            ]
        },
        "EmotionClassification": {("default", "train"): labelled(rng, 60), ("default", "test"): labelled(rng, 21)},
        "STS17": {  # all languages together, as mteb loads them
            ("default", "test"): [
                {**row, "lang": lang} for lang, rows in (("en-en", graded), ("ko-ko", graded[:3])) for row in rows
            ]
        },
        "SummEval": {("default", "test"): judged(rng, 6)},
    }


def _reranking(rows: Rows) -> Tables:
    documents: Rows = []
    relevant: Rows = []
    ranked: Rows = []
    for row in rows:
        ids = []
        for score, side in ((1, "positive"), (0, "negative")):
            for number, text in enumerate(row[side]):
                ids.append(f"{side}_{row['id']}_{number}")
                documents.append({"_id": ids[-1], "text": text, "title": ""})
                relevant.append({"query-id": row["id"], "corpus-id": ids[-1], "score": score})
        ranked.append({"query-id": row["id"], "corpus-ids": ids})
    return {
        ("corpus", "test"): documents,
        ("queries", "test"): [{"_id": row["id"], "text": row["query"]} for row in rows],
        ("default", "test"): relevant,
        ("top_ranked", "test"): ranked,
    }


def _write_repository(folder: Path, tables: Tables) -> None:
    """JSON lines, and a card that names configurations and splits."""
    folder.mkdir(parents=True)
    configurations: dict[str, list[dict[str, Any]]] = {}
    for (name, split), rows in tables.items():
        path = folder / name / f"{split}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        configurations.setdefault(name, []).append({"split": split, "path": f"{name}/{split}.jsonl"})
    configs = [{"config_name": name, "data_files": files} for name, files in configurations.items()]
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n")
