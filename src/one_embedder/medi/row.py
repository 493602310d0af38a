"""One MEDI row, its validation, and its released JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from one_embedder.errors import DataError
from one_embedder.files.text import fault, shown

SIDES = ("query", "positive", "negative")
RELEASED_KEYS = {"query": "query", "positive": "pos", "negative": "neg"}  # the spelling of medi-data.json
MOST_NEGATIVES = 1000
"""Of one row. All of a batch's are embedded at once, however few are used."""
INSTRUCTION_KEYS = {key: f"{key}_instruct" for key in RELEASED_KEYS.values()}  # a table's: instructions in own columns
LABEL_KEYS = {"label": "label", "negative_label": "neg_label"}  # ours, in the same spelling
NO_SPELLING: Mapping[str, str] = MappingProxyType({})
_PAIRS = "; a file of plain texts, with or without negatives, is read by profile=own (docs/finetune.md)"


@dataclass(frozen=True)
class MediRow:
    """A query, what should be near it, and what should not; each side is (instruction, text).

    Attributes:
        task_id: rows of one task share it; a batch never mixes two.
        task_name: the task, readable.
        query: the anchor. The instruction may be empty, the text may not.
        positive: what is similar to the query for this task.
        negative: a hard negative, mined for this row.
        further_negatives: more of them; none in the released data.
        label: the class of query and positive, where the task has classes; rows of one class are no negatives of each
            other. None in the released data.
        negative_label: the class of ``negative``.
        further_negative_labels: the classes of ``further_negatives``, one each; none at all where they are unknown.
    """

    task_id: int
    task_name: str
    query: tuple[str, str]
    positive: tuple[str, str]
    negative: tuple[str, str]
    further_negatives: tuple[tuple[str, str], ...] = ()
    label: str | None = None
    negative_label: str | None = None
    further_negative_labels: tuple[str, ...] = ()

    @property
    def negatives(self) -> tuple[tuple[str, str], ...]:
        """All hard negatives, at least one."""
        return (self.negative, *self.further_negatives)

    @property
    def negative_labels(self) -> tuple[str | None, ...]:
        """The class of each of ``negatives``; None where it is unknown."""
        further = self.further_negative_labels or (None,) * len(self.further_negatives)
        return (self.negative_label, *further)


def validate_row(row: MediRow, where: str, *, spelling: Mapping[str, str] = NO_SPELLING) -> MediRow:
    """Return the row if it can be trained on.

    Args:
        row: the row.
        where: file and row, for the message ("medi-data.json row 17").
        spelling: what the file calls our fields, for the message; a field that is not there has our name.

    Raises:
        DataError: a side is not a pair of strings, a text is empty, the task is not an integer and a name, a label is
            no string, or there are not as many classes as hard negatives.
    """
    if type(row.task_id) is not int or not 0 <= row.task_id < 2**63:
        raise DataError(f"{where}, field task_id: expected an integer from 0 to 2**63 - 1, got {shown(row.task_id)}")
    if fault(row.task_name) is not None or not row.task_name:
        raise DataError(f"{where}, field task_name: expected a name, got {shown(row.task_name)}")
    for side in SIDES:
        _validate_side(getattr(row, side), f"{where}, field {spelling.get(side, side)}")
    for number, pair in enumerate(row.further_negatives, start=2):
        _validate_side(pair, f"{where}, field {spelling.get('negative', 'negative')} {number}")
    for name in LABEL_KEYS:
        label = getattr(row, name)
        if label is not None and (wrong := fault(label)) is not None:
            raise DataError(f"{where}, field {spelling.get(name, name)} {wrong}; give a name or nothing")
    _validate_further_labels(row, f"{where}, field {spelling.get('negative_label', 'negative_label')}")
    return row


def from_released(record: object, where: str) -> MediRow:
    """Read one item of the released file, ``{"query": [i, t], "pos": [i, t], "neg": [i, t], "task_id": n}``.

    ``task_name`` may be given as well; without it the task is called ``task_<n>``. ``neg`` may also be a list of such
    pairs, for a row with several hard negatives, and ``pos`` a list of one, as GritLM's copy of MEDI has it; ``label``
    and ``neg_label`` may name the classes, the latter as a list where there are several hard negatives. Texts may stand
    alone if ``query_instruct``, ``pos_instruct`` and ``neg_instruct`` have the instructions, as in avsolatorio's copy.

    Raises:
        DataError: a key is missing or a value cannot be used.
    """
    if not isinstance(record, Mapping):
        raise DataError(f"{where}: expected an object with query, pos, neg and task_id, got {type(record).__name__}")
    missing = [key for key in (*RELEASED_KEYS.values(), "task_id") if key not in record]
    if missing:
        raise DataError(f"{where}: the key {missing[0]!r} is missing; it has {sorted(map(str, record))}{_PAIRS}")
    if record.keys() >= set(INSTRUCTION_KEYS.values()):
        instructions = {key: "" if record[own] is None else record[own] for key, own in INSTRUCTION_KEYS.items()}
        record = {**record, **{key: [instruction, record[key]] for key, instruction in instructions.items()}}
    negative, *further = _negatives(record["neg"], f"{where}, field neg")
    task_id, label = record["task_id"], record.get(LABEL_KEYS["label"])
    negative_label, *further_labels = _labels(record.get(LABEL_KEYS["negative_label"]))
    row = MediRow(
        task_id=task_id,
        task_name=record.get("task_name", f"task_{task_id}"),
        query=_pair(record["query"], f"{where}, field query"),
        positive=_positive(record["pos"], f"{where}, field pos"),
        negative=negative,
        further_negatives=tuple(further),
        label=label,
        negative_label=negative_label,
        further_negative_labels=tuple(further_labels),
    )
    return validate_row(row, where, spelling=RELEASED_KEYS | LABEL_KEYS)


def to_released(row: MediRow) -> dict[str, Any]:
    """The row as the released file spells it, with ``task_name`` and labels added; several negatives as a list."""
    pairs: dict[str, Any] = {key: list(getattr(row, side)) for side, key in RELEASED_KEYS.items()}
    if row.further_negatives:
        pairs["neg"] = [list(pair) for pair in row.negatives]
    labels: dict[str, Any] = {
        key: getattr(row, name) for name, key in LABEL_KEYS.items() if getattr(row, name) is not None
    }
    if row.further_negative_labels:
        labels[LABEL_KEYS["negative_label"]] = list(row.negative_labels)
    return {**pairs, "task_id": row.task_id, "task_name": row.task_name, **labels}


def _positive(value: object, where: str) -> tuple[str, str]:
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return _pair(value[0], where)
    return _pair(value, where)


def _negatives(value: object, where: str) -> list[tuple[str, str]]:
    """One pair, or a list of pairs; what is neither is refused as no pair."""
    if isinstance(value, (list, tuple)) and len(value) > MOST_NEGATIVES:
        raise DataError(f"{where}: {len(value)} hard negatives, more than {MOST_NEGATIVES:,}; keep the hardest")
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, (list, tuple)) for item in value):
        return [_pair(item, f"{where} {number}") for number, item in enumerate(value, start=1)]
    return [_pair(value, where)]


def _labels(value: Any) -> list[Any]:
    """The class of each hard negative: a list of them, or the first one's alone."""
    return value if isinstance(value, list) and value else [value]


def _validate_further_labels(row: MediRow, where: str) -> None:
    labels, negatives = row.further_negative_labels, row.further_negatives
    if labels and (row.negative_label is None or not all(isinstance(label, str) for label in labels)):
        raise DataError(f"{where}: expected a string for each hard negative, got {shown(row.negative_labels)}")
    if labels and len(labels) != len(negatives):
        raise DataError(f"{where}: {1 + len(labels)} classes for {1 + len(negatives)} hard negatives")


def _pair(value: object, where: str) -> tuple[str, str]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise DataError(f"{where}: expected [instruction, text], got {shown(value)}{_PAIRS}")
    return (value[0], value[1])


def _validate_side(value: object, where: str) -> None:
    instruction, text = _pair(value, where)
    for name, part in (("instruction", instruction), ("text", text)):
        if (wrong := fault(part)) is not None:
            raise DataError(f"{where}: the {name} {wrong}")
    if not text.strip():
        raise DataError(f"{where}: the text is empty; leave this row out or give it a text")
