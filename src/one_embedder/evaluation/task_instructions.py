"""Evaluation instructions: task -> (query instruction, document instruction), from ``conf/instructions/``."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from one_embedder.errors import ConfigError
from one_embedder.evaluation.benchmarks import spellings
from one_embedder.instructions.detail import at_detail

TWO_SIDED = frozenset({"Retrieval", "Reranking"})
"""Categories whose tasks have a query side and a document side; the others have one side, ``text``."""

_SIDES = frozenset({"query", "document", "text"})


def sides_of(category: str) -> tuple[str, ...]:
    """What the instructions of a category's tasks are for."""
    return ("query", "document") if category in TWO_SIDED else ("text",)


@dataclass(frozen=True)
class TaskInstructions:
    """What each side of a task is joined with; an empty string is no instruction.

    Attributes:
        query: instruction of queries; of every text of a one-sided task.
        document: instruction of documents.
    """

    query: str = ""
    document: str = ""


@dataclass(frozen=True)
class InstructionTable:
    """A named table of instructions.

    Attributes:
        name: of the table; results say which one they used.
        table: task name, or category -> side -> instruction. Empty: no instruction anywhere.
        document_instructions: False leaves the documents of *retrieval* tasks without instruction, as the released
            evaluation code did from December 2022 to January 2024 (xlang-ai/instructor-embedding, issue 111).
        given: which instructions a task gets, to see whether a model reads them: ``right``, its own; ``wrong``, those
            of the next task in the alphabet that has the same sides and says something else; ``shuffled``, its own
            with their words in another order.
        detail: how much of them is given, one of ``detail.DETAILS``.
    """

    name: str
    table: Mapping[str, Mapping[str, str]]
    document_instructions: bool = True
    given: str = "right"
    detail: str = "detailed"

    def __post_init__(self) -> None:
        for task, sides in self.table.items():
            unknown = sorted(set(sides) - _SIDES)
            if unknown or not sides:
                raise ConfigError(
                    f"instructions.table.{task} of table '{self.name}' has {unknown or 'no side'}; "
                    "write query and document for retrieval and reranking, text for the other categories"
                )

    def for_task(self, task: str, category: str) -> TaskInstructions:
        """The instructions of one task.

        They are looked up under the task's name as written and as MTEB spells it (see ``spellings``), then under the
        category alone, whose entry serves its tasks without one.

        Raises:
            ConfigError: if the table is not empty and does not name the task or one of its sides.
        """
        if not self.table:
            return TaskInstructions()
        entry = next((name for name in (*spellings(task, category), category) if name in self.table), None)
        if entry is None:
            raise ConfigError(
                f"instruction table '{self.name}' does not name {category} task {task}{self._meant(task)}; add it to "
                "conf/instructions (an empty text means no instruction)"
            )
        source = self._another(entry) if self.given == "wrong" else entry
        sides = self._at_detail(source)
        if self.given == "shuffled":
            sides = {side: _shuffled(text) for side, text in sides.items()}
        if category not in TWO_SIDED:
            text = self._side(task, sides, "text")
            return TaskInstructions(text, text)
        query, document = self._side(task, sides, "query"), self._side(task, sides, "document")
        bare = category == "Retrieval" and not self.document_instructions
        return TaskInstructions(query, "" if bare else document)

    def _meant(self, task: str) -> str:
        close = get_close_matches(task, self.table, n=1, cutoff=0.8)
        return f" (it names {close[0]}: a misspelling?)" if close else ""

    def _another(self, entry: str) -> str:
        """The entry whose instructions are wrong for this one's tasks."""
        own = self._at_detail(entry)
        names = sorted(self.table)
        place = names.index(entry)
        for name in [*names[place + 1 :], *names[:place]]:
            if self.table[name].keys() == own.keys() and self._at_detail(name) != own:
                return name
        raise ConfigError(
            f"evaluation.instructions=wrong: table '{self.name}' has no other instruction than {entry}'s with the "
            f"sides {sorted(own)}; use right or shuffled"
        )

    def _at_detail(self, entry: str) -> dict[str, str]:
        return {side: at_detail(text, self.detail, entry) for side, text in self.table[entry].items()}

    def _side(self, task: str, sides: Mapping[str, str], side: str) -> str:
        if side in sides:
            return sides[side]
        raise ConfigError(f"instruction table '{self.name}' has no '{side}' for task {task}; it has {sorted(sides)}")


def _shuffled(instruction: str) -> str:
    """The words in another order, the same one every time, and the white space at the end as it was."""
    words = instruction.split()
    if len(set(words)) < 2:
        return instruction
    order = random.Random(instruction)
    mixed = list(words)
    while mixed == words:
        order.shuffle(mixed)
    return " ".join(mixed) + instruction[len(instruction.rstrip()) :]
