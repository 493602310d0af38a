"""A folder of JSON-lines files -> an mteb task of its category: the offline way to run any benchmark.

Layout below a root (every file ``.jsonl`` or ``.jsonl.gz``, split name ``test``)::

    eval/Retrieval/<Task>/            corpus {_id, title, text}, queries {_id, text},
                                      qrels_test {query-id, corpus-id, score}
    eval/Reranking/<Task>/            test {id, query, positive[], negative[]}
    eval/Clustering/<Task>/           test {text, label}
    eval/PairClassification/<Task>/   test {sent1, sent2, label 0 or 1}
    eval/Classification/<Task>/       train and test {text, label}
    eval/STS/<Task>/                  test {sentence1, sentence2, score}
    eval/Summarization/<Task>/        test {text, human_summaries[], machine_summaries[], relevance[]}
    prompt_retrieval/<Task>/          train and eval {input, output}, or one file all, which is divided; other fields
                                      where conf/prompt_retrieval has settings for the task
    billboard/<Task>/                 hyps {seg_id, hyp, human_score, SYS: the system, in all rows or in none},
                                      references {seg_id, refs[]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.benchmarks import CATEGORIES
from one_embedder.json_lines import content_sha256

OWN_FOLDERS = {"PromptRetrieval": "prompt_retrieval", "TextEvaluation": "billboard"}
"""Categories that mteb does not know, and the folder of their tasks below the root."""


@dataclass(frozen=True)
class TaskFolder:
    """One task on disk.

    Attributes:
        name: of the task: the folder's name.
        category: one of ``CATEGORIES``.
        path: the folder.
    """

    name: str
    category: str
    path: Path

    @cached_property
    def sha256(self) -> str:
        """Hash of the task's data."""
        return content_sha256(self.path)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What of a result's identity is the data."""
        return {"data_sha256": self.sha256}

    @property
    def record(self) -> Mapping[str, Any]:
        """The task's data in a run record."""
        return {"name": self.name, "sha256": self.sha256}


def discover(root: Path, tasks: Sequence[str] | None = None) -> list[TaskFolder]:
    """All tasks below a root, by category in the order of Table 1, then by name.

    Args:
        root: holds ``eval``, ``billboard`` and ``prompt_retrieval``, each optional.
        tasks: names to keep; None: all.

    Raises:
        DataError: if there is no task, a folder is no category's, or two tasks have the same name.
        ConfigError: if a name of ``tasks`` does not exist.
    """
    if not root.is_dir():
        raise DataError(
            f"{root}: no such benchmark folder; build it (python -m one_embedder.build_medi) or set benchmark.root"
        )
    _refuse_unknown_categories(root)
    found = [folder for category in CATEGORIES for folder in _of_category(root, category)]
    if not found:
        raise DataError(f"{root}: no task folder below eval/, billboard/ or prompt_retrieval/")
    paths: dict[str, Path] = {}
    for folder in found:
        if folder.name in paths:
            raise DataError(f"{folder.path} and {paths[folder.name]} have the same task name; rename one of them")
        paths[folder.name] = folder.path
    if tasks is None:
        return found
    missing = sorted(set(tasks) - set(paths))
    if missing:
        raise ConfigError(f"benchmark.tasks names {missing}, which {root} does not hold; it holds {sorted(paths)}")
    return [folder for folder in found if folder.name in tasks]


def folder_of(root: Path, category: str) -> Path:
    """Where the tasks of a category lie below a root."""
    return root / OWN_FOLDERS[category] if category in OWN_FOLDERS else root / "eval" / category


def _of_category(root: Path, category: str) -> list[TaskFolder]:
    parent = folder_of(root, category)
    if not parent.is_dir():
        return []
    return [TaskFolder(path.name, category, path) for path in sorted(parent.iterdir()) if path.is_dir()]


def _refuse_unknown_categories(root: Path) -> None:
    known = [category for category in CATEGORIES if category not in OWN_FOLDERS]
    parent = root / "eval"
    for path in sorted(parent.iterdir()) if parent.is_dir() else []:
        if path.is_dir() and path.name not in known:
            raise DataError(f"{path}: not the name of a category; the categories are {known}")
