"""Which data sets of ``medi.hub`` are built, after every entry's values are found to make sense."""

from __future__ import annotations

import re
from collections.abc import Iterator

from omegaconf import MISSING

from one_embedder.config.messages import nearest
from one_embedder.config.schema import HubDatasetConfig, MediConfig
from one_embedder.errors import ConfigError
from one_embedder.instructions.template import Instruction
from one_embedder.medi.sources.hub.files import SUFFIXES
from one_embedder.medi.sources.hub.formats import FORMATS

CHOICES = {"format": FORMATS, "negatives": ("given", "mined"), "words": ("ours", "medi")}
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_WITHOUT_NEGATIVE = ("kilt",)
_COLUMNS = {
    "columns": ({"query", "positive"}, {"query", "positive", "negative"}),
    "kilt": (set(), {"positive"}),
    "medmcqa": (set(), set()),
    "embedding_training_data": (set(), set()),
}


def chosen(medi: MediConfig) -> dict[str, HubDatasetConfig]:
    """Task name -> data set, in the order of the configuration.

    Raises:
        ConfigError: naming every key of a data set that cannot be, or a name in ``medi.datasets`` that is unknown.
    """
    if not medi.hub:
        raise ConfigError("medi.hub lists no data set; choose medi=full, or list some as conf/medi/full.yaml does")
    troubles = [f"medi.hub.{name}.{what}" for name, dataset in medi.hub.items() for what in _troubles(name, dataset)]
    wanted = list(medi.hub) if medi.datasets is None else medi.datasets
    troubles += [
        f"medi.datasets: {name!r} must be {nearest(name, tuple(medi.hub))}" for name in wanted if name not in medi.hub
    ]
    if troubles:
        raise ConfigError("\n".join(troubles))
    return {name: dataset for name, dataset in medi.hub.items() if name in wanted}


def instructions(dataset: HubDatasetConfig) -> tuple[Instruction, Instruction]:
    """Of queries and of documents. Those of MEDI's own rows come out with the template's one ending."""
    query = Instruction.parse(dataset.query)
    return query, query if dataset.document is None else Instruction.parse(dataset.document)


def _troubles(name: str, dataset: HubDatasetConfig) -> Iterator[str]:
    missing = [key for key, value in vars(dataset).items() if value == MISSING]
    if missing:
        yield f"{missing[0]} is missing"
        return
    if not _NAME.fullmatch(name):
        yield "repo: the task's name may have letters, digits, _ and - only"
    if dataset.repo.count("/") != 1:
        yield f"repo={dataset.repo!r} must be owner/name"
    for key, choices in CHOICES.items():
        if (value := getattr(dataset, key)) not in choices:
            yield f"{key}={value!r} must be {nearest(value, choices)}"
    for pattern in dataset.files:
        if not pattern.endswith(SUFFIXES):
            yield f"files: {pattern!r} must end in {', '.join(SUFFIXES)}"
    if not dataset.files:
        yield "files is empty"
    for key in ("cap", "first_rows"):
        if (value := getattr(dataset, key)) is not None and value < 1:
            yield f"{key}={value} must be at least 1"
    yield from _inconsistencies(dataset)


def _inconsistencies(dataset: HubDatasetConfig) -> Iterator[str]:
    needed, allowed = _COLUMNS.get(dataset.format, (set(), set(dataset.columns)))
    if not needed <= set(dataset.columns) <= allowed:
        yield f"columns={dataset.columns} must name {sorted(needed)} of {sorted(allowed)} for format {dataset.format}"
    if dataset.format == "kilt" and dataset.columns.get("positive", "answer") not in ("answer", "title"):
        yield f"columns.positive={dataset.columns['positive']!r} must be answer or title for format kilt"
    if dataset.negatives == "given" and (
        dataset.format in _WITHOUT_NEGATIVE or (dataset.format == "columns" and "negative" not in dataset.columns)
    ):
        yield "negatives=given, but the rows have none; write mined, or name their column"
    if not dataset.symmetric and dataset.document is None:
        yield "document is missing, and the task is not symmetric"
    if dataset.symmetric and dataset.document is not None and dataset.words == "ours":
        yield "document: a symmetric task has one instruction; leave it out"
    for key in ("query", "document"):
        try:
            Instruction.parse(getattr(dataset, key) or "Represent the text:")
        except ValueError as error:
            yield f"{key}: {error}"
