"""One row as the hub has it -> a query, its positive and, if the data give one, a hard negative.

Formats:

- ``embedding_training_data``: the five shapes that the card of sentence-transformers/embedding-training-data tells,
  seen row by row: ``[a, b]``, ``[query, positive, negative]``, ``{"set": [...]}``, ``{"query", "pos": [...]}`` and the
  same with ``"neg": [...]``;
- ``columns``: a table; the configuration names its columns, whose values are texts or lists of texts;
- ``kilt``: KILT's tasks, ``{"input", "output": [{"answer", "provenance": [{"title"}]}]}``;
- ``medmcqa``: ``{"question", "opa", "opb", "opc", "opd", "cop"}``, ``cop`` being the right option's number from 0.

Of several positives or negatives the first is taken, of a set the first two different texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from one_embedder.config.schema import HubDatasetConfig
from one_embedder.errors import DataError
from one_embedder.files.text import fault, shown

MAX_CHARACTERS = 4000
"""Of a text; 512 tokens, the most that the published models read, are hardly ever more. Ours, not the paper's."""
OPTIONS = ("opa", "opb", "opc", "opd")


@dataclass(frozen=True)
class Example:
    """Clean texts: white space is single spaces, at most ``MAX_CHARACTERS``. An empty one was empty in the data."""

    query: str
    positive: str
    negative: str = ""

    def texts(self) -> list[str]:
        """Those that are there."""
        return [text for text in (self.query, self.positive, self.negative) if text]

    @property
    def is_pair(self) -> bool:
        """Whether it says anything: two texts, and not the same one twice."""
        return bool(self.query and self.positive) and self.query != self.positive

    @property
    def has_negative(self) -> bool:
        """Whether the data give a negative that is neither the query nor its positive."""
        return bool(self.negative) and self.negative not in (self.query, self.positive)


def read_example(record: object, dataset: HubDatasetConfig, where: str) -> Example:
    """The row's texts.

    Args:
        record: what the file has, decoded.
        dataset: its ``format`` and ``columns``.
        where: data set, file and row, for the message.

    Raises:
        DataError: the row is not of this format; it names the column.
    """
    return _READERS[dataset.format](record, dataset, where)


def clean(text: str) -> str:
    """On one line and not too long."""
    return " ".join(text[: 2 * MAX_CHARACTERS].split())[:MAX_CHARACTERS]


def _embedding_training_data(record: object, dataset: HubDatasetConfig, where: str) -> Example:
    if isinstance(record, list) and len(record) in (2, 3):
        return Example(*(_text(text, where, f"item {number}") for number, text in enumerate(record)))
    if isinstance(record, Mapping) and "set" in record:
        texts = list(dict.fromkeys(_texts(record["set"], where, "set")))
        return Example(*[*texts, "", ""][:2])
    if isinstance(record, Mapping) and "query" in record and "pos" in record:
        return _by_columns(record, {"query": "query", "positive": "pos", "negative": "neg"}, where)
    shapes = "[text, text], [query, positive, negative], {'set'} nor {'query', 'pos'}"
    raise DataError(f"{where}: neither {shapes}: {shown(record)}")


def _columns(record: object, dataset: HubDatasetConfig, where: str) -> Example:
    table = _mapping(record, where)
    for column in dataset.columns.values():
        _column(table, column, where)
    return _by_columns(table, dataset.columns, where)


def _kilt(record: object, dataset: HubDatasetConfig, where: str) -> Example:
    table = _mapping(record, where)
    query = _text(_column(table, "input", where), where, "input")
    outputs = _column(table, "output", where)
    if not isinstance(outputs, list):
        raise DataError(f"{where}, column output: expected a list, got {shown(outputs)}")
    wanted = dataset.columns.get("positive", "answer")
    return Example(query, next((text for output in outputs if (text := _kilt_text(output, wanted, where))), ""))


def _kilt_text(output: object, wanted: str, where: str) -> str:
    """The answer, or with ``title`` the first Wikipedia page that supports it; KILT has no text of the page."""
    table = _mapping(output, f"{where}, column output")
    if wanted == "answer":
        return _text(table.get("answer"), where, "output.answer")
    pages = table.get("provenance") or []
    return next((text for page in pages if (text := _text(page.get("title"), where, "output.provenance.title"))), "")


def _medmcqa(record: object, dataset: HubDatasetConfig, where: str) -> Example:
    table = _mapping(record, where)
    right = _column(table, "cop", where)
    if type(right) is not int or not 0 <= right < len(OPTIONS):
        raise DataError(f"{where}, column cop: expected 0 to {len(OPTIONS) - 1}, got {shown(right)}")
    options = [_text(_column(table, name, where), where, name) for name in OPTIONS]
    query = _text(_column(table, "question", where), where, "question")
    return Example(query, options[right], options[(right + 1) % len(OPTIONS)])


_READERS: dict[str, Callable[[object, HubDatasetConfig, str], Example]] = {
    "embedding_training_data": _embedding_training_data,
    "columns": _columns,
    "kilt": _kilt,
    "medmcqa": _medmcqa,
}
FORMATS = tuple(_READERS)


def _by_columns(table: Mapping[str, Any], columns: Mapping[str, str], where: str) -> Example:
    sides = {side: _texts(table[column], where, column) for side, column in columns.items() if column in table}
    return Example(**{side: next((text for text in texts if text), "") for side, texts in sides.items()})


def _mapping(record: object, where: str) -> Mapping[str, Any]:
    if not isinstance(record, Mapping):
        raise DataError(f"{where}: expected columns, got {shown(record)}")
    return record


def _column(table: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in table:
        raise DataError(f"{where}, column {name}: missing; the row has {', '.join(sorted(table))}")
    return table[name]


def _texts(value: object, where: str, column: str) -> list[str]:
    return [_text(text, where, column) for text in (value if isinstance(value, list) else [value])]


def _text(value: object, where: str, column: str) -> str:
    if value is None:
        return ""
    if (wrong := fault(value)) is not None:
        raise DataError(f"{where}, column {column} {wrong}")
    return clean(str(value))
