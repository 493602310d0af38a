"""MEDI from the hub: the thirty data sets of ``conf/medi/full.yaml``, or some of them, to disk."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from one_embedder.config.schema import Config, HubDatasetConfig
from one_embedder.errors import ConfigError, DataError
from one_embedder.medi.mining import leakage, miner
from one_embedder.medi.row import MediRow
from one_embedder.medi.sources.assembly import (
    GB,
    is_built,
    publish,
    require_space,
    settings_of,
    work_folder,
    work_place,
)
from one_embedder.medi.sources.build_key import build_key
from one_embedder.medi.sources.hub.chosen_datasets import chosen
from one_embedder.medi.sources.hub.files import Listings
from one_embedder.medi.sources.hub.task import HubTask
from one_embedder.medi.sources.mixture import chosen_keys, mixture_tasks
from one_embedder.medi.sources.parts import Part, TaskBuilder, build_parts, finished
from one_embedder.medi.sources.report import Report, leakage_lines, table
from one_embedder.medi.sources.views import held_out_files
from one_embedder.medi.store import write_medi

logger = logging.getLogger(__name__)

_HEADS = ("task", "data set", "commit", "read", "drawn", "negatives", "in the paper's evaluation", "left out")


def build_full(cfg: Config, folder: Path) -> Path:
    """Build the training data, tasks that are given by themselves first; what an earlier try has finished is used.

    Args:
        cfg: ``medi.hub`` and ``medi.datasets`` say which data sets; ``encoder`` mines; what stands in ``medi.leakage``
            is left out, and so are the texts of view sets that are not trained on.
        folder: the result.

    Returns:
        ``folder``, with ``medi/`` and ``report.md``.

    Raises:
        ConfigError: a data set's entry makes no sense, two tasks have one name, or the folder holds data that were
            built with other settings.
        DataError: the disk is too small, or tasks cannot be built; finished ones are kept.
    """
    datasets = chosen(cfg.medi)
    # One folder of parts whatever is chosen, so that a changed choice finds them; each part has a key of its own.
    work = work_place(folder, "full")
    encoder, benchmark = miner.Miner(cfg.encoder, work), leakage.BenchmarkTexts.of(cfg.medi, held_out_files(cfg))
    hub = _hub_tasks(cfg, datasets, encoder, benchmark)
    tasks: list[TaskBuilder] = [*mixture_tasks(cfg, encoder, benchmark), *hub]
    _require_different([task.name for task in tasks])
    key = build_key("full", tasks=[task.key for task in tasks], min_rows_per_task=cfg.medi.min_rows_per_task)
    settings = settings_of(cfg, "seed", "medi.hub", "medi.datasets", *chosen_keys(cfg))
    if is_built(folder, key, settings):
        logger.info("MEDI is built already: %s", folder)
        return folder
    work_folder(folder, "full")
    started = time.monotonic()
    _estimate([task for task in hub if finished(task, work) is None], len(tasks) - len(hub))
    parts = _large_enough(build_parts(tasks, work), cfg.medi.min_rows_per_task)
    about = {
        "source": "full",
        "key": key,
        "seed": cfg.seed,
        "mining": asdict(cfg.medi.mining),
        "tasks": {part.name: dict(part.about) for part in parts},
    }
    sha256 = write_medi(_rows(parts), work / "medi", about)
    _report(parts, datasets, compared=benchmark is not None).write(work, sha256)
    seconds = round(time.monotonic() - started, 1)
    done = {"key": key, "settings": settings, "sha256": sha256, "rows": sum(p.rows for p in parts)}
    publish(work, folder, done | {"seconds": seconds})
    logger.info("%d tasks, sha256 %s, %.0f s; report: %s", len(parts), sha256[:12], seconds, folder / "report.md")
    return folder


def _hub_tasks(
    cfg: Config,
    datasets: Mapping[str, HubDatasetConfig],
    encoder: miner.Miner,
    benchmark: leakage.BenchmarkTexts | None,
) -> list[HubTask]:
    """The data sets as tasks; nothing is read yet."""
    settings, listings = miner.mining_settings(cfg.encoder), Listings()
    return [
        HubTask(
            name,
            dataset,
            min(dataset.cap, cfg.medi.rows_per_task),
            cfg.seed,
            settings,
            cfg.medi.mining,
            benchmark,
            listings,
            encoder,
        )
        for name, dataset in datasets.items()
    ]


def _require_different(names: Sequence[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ConfigError(
            f"two tasks are called {', '.join(twice)}: rename the data set in medi.hub or leave it out with "
            "medi.datasets=[...], or rename its file in medi.pairs"
        )


def _estimate(tasks: Sequence[HubTask], others: int) -> None:
    """Tell what will be fetched and mined, and refuse what the disk cannot hold.

    Raises:
        DataError: the downloads are larger than the free space.
    """
    sizes: dict[str, int] = {}
    unknown = 0
    for task in tasks:
        try:
            files = task.files()
        except DataError:
            unknown += 1  # why is told when its turn comes; the others are built
            continue
        sizes[files.place] = files.to_download()
        for name in filter(files.is_streamed, files.sizes):
            logger.info("%s: the first %d rows of %s are streamed, not kept", task.name, files.first_rows, name)
    mined = sum(task.cap for task in tasks if task.dataset.negatives == "mined")
    logger.info(
        "to build: %d tasks of another source and %d data sets of the hub, of these %.2f GB to download%s, "
        "at most %d rows, for %d of them hard negatives to mine",
        others,
        len(tasks),
        sum(sizes.values()) / GB,
        f" and {unknown} of unknown size" if unknown else "",
        sum(task.cap for task in tasks),
        mined,
    )
    if sizes:
        from huggingface_hub import constants

        remedy = "set HF_HUB_CACHE to a folder on a larger disk, or choose fewer with medi.datasets=[...]"
        require_space(Path(constants.HF_HUB_CACHE), sum(sizes.values()), "the downloads need", remedy)


def _large_enough(parts: Sequence[Part], smallest: int) -> list[Part]:
    for part in parts:
        if part.rows < smallest:
            logger.warning("%s is left out: %d rows, medi.min_rows_per_task=%d", part.name, part.rows, smallest)
    kept = [part for part in parts if part.rows >= smallest]
    if not kept:
        raise DataError(f"no task has medi.min_rows_per_task={smallest} rows")
    return kept


def _rows(parts: Sequence[Part]) -> Iterator[MediRow]:
    return chain.from_iterable(part.read(task_id) for task_id, part in enumerate(parts))


def _report(parts: Sequence[Part], datasets: Mapping[str, HubDatasetConfig], *, compared: bool) -> Report:
    """The report of these tasks, some of which may be of another source.

    Args:
        parts: the tasks.
        datasets: those that are from the hub.
        compared: whether texts of a benchmark were left out.
    """
    hub = [part for part in parts if part.name in datasets]
    doubts = [f"- {part.name}: {told}" for part in hub if (told := datasets[part.name].unverified)]
    lost = {part.name: lost for part in parts if (lost := part.about.get("overlapping"))}
    lines = [
        f"{len(hub)} tasks are from the hub, {len(parts) - len(hub)} from another source.",
        "",
        *leakage_lines(lost if compared else None),
        "## Data sets of the hub",
        "",
        *table(_HEADS, [_line(part, datasets[part.name]) for part in hub]),
        *(["## Not verified on the hub", "", *doubts, ""] if doubts else []),
    ]
    return Report("MEDI", {part.name: part.about.get("licence", "not stated") for part in parts}, lines)


def _line(part: Part, dataset: HubDatasetConfig) -> Sequence[object]:
    lost = ", ".join(f"{count} {why}" for why, count in part.about["lost"].items() if count)
    return (
        part.name,
        f"{dataset.repo}: {', '.join(part.about['files'])}",
        part.about["commit"][:12],
        part.about["read"],
        part.about["drawn"],
        dataset.negatives,
        "yes" if dataset.seen_in_evaluation else "no",
        lost or "-",
    )
