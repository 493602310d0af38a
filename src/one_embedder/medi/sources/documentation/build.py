"""MEDI-documentation and its benchmark, from the installed packages to disk."""

from __future__ import annotations

import gzip
import logging
import platform
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import metadata, packages_distributions, version
from pathlib import Path

from one_embedder.config.schema import Config
from one_embedder.medi.mining import leakage, miner
from one_embedder.medi.mining import rules as mining
from one_embedder.medi.mining.candidates import CandidateTask
from one_embedder.medi.mining.miner import MINING_KEYS, Miner
from one_embedder.medi.mining.negatives import HardNegatives
from one_embedder.medi.row import MediRow
from one_embedder.medi.sources.assembly import is_built, publish, settings_of, work_folder, write_task_files
from one_embedder.medi.sources.build_key import build_key
from one_embedder.medi.sources.documentation.benchmark import documentation_benchmark
from one_embedder.medi.sources.documentation.extract import DocObject, extract
from one_embedder.medi.sources.documentation.packages import PACKAGES, STANDARD_LIBRARY
from one_embedder.medi.sources.documentation.training_tasks import training_tasks
from one_embedder.medi.sources.documentation.views import documentation_views
from one_embedder.medi.sources.report import Report, leakage_lines, table
from one_embedder.medi.sources.view_sets import TEXTS
from one_embedder.medi.store import write_medi

logger = logging.getLogger(__name__)


def build_documentation(cfg: Config, folder: Path) -> Path:
    """Build the training data and the benchmark; nothing is done when they are there already.

    Returns:
        ``folder``, with ``medi/``, ``benchmark/{dev,test}/`` (task folders), ``views/`` (view sets) and ``report.md``.

    Raises:
        ConfigError: if the folder holds data that were built with other settings.
        DataError: if a package is missing.
    """
    key = _key(cfg)
    settings = settings_of(cfg, *MINING_KEYS, "medi.rows_per_task", "medi.min_rows_per_task")
    if is_built(folder, key, settings):
        logger.info("MEDI-documentation is built already: %s", folder)
        return folder
    started = time.monotonic()
    work = work_folder(folder, key)
    logger.info("Building MEDI-documentation in %s: two to five minutes on two cores, under 1.5 GB of memory", folder)
    objects = extract(PACKAGES, cfg.medi.workers)
    logger.info("%d documented objects in %d packages (%.0f s)", len(objects), len(PACKAGES), _since(started))
    for part in ("benchmark", "views"):
        shutil.rmtree(work / part, ignore_errors=True)
    for side in ("dev", "test"):
        write_task_files(documentation_benchmark(objects, side), work / "benchmark" / side)
        views = {name: {TEXTS: rows} for name, rows in documentation_views(objects, side).items() if rows}
        write_task_files(views, work / "views")
    benchmark = leakage.BenchmarkTexts.read(work / "benchmark")
    tasks, lost = leakage.drop_overlapping(training_tasks(objects, cfg.medi.rows_per_task), benchmark)
    negatives = HardNegatives(cfg.medi.mining)
    rows = _mined_rows(tasks, cfg, Miner(cfg.encoder, work), negatives)
    environment = {"python": platform.python_version(), "versions": package_versions()}
    about = {"source": "documentation", "key": key, **environment, "mining": negatives.facts}
    sha256 = write_medi(rows, work / "medi", about)
    _report(objects, lost, benchmark_sizes(work / "benchmark"), package_licences()).write(work, sha256)
    done = {"key": key, "settings": settings, "sha256": sha256, "rows": len(rows)}
    publish(work, folder, done | {"seconds": round(_since(started), 1)})
    logger.info("%d rows, sha256 %s, %.0f s; report: %s", len(rows), sha256[:12], _since(started), folder / "report.md")
    return folder


def _since(started: float) -> float:
    """Seconds."""
    return time.monotonic() - started


def _key(cfg: Config) -> str:
    return build_key(
        "documentation",
        versions=package_versions(),
        python=platform.python_version(),
        encoder=miner.mining_settings(cfg.encoder),
        mining=asdict(cfg.medi.mining),
        rows_per_task=cfg.medi.rows_per_task,
        min_rows_per_task=cfg.medi.min_rows_per_task,
    )


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


def package_licences() -> dict[str, str]:
    """Import name -> licence of every installed package that is read, as its metadata state it."""
    distributions = packages_distributions()
    licences = {STANDARD_LIBRARY: "PSF-2.0"}
    for package in PACKAGES:
        if package.name in distributions:
            licences[package.name] = _stated_licence(distributions[package.name][0])
    return licences


def _stated_licence(distribution: str) -> str:
    """The expression, else the classifiers, else the first line of the free text."""
    said = metadata(distribution).json
    if expression := said.get("license_expression"):
        return str(expression)
    classifiers = [line.rpartition(" :: ")[2] for line in said.get("classifier", []) if line.startswith("License")]
    free = str(said.get("license") or "not stated").strip().partition("\n")[0]
    return ", ".join(classifiers) or free


def _mined_rows(tasks: Sequence[CandidateTask], cfg: Config, encoder: Miner, negatives: HardNegatives) -> list[MediRow]:
    embeddings = mining.embed_texts(tasks, encoder.encode)
    rows: list[MediRow] = []
    task_id = 0
    for task in tasks:
        mined = mining.mine(task, task_id, embeddings, cfg.medi.rows_per_task, negatives)
        if len(mined) >= cfg.medi.min_rows_per_task:
            rows += mined
            task_id += 1
    return rows


def benchmark_sizes(root: Path) -> dict[str, dict[str, int]]:
    """Task folder -> rows of each of its files."""
    sizes: dict[str, dict[str, int]] = {}
    for path in sorted(root.rglob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            sizes.setdefault(path.parent.relative_to(root).as_posix(), {})[path.name.split(".")[0]] = sum(
                1 for _ in lines
            )
    return sizes


def _report(
    objects: Sequence[DocObject],
    lost: Mapping[str, int],
    benchmark: Mapping[str, Mapping[str, int]],
    licences: Mapping[str, str],
) -> Report:
    """Sources by side, leakage, benchmark sizes, licences of the packages."""
    counts = Counter((obj.side, obj.domain, obj.package) for obj in objects)
    files = [(task, ", ".join(f"{name} {n}" for name, n in sizes.items())) for task, sizes in benchmark.items()]
    lines = [
        "## Sources",
        "",
        *table(["side", "domain", "package", "documented objects"], [(*of, n) for of, n in sorted(counts.items())]),
        *leakage_lines(lost),
        "## Benchmark",
        "",
        *table(["task folder", "rows of its files"], files),
    ]
    return Report("MEDI-documentation", licences, lines)
