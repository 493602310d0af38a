"""A development benchmark for a folder of tasks, made of nothing that their test splits score.

    python scripts/make_dev_benchmark.py FOLDER OUTPUT [--leave-out SICK-R]

Settings can then be chosen on ``benchmark.root=OUTPUT`` and reported on ``benchmark.root=FOLDER``. What a task's new
``test`` is:

- its ``validation`` rows, if it has them;
- else rows drawn from its ``train`` rows, which leave the training rows;
- retrieval: the queries of ``qrels_train`` over their own documents and others drawn from the corpus.

A task with none of these is left out, and so are those named with ``--leave-out``, for tasks whose published test split
holds the other splits too. Draws depend on the rows alone: the same folder gives the same benchmark.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from one_embedder.ending import told
from one_embedder.errors import DataError
from one_embedder.evaluation.tasks.folder import TaskFolder, discover
from one_embedder.files.json_lines import JsonLines
from one_embedder.medi.sources.assembly import write_task_files

Row = dict[str, Any]


def make_dev_benchmark(
    root: Path, output: Path, *, leave_out: Sequence[str] = (), max_rows: int = 1000, max_documents: int = 1000
) -> list[str]:
    """Write the development tasks of the folder ``root`` below ``output``.

    Args:
        root: a benchmark folder.
        output: a new folder of the same layout.
        leave_out: names of tasks without a development split.
        max_rows: test rows of a task, at most.
        max_documents: documents of a retrieval task, if its queries need no more.

    Returns:
        Names of the tasks that were written.

    Raises:
        DataError: if ``output`` exists, a task to leave out does not, or a file of a task cannot be read.
    """
    if output.exists():
        raise DataError(f"{output} exists; name a new folder or remove it")
    tasks = discover(root)
    if unknown := sorted(set(leave_out) - {task.name for task in tasks}):
        raise DataError(f"{root} has no task {', '.join(unknown)} to leave out")
    written = []
    for task in tasks:
        files = {} if task.name in leave_out else _files(task, max_rows, max_documents)
        write_task_files({str(task.path.relative_to(root)): files}, output)
        written += [task.name] if files else []
    return written


def _files(task: TaskFolder, max_rows: int, max_documents: int) -> dict[str, list[Row]]:
    """File name -> rows of a task's development version; none if there is nothing to make it of."""
    if task.category == "Retrieval":
        return _retrieval(task, max_documents) if _has(task, "qrels_train") else {}
    test = "eval" if task.category == "PromptRetrieval" else "test"
    train = JsonLines.read(task.path, "train").rows if _has(task, "train") else []
    if _has(task, "validation"):
        drawn = _draw(JsonLines.read(task.path, "validation").rows, max_rows)
        return {test: drawn} | ({"train": train} if train else {})
    if len(train) < 2:
        return {}
    drawn = _draw(train, min(max_rows, len(train) // 2))
    kept = {json.dumps(row, sort_keys=True) for row in drawn}
    rest = [row for row in train if json.dumps(row, sort_keys=True) not in kept]
    return {test: drawn, "train": rest}


def _retrieval(task: TaskFolder, max_documents: int) -> dict[str, list[Row]]:
    qrels = JsonLines.read(task.path, "qrels_train").rows
    asked = {str(row["query-id"]) for row in qrels}
    judged = {str(row["corpus-id"]) for row in qrels}
    corpus = JsonLines.read(task.path, "corpus").rows
    others = _draw([row for row in corpus if str(row["_id"]) not in judged], max(0, max_documents - len(judged)))
    return {
        "corpus": [row for row in corpus if str(row["_id"]) in judged] + others,
        "queries": [row for row in JsonLines.read(task.path, "queries").rows if str(row["_id"]) in asked],
        "qrels_test": qrels,
    }


def _has(task: TaskFolder, name: str) -> bool:
    return any((task.path / f"{name}{suffix}").is_file() for suffix in (".jsonl.gz", ".jsonl"))


def _draw(rows: Sequence[Row], count: int) -> list[Row]:
    """``count`` of the rows, in their order, chosen by the hash of their content."""
    hashes = [hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest() for row in rows]
    chosen = sorted(sorted(range(len(rows)), key=lambda number: hashes[number])[:count])
    return [rows[number] for number in chosen]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="TASK")
    arguments = parser.parse_args()
    written = make_dev_benchmark(arguments.folder, arguments.output, leave_out=arguments.leave_out)
    sys.stdout.write("".join(f"{name}\n" for name in written))


if __name__ == "__main__":
    sys.exit(told(main))
