"""View sets on disk: the same texts with several labelings, ``<root>/<set>/texts.jsonl`` or ``texts.jsonl.gz``.

A row is ``{text, labels: {labeling: class}, split: train or test}``. A text may lack some labelings. Which labelings
are used, and the instruction of each, is told in ``views.sets`` (see ``conf/views``).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config, ViewSetConfig
from one_embedder.errors import ConfigError, DataError
from one_embedder.files.json_lines import JsonLines, content_sha256
from one_embedder.files.text import shown
from one_embedder.instructions.template import Instruction

TEXTS = "texts"
SPLITS = ("train", "test")


@dataclass(frozen=True)
class ViewSet:
    """The texts of one split of a view set.

    Attributes:
        name: of the set.
        instructions: labeling -> the instruction for it; at least two.
        texts: N different ones.
        labels: labeling -> class of each text, None where it has none.
        sha256: of the files.
    """

    name: str
    instructions: Mapping[str, Instruction]
    texts: tuple[str, ...]
    labels: Mapping[str, tuple[str | None, ...]]
    sha256: str

    def drawn(self, limit: int | None, seed: int) -> ViewSet:
        """At most ``limit`` of its texts, in an order that depends on seed and texts alone; None: all of them."""

        def place(number: int) -> bytes:
            return hashlib.blake2b(f"{self.name}\0{seed}\0{self.texts[number]}".encode()).digest()

        order = sorted(range(len(self.texts)), key=place)[:limit]
        labels = {labeling: tuple(classes[i] for i in order) for labeling, classes in self.labels.items()}
        return ViewSet(self.name, self.instructions, tuple(self.texts[i] for i in order), labels, self.sha256)


def task_name(name: str, labeling: str) -> str:
    """What the training task of one labeling of a set is called."""
    return f"views_{name}_{labeling}"


def read_view_sets(cfg: Config, root: str | None, names: Sequence[str], split: str) -> list[ViewSet]:
    """One split of some sets, in this order.

    Args:
        cfg: its ``views.sets`` has the instructions.
        root: the folder of sets.
        names: of the sets.
        split: train or test.

    Raises:
        ConfigError: if there is no root, or a set has no instructions.
        DataError: if a set is not there, or its rows cannot be used.
    """
    if root is None:
        raise ConfigError("views.root is not given: the folder of view sets, such as views.root=DIR (docs/views.md)")
    for name in names:
        if name not in cfg.views.sets:
            raise ConfigError(f"views.sets has no instructions for {name!r}; it has {', '.join(cfg.views.sets)}")
    _require_there(Path(root), names)
    return [_read(Path(root) / name, cfg.views.sets[name], split) for name in names]


def view_files(root: Path, names: Sequence[str]) -> list[Path]:
    """The files of those of these sets that are there."""
    return sorted(path for name in names for path in (root / name).glob(f"{TEXTS}.jsonl*"))


def _require_there(root: Path, names: Sequence[str]) -> None:
    there = sorted(path.parent.name for path in root.glob(f"*/{TEXTS}.jsonl*"))
    if absent := [name for name in names if name not in there]:
        raise DataError(
            f"{root}: no view set {', '.join(absent)} ({TEXTS}.jsonl or {TEXTS}.jsonl.gz in a folder of that name); "
            f"the sets there are {', '.join(there) or 'none'}"
        )


def _read(folder: Path, settings: ViewSetConfig, split: str) -> ViewSet:
    rows = JsonLines.read(folder, TEXTS)
    texts = rows.texts("text")
    _refuse_repeated(rows, texts)
    splits = [_split(rows, row) for row in range(len(rows))]
    objects = [_labels(rows, row) for row in range(len(rows))]
    labels = {labeling: [classes.get(labeling) for classes in objects] for labeling in settings.objectives}
    for labeling, classes in labels.items():
        rows.refuse_second_spellings(f"labels.{labeling}", classes)
        _require_classes(rows, labeling, classes, sorted({name for of in objects for name in of}))
    own = [row for row, found in enumerate(splits) if found == split]
    if not own:
        raise DataError(f"{rows.path}: no row has the split {split!r}, which is needed here")
    return ViewSet(
        folder.name,
        _instructions(folder.name, settings),
        tuple(texts[row] for row in own),
        {labeling: tuple(classes[row] for row in own) for labeling, classes in labels.items()},
        content_sha256(folder),
    )


def _instructions(name: str, settings: ViewSetConfig) -> dict[str, Instruction]:
    try:
        return {
            labeling: Instruction(settings.text_type, settings.domain, objective)
            for labeling, objective in settings.objectives.items()
        }
    except ValueError as error:
        raise ConfigError(f"views.sets.{name}: {error}") from error


def _refuse_repeated(rows: JsonLines, texts: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        if (other := first.setdefault(text, row)) != row:
            raise rows.error(
                row, f"the text of row {other + rows.first_line} again; a text occurs once, in one split: remove a row"
            )


def _split(rows: JsonLines, row: int) -> str:
    split = rows.value(row, "split")
    if split not in SPLITS:
        raise rows.error(row, f"field 'split' must be train or test, got {shown(split)}")
    return str(split)


def _labels(rows: JsonLines, row: int) -> dict[str, str]:
    labels: Any = rows.value(row, "labels")
    if not isinstance(labels, dict):
        raise rows.error(row, f"field 'labels' must be an object of labeling and class, got {shown(labels)}")
    for labeling, found in labels.items():
        if not isinstance(found, str | int) or isinstance(found, bool) or not str(found).strip():
            raise rows.error(row, f"labels.{labeling} must name a class, got {shown(found)}; or leave it out")
    return {labeling: str(found) for labeling, found in labels.items()}


def _require_classes(rows: JsonLines, labeling: str, classes: Sequence[str | None], known: Sequence[str]) -> None:
    counts = Counter(found for found in classes if found is not None)
    if not counts:
        raise DataError(f"{rows.path}: no text has the labeling {labeling!r} of views.sets; the rows have {known}")
    if len(counts) == 1:
        raise DataError(f"{rows.path}: every text of the labeling {labeling!r} is {next(iter(counts))!r}; it needs two")
    if alone := sorted(name for name, count in counts.items() if count == 1):
        raise DataError(
            f"{rows.path}: one text only has the class {alone[0]!r:.60} of the labeling {labeling!r}; a class needs "
            "two, join it with another or leave that label out"
        )
