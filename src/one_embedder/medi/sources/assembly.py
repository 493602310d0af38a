"""Where a build collects its parts, and how they are put in place: whole, or not at all and found again."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError, DataError
from one_embedder.files.documents import read_json
from one_embedder.files.swap import put_in_place
from one_embedder.medi.store import load_medi

logger = logging.getLogger(__name__)

DONE = "build.json"
"""Written last: a folder with this file is whole."""
_WORK = ".work-"
_SHOWN = 12  # settings in a message

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
    """What the user chose for a build: dotted key -> JSON value, the source among them."""
    values = {key: reduce(getattr, key.split("."), cfg) for key in ("medi.source", *keys)}
    return dict(json.loads(json.dumps(values, default=asdict)))


def flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted key -> value, where a value has keys of its own those."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from flat({f"{key}.{name}": inner for name, inner in value.items()})
        else:
            yield key, value


def built_record(folder: Path) -> dict[str, Any] | None:
    """The content of ``build.json``; None if the folder has none.

    Raises:
        DataError: it cannot be read.
    """
    path = folder / DONE
    if not path.is_file():
        return None
    try:
        return dict(read_json(path))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} is no record of a build ({error}); delete it, and the data are built again") from error


def is_built(folder: Path, key: str, settings: Mapping[str, Any]) -> bool:
    """Whether ``folder`` is the result of a build with this key, its training data whole.

    Data of another key are replaced where the user chose the same: then the project, its packages or the source have
    changed. What was built with other choices stays, and these get another folder.

    Args:
        folder: the result.
        key: a hash of everything that the data depend on.
        settings: what of it the user chose, as ``settings_of`` gives it.

    Raises:
        ConfigError: it holds data that were built with other settings.
        DataError: ``build.json`` cannot be read.
    """
    done = built_record(folder)
    if done is None:
        return False
    if done.get("key") == key:
        return _is_whole(folder)
    recorded = done.get("settings", {}).keys() & settings  # an older version may have recorded fewer, or none
    then, now = (dict(flat({key: of[key] for key in recorded})) for of in (done.get("settings", {}), settings))
    names = sorted({*then, *now})
    if told := [f"{n} was {then.get(n)!r} and is {now.get(n)!r}" for n in names if then.get(n) != now.get(n)]:
        shown = "; ".join([*told[:_SHOWN], *([f"and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else [])])
        raise ConfigError(
            f"{folder} holds data that were built with other settings ({shown}), which are not replaced: "
            f"name another folder, as in medi.folder={folder}-{key[:8]}, here and in the commands that use the data, "
            "or delete this one"
        )
    return False


def _is_whole(folder: Path) -> bool:
    try:
        load_medi(folder / "medi")
    except DataError as error:
        logger.warning("%s", error)
        return False
    return True


def work_place(folder: Path, key: str) -> Path:
    """Where a build collects its parts: within ``folder``, which may be a disk of its own."""
    return folder / f"{_WORK}{key[:12]}"


def work_folder(folder: Path, key: str) -> Path:
    """``work_place``, made; parts of an interrupted build with the same key are found there, of others removed."""
    work = work_place(folder, key)
    for stale in folder.glob(f"{_WORK}*"):
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
