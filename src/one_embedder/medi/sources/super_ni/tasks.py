"""Tasks of Super-NaturalInstructions: read from disk, in either of two layouts, and as the miner takes them.

``checkout``: the original repository (allenai/natural-instructions), ``tasks/task*.json`` and
``splits/default/train_tasks.txt``. ``compact``: ``tasks.jsonl.gz`` with one line a task, and each task's instances in
``<subset>/<task>.jsonl.gz``, one line each. Tasks of the official test split are read in neither.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.files.json_lines import JsonLines, decoded
from one_embedder.files.text import fault
from one_embedder.instructions.template import Instruction
from one_embedder.medi.mining.candidates import LabelTask, OutputTask, PairTask

TRAIN_LIST = "splits/default/train_tasks.txt"
COMPACT_TABLE = "tasks"
HELD_OUT = "heldout"
NOT_STATED = "not stated"
MAX_LABELS = 20
TEXTS_PER_LABEL = 5
"""A task is classification if it has at most so many distinct outputs, each of so many inputs on average. The paper
does not say how it told the two kinds apart."""


@dataclass(frozen=True)
class SuperNiTask:
    """One task.

    Attributes:
        name: as the file is called, without its suffix.
        category: the first of its ``Categories``.
        domain: the first of its ``Domains``, such as "Reviews -> Movies"; "" if there is none.
        licence: its ``Instance License``, as the source spells it.
        instances: (input, first of the accepted outputs), neither blank.
    """

    name: str
    category: str
    domain: str
    instances: tuple[tuple[str, str], ...]
    licence: str = NOT_STATED


def read_tasks(root: Path, limit: int) -> Iterator[SuperNiTask]:
    """The English training tasks below ``root``, in order of their names.

    Args:
        root: a checkout or a compact copy.
        limit: instances of a task; of more, those with the smallest hashes are taken, the same in every build.

    Raises:
        DataError: if ``root`` is neither, or a file lacks a field.
    """
    if (root / TRAIN_LIST).is_file():
        return _read_checkout(root, limit)
    if any(root.glob(f"{COMPACT_TABLE}.jsonl*")):
        return _read_compact(root, limit)
    raise DataError(
        f"{root} is not Super-NaturalInstructions: neither {TRAIN_LIST} (a checkout of allenai/natural-instructions) "
        f"nor {COMPACT_TABLE}.jsonl.gz (a compact copy) is in it; set medi.root to the folder that holds one"
    )


def is_classification(task: SuperNiTask) -> bool:
    """Whether the outputs are labels rather than texts of their own."""
    labels = len({output for _, output in task.instances})
    return labels <= MAX_LABELS and labels * TEXTS_PER_LABEL <= len(task.instances)


def candidate_task(task: SuperNiTask, instruction: Instruction, text_output: str) -> LabelTask | OutputTask | PairTask:
    """The task as the miner takes it.

    Args:
        task: the task.
        instruction: of its inputs.
        text_output: for tasks that are not classification: ``inputs`` pairs inputs of like outputs, the paper's rule;
            ``outputs`` pairs each input with its own output.
    """
    if is_classification(task):
        frequent = Counter(output for _, output in task.instances)
        items = tuple(item for item in task.instances if frequent[item[1]] > 1)  # one alone has no positive
        return LabelTask(task.name, instruction, items)
    if text_output == "inputs":
        return OutputTask(task.name, instruction, task.instances)
    document = Instruction("output", instruction.domain, instruction.objective)
    return PairTask(task.name, instruction, document, tuple((x, y, x) for x, y in task.instances))


def _read_checkout(root: Path, limit: int) -> Iterator[SuperNiTask]:
    for name in sorted((root / TRAIN_LIST).read_text(encoding="utf-8").split()):
        path = root / "tasks" / f"{name}.json"
        try:
            content = decoded(path.read_bytes())
        except FileNotFoundError:
            raise DataError(
                f"{path}: the file is missing, and {TRAIN_LIST} names it; check out the whole repository"
            ) from None
        except ValueError as error:
            raise DataError(f"{path}: not JSON ({error}); check the file out again") from error
        if _is_english(content, path):
            yield _task(name, content, _field(content, "Instances", path), limit, path)


def _read_compact(root: Path, limit: int) -> Iterator[SuperNiTask]:
    table = JsonLines.read(root, COMPACT_TABLE)
    described = zip(table.texts("task"), table.texts("subset"), table.rows, strict=True)
    for name, subset, content in sorted(described, key=lambda row: row[0]):
        if subset != HELD_OUT:
            instances = JsonLines.read(root / subset, name)
            yield _task(name, content, instances.rows, limit, instances.path)


def _is_english(content: Mapping[str, Any], path: Path) -> bool:
    return all(_field(content, key, path) == ["English"] for key in ("Input_language", "Output_language"))


def _task(
    name: str, content: Mapping[str, Any], instances: Sequence[Mapping[str, Any]], limit: int, path: Path
) -> SuperNiTask:
    pairs = dict.fromkeys(_pair(instance, f"{path}, instance {i}") for i, instance in enumerate(instances, start=1))
    usable = [pair for pair in pairs if pair[0] and pair[1]]
    domains = content.get("Domains") or [""]
    licence = ", ".join(map(str, content.get("Instance License") or [NOT_STATED]))
    category = str(_field(content, "Categories", path)[0])
    return SuperNiTask(name, category, str(domains[0]), _drawn(name, usable, limit), licence)


def _pair(instance: Mapping[str, Any], where: str) -> tuple[str, str]:
    """Input and first output, stripped; a blank one is left to the caller."""
    text: Any = instance.get("input")
    outputs: Any = instance.get("output")
    first = outputs[0] if isinstance(outputs, list) and outputs else outputs
    for name, value in (("input", text), ("output", first)):
        if (wrong := fault(value)) is not None:
            raise DataError(f"{where}: field {name} {wrong}; correct the file or check it out again")
    return text.strip(), first.strip()


def _drawn(name: str, pairs: Sequence[tuple[str, str]], limit: int) -> tuple[tuple[str, str], ...]:
    def place(number: int) -> bytes:
        return hashlib.blake2b("\0".join((name, *pairs[number])).encode()).digest()

    if len(pairs) <= limit:
        return tuple(pairs)
    return tuple(pairs[number] for number in sorted(sorted(range(len(pairs)), key=place)[:limit]))


def _field(content: Mapping[str, Any], key: str, path: Path) -> Any:
    value = content.get(key)
    if not value:
        raise DataError(f"{path}: the field {key} is missing or empty; check the file out again")
    return value
