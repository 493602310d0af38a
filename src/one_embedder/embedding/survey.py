"""Reading a source of texts to its end, before and after: whether its texts are what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from one_embedder.embedding.records import Record, RecordFile
from one_embedder.embedding.store import StoreState
from one_embedder.errors import DataError


class TextsHash:
    """Hash of texts and instructions in their order."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, record: Record) -> None:
        """The next text."""
        instruction, text = record.instruction.encode(), record.text.encode()
        self._sha256.update(b"%d %d " % (len(instruction), len(text)) + instruction + text)

    def value(self) -> str:
        """Of the texts so far."""
        return self._sha256.hexdigest()


class Survey(NamedTuple):
    """What a first reading of the source found: how many texts, and the hash of them all."""

    rows: int
    texts_sha256: str


def survey(source: RecordFile, state: StoreState, made: Path, *, complete: bool = False) -> Survey:
    """Read all texts once, and check them.

    Raises:
        DataError: if one cannot be used, or ``made`` was not made of the first of them (of all, if complete).
    """
    records = iter(source)
    seen = TextsHash()
    for record in islice(records, state.rows):
        seen.add(record)
    known = seen.value()
    more = 0
    for record in records:
        seen.add(record)
        more += 1
    if state.rows and known != state.texts_sha256:
        raise DataError(
            f"the first {state.rows:,} texts of {source.path} are not those that {made} was made of; "
            "restore them, choose another output or add --restart"
        )
    if complete and more:
        raise DataError(
            f"{made} holds {state.rows:,} rows and {source.path} {more:,} texts more; encode those to another output "
            "or add --restart"
        )
    return Survey(state.rows + more, seen.value())


def unchanged(source: RecordFile, found: Survey) -> Iterator[Record]:
    """Every text once more.

    Raises:
        DataError: at the end, if they are not those of the survey.
    """
    seen, rows = TextsHash(), 0
    for record in source:
        seen.add(record)
        rows += 1
        yield record
    if Survey(rows, seen.value()) != found:
        raise DataError(
            f"{source.path} was changed while it was read: {found.rows:,} texts at first, then {rows:,}, or others; "
            "run the same command again"
        )
