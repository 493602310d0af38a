"""Where a build collects its parts, and how they are put in place: whole, or not at all and found again."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError, DataError
from one_embedder.files.swap import put_in_place

DONE = "build.json"
"""Written last: a folder with this file is whole."""

GB = 1e9


def require_space(place: Path, needed: float, what: str, remedy: str) -> None:
    """Refuse work whose result does not fit.

    Args:
        place: a folder, which need not exist yet.
        needed: bytes.
        what: that needs them, as in "the downloads need".
        remedy: what else could be done.

    Raises:
        DataError: the disk has less.
    """
    free = shutil.disk_usage(next(there for there in (place, *place.parents) if there.exists())).free
    if needed > free:
        raise DataError(
            f"{what} {needed / GB:.2f} GB in {place}, which has {free / GB:.2f} GB free; free some, {remedy}"
        )


def settings_of(cfg: Config, *keys: str) -> dict[str, Any]:
    """What the user chose for a build: dotted key -> value, the source among them."""
    values = {key: reduce(getattr, key.split("."), cfg) for key in ("medi.source", *keys)}
    return {key: asdict(value) if is_dataclass(value) else value for key, value in values.items()}


def is_built(folder: Path, key: str, settings: Mapping[str, Any]) -> bool:
    """Whether ``folder`` is the whole result of a build with this key.

    Data of another key are replaced where the user chose the same: then the project, its packages or the source have
    changed. What was built with other choices stays, and these get another folder.

    Args:
        folder: the result.
        key: a hash of everything that the data depend on.
        settings: what of it the user chose, as ``settings_of`` gives it.

    Raises:
        ConfigError: it holds data that were built with other settings.
    """
    path = folder / DONE
    if not path.is_file():
        return False
    done = json.loads(path.read_text())
    if done.get("key") == key:
        return True
    then = done.get("settings", settings)  # folders that are older than this record have none
    names = sorted({*then, *settings})
    if told := [f"{n} was {then.get(n)!r} and is {settings.get(n)!r}" for n in names if then.get(n) != settings.get(n)]:
        raise ConfigError(
            f"{folder} holds data that were built with other settings ({'; '.join(told)}), which are not replaced: "
            f"name another folder, as in medi.folder={folder}-{key[:8]}, here and in the commands that use the data, "
            "or delete this one"
        )
    return False


def work_folder(folder: Path, key: str) -> Path:
    """Where a build of ``folder`` collects its parts; those of an interrupted one with the same key are found there."""
    work = folder.parent / f".{folder.name}.{key[:12]}"
    for stale in folder.parent.glob(f".{folder.name}.*"):
        if stale != work:
            shutil.rmtree(stale)
    work.mkdir(parents=True, exist_ok=True)
    return work


def publish(work: Path, folder: Path, done: Mapping[str, Any]) -> None:
    """Move everything in ``work`` whose name has no leading dot to ``folder``, then write ``build.json``.

    Args:
        work: from ``work_folder``; removed.
        folder: the result; parts of an older build with the same names are replaced.
        done: JSON values for ``build.json``; ``key`` and ``settings`` among them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DONE).unlink(missing_ok=True)
    for part in sorted(path for path in work.iterdir() if not path.name.startswith(".")):
        target = folder / part.name
        put_in_place(part, target) if part.is_dir() else part.replace(target)
    partial = folder / f".{DONE}"
    partial.write_text(json.dumps(done, indent=1) + "\n")
    partial.replace(folder / DONE)
    shutil.rmtree(work)


def write_task_files(tasks: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]], root: Path) -> None:
    """Write each task folder as gzipped JSONL with fixed timestamps, so that equal rows give equal bytes.

    Args:
        tasks: folder below ``root`` -> name of a file, without its ending -> rows.
        root: of the benchmark.
    """
    for folder, files in tasks.items():
        for name, rows in files.items():
            path = root / folder / f"{name}.jsonl.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            path.write_bytes(gzip.compress(lines.encode(), mtime=0))
