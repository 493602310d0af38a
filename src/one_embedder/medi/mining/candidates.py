"""What a source hands to the miner: texts with their instructions, before hard negatives are chosen.

Two shapes, as in the paper (section 2.3): text-output data, where each input has its own output, and classification
data, where texts carry labels. Text-output data can be paired in two ways: an input with its output, or an input with
another whose output is alike. Relations are classification with links instead of labels; triples are complete already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from one_embedder.instructions.template import Instruction


@dataclass(frozen=True)
class PairTask:
    """Inputs with their outputs.

    Attributes:
        name: unique task name.
        query, document: instructions of both sides.
        pairs: (input, output, group); rows of one group are never each other's negatives, and no output of an input is
            a negative of that input, in whatever row it stands.
    """

    name: str
    query: Instruction
    document: Instruction
    pairs: tuple[tuple[str, str, str], ...]

    def texts(self) -> list[str]:
        """Every text that the miner compares."""
        return [text for query, document, _ in self.pairs for text in (query, document)]


@dataclass(frozen=True)
class OutputTask:
    """Inputs whose outputs say which of them are alike; one instruction for both sides.

    Attributes:
        items: (input, output).
    """

    name: str
    instruction: Instruction
    items: tuple[tuple[str, str], ...]

    def texts(self) -> list[str]:
        """Every text that the miner compares."""
        return [text for item in self.items for text in item]


@dataclass(frozen=True)
class LabelTask:
    """Texts with labels; one instruction for both sides.

    Attributes:
        items: (text, label). A text may have several labels, each in an item of its own; texts with a label in common
            are never each other's negatives.
        crossing: text -> its classes in other labelings of the same texts, None where it has none; empty: there are
            none that matter. A positive then has none of them in common with its query, a negative at least one, where
            there are such, so that only the label that is asked for tells one from the other.
    """

    name: str
    instruction: Instruction
    items: tuple[tuple[str, str], ...]
    crossing: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    def texts(self) -> list[str]:
        """Every text that the miner compares."""
        return [text for text, _ in self.items]


@dataclass(frozen=True)
class RelationTask:
    """Texts with links between them; one instruction for both sides.

    Attributes:
        items: key -> text.
        links: key -> keys of the texts it is linked with, in either direction.
    """

    name: str
    instruction: Instruction
    items: Mapping[str, str]
    links: Mapping[str, frozenset[str]]

    def texts(self) -> list[str]:
        """Every text that the miner compares."""
        return list(self.items.values())


@dataclass(frozen=True)
class TripleTask:
    """Texts that come with a positive and a hard negative; one instruction for all sides.

    Attributes:
        triples: (query, positive, negative).
    """

    name: str
    instruction: Instruction
    triples: tuple[tuple[str, str, str], ...]

    def texts(self) -> list[str]:
        """The miner compares none."""
        return []


CandidateTask = PairTask | OutputTask | LabelTask | RelationTask | TripleTask
