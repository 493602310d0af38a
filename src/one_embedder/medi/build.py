"""The ``build_medi`` verb: sources -> MEDI on disk, its benchmark and a report."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError, DataError
from one_embedder.medi import leakage, mining
from one_embedder.medi.candidates import CandidateTask
from one_embedder.medi.record import MediRow
from one_embedder.medi.report import render_report
from one_embedder.medi.sources import documentation
from one_embedder.medi.sources.documentation.benchmark import documentation_benchmark, write_benchmark
from one_embedder.medi.sources.documentation.extract import extract
from one_embedder.medi.sources.documentation.packages import PACKAGES, STANDARD_LIBRARY
from one_embedder.medi.sources.documentation.training_tasks import training_tasks
from one_embedder.medi.store import load_medi, write_medi

logger = logging.getLogger(__name__)

MINING_MAX_LENGTH = 32
"""Tokens of a text that the miner's encoder reads; beyond that, similarity hardly changes and time does."""
ENCODE_CHUNK = 2048
DONE = "build.json"


def build(cfg: Config) -> Path:
    """Build the training data and benchmark that ``cfg.medi`` describes; nothing is done when they are there already.

    Returns:
        The folder: ``medi/`` (Arrow and manifest), ``benchmark/{dev,test}/`` (task folders), ``report.md`` and,
        written last, ``build.json``.

    Raises:
        ConfigError: if the source is unknown.
        DataError: if a package is missing or the disk is full.
    """
    if cfg.medi.source == "file":  # the user's own, built elsewhere
        load_medi(Path(cfg.medi.folder) / "medi")
        return Path(cfg.medi.folder)
    if cfg.medi.source != "documentation":
        raise ConfigError(f"medi.source={cfg.medi.source!r} cannot be built; the source that can is 'documentation'")
    folder = Path(cfg.output or cfg.medi.folder)
    key = build_key(cfg)
    if _is_built(folder, key):
        logger.info("MEDI-documentation is built already: %s", folder)
        return folder
    try:
        return _build(cfg, folder, key)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot write the training data ({error}); free disk space or choose output=FOLDER, then rerun"
        ) from error


def build_key(cfg: Config) -> str:
    """A hash of everything that the data depend on: code, package versions, Python and configuration."""
    code = hashlib.sha256()
    for path in sorted(
        [
            *Path(documentation.__file__).parent.glob("*.py"),
            Path(mining.__file__),
            Path(leakage.__file__),
            Path(__file__),
        ]
    ):
        code.update(path.read_bytes())
    wanted = {
        "code": code.hexdigest(),
        "versions": package_versions(),
        "python": platform.python_version(),
        "encoder": asdict(cfg.encoder),
        "rows_per_task": cfg.medi.rows_per_task,
        "min_rows_per_task": cfg.medi.min_rows_per_task,
    }
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def package_versions() -> dict[str, str]:
    """Import name -> installed version of every package that is read."""
    distributions = packages_distributions()
    return {
        package.name: platform.python_version()
        if package.name == STANDARD_LIBRARY
        else version(distributions[package.name][0])
        for package in PACKAGES
        if package.name == STANDARD_LIBRARY or package.name in distributions
    }


def _is_built(folder: Path, key: str) -> bool:
    done = folder / DONE
    return done.is_file() and json.loads(done.read_text()).get("key") == key


def _build(cfg: Config, folder: Path, key: str) -> Path:
    started = time.monotonic()
    work = _work_folder(folder, key)
    logger.info("Building MEDI-documentation in %s: about two minutes on two cores, under 1.5 GB of memory", folder)
    objects = extract(PACKAGES, cfg.medi.workers)
    logger.info(
        "%d documented objects in %d packages (%.0f s)", len(objects), len(PACKAGES), time.monotonic() - started
    )
    shutil.rmtree(work / "benchmark", ignore_errors=True)
    for side in ("dev", "test"):
        write_benchmark(documentation_benchmark(objects, side), work / "benchmark" / side)
    benchmark = leakage.BenchmarkTexts.read(work / "benchmark")
    tasks, lost = leakage.drop_overlapping(training_tasks(objects, cfg.medi.rows_per_task), benchmark)
    rows = _mined_rows(tasks, cfg, work)
    about = {"source": "documentation", "key": key, "python": platform.python_version(), "versions": package_versions()}
    sha256 = write_medi(rows, work / "medi", about)
    (work / "report.md").write_text(render_report(objects, rows, lost, benchmark_sizes(work / "benchmark"), sha256))
    _publish(
        work, folder, {"key": key, "sha256": sha256, "rows": len(rows), "seconds": round(time.monotonic() - started, 1)}
    )
    logger.info(
        "%d rows, sha256 %s, %.0f s; report: %s",
        len(rows),
        sha256[:12],
        time.monotonic() - started,
        folder / "report.md",
    )
    return folder


def _work_folder(folder: Path, key: str) -> Path:
    """Where this build collects its parts; parts of an interrupted build with the same key are used again."""
    work = folder.parent / f".{folder.name}.{key[:12]}"
    for stale in folder.parent.glob(f".{folder.name}.*"):
        if stale != work:
            shutil.rmtree(stale)
    work.mkdir(parents=True, exist_ok=True)
    return work


def _mined_rows(tasks: Sequence[CandidateTask], cfg: Config, work: Path) -> list[MediRow]:
    from one_embedder.encoder.embedder import InstructionEmbedder

    embedder = InstructionEmbedder(
        cfg.encoder.name_or_path, revision=cfg.encoder.revision, max_length=MINING_MAX_LENGTH
    )

    def encode(texts: Sequence[str]) -> np.ndarray:
        return _encode_resumable(texts, embedder, work / "embeddings")

    embeddings = mining.embed_texts(tasks, encode)
    rows: list[MediRow] = []
    task_id = 0
    for task in tasks:
        mined = mining.mine(task, task_id, embeddings, cfg.medi.rows_per_task)
        if len(mined) >= cfg.medi.min_rows_per_task:
            rows += mined
            task_id += 1
    return rows


def _encode_resumable(texts: Sequence[str], embedder: Any, folder: Path) -> np.ndarray:
    """Embeddings of the texts, each finished chunk kept on disk until the build is whole."""
    folder.mkdir(exist_ok=True)
    chunks = []
    for start in range(0, len(texts), ENCODE_CHUNK):
        part = texts[start : start + ENCODE_CHUNK]
        path = folder / f"{hashlib.sha256(chr(0).join(part).encode()).hexdigest()[:16]}.npy"
        if not path.is_file():
            partial = path.with_suffix(".tmp")
            with partial.open("wb") as file:
                np.save(file, embedder.encode(list(part), batch_size=64, show_progress_bar=False))
            partial.replace(path)
        chunks.append(np.load(path))
        logger.info("mining: %d of %d texts embedded", min(start + ENCODE_CHUNK, len(texts)), len(texts))
    return np.concatenate(chunks)


def benchmark_sizes(root: Path) -> dict[str, dict[str, int]]:
    """Task folder -> rows of each of its files."""
    sizes: dict[str, dict[str, int]] = {}
    for path in sorted(root.rglob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            sizes.setdefault(path.parent.relative_to(root).as_posix(), {})[path.name.split(".")[0]] = sum(
                1 for _ in lines
            )
    return sizes


def _publish(work: Path, folder: Path, done: Mapping[str, Any]) -> None:
    """Put the parts in place; ``build.json`` comes last and is what makes the folder whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DONE).unlink(missing_ok=True)
    for part in ("medi", "benchmark", "report.md"):
        target = folder / part
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        (work / part).replace(target)
    partial = folder / f".{DONE}"
    partial.write_text(json.dumps(done, indent=1) + "\n")
    partial.replace(folder / DONE)
    shutil.rmtree(work)
