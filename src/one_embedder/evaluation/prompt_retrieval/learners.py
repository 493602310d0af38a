"""What an in-context learner is, and the two that need no language model: they copy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from one_embedder.config.schema import PromptTaskConfig


@dataclass(frozen=True)
class Demonstration:
    """An input with its right output, and how similar the input is to the test input (cosine)."""

    input: str
    output: str
    similarity: float


@dataclass(frozen=True)
class Question:
    """What a learner is asked.

    Attributes:
        demonstrations: from least to most similar: the most similar one stands next to the test input.
        input: the test input.
        options: the answers to choose from; None: the answer is written freely.
    """

    demonstrations: tuple[Demonstration, ...]
    input: str
    options: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Answers:
    """One output a question, and what happened on the way, for the result file."""

    outputs: list[str]
    facts: Mapping[str, Any] = field(default_factory=dict)


class InContextLearner(ABC):
    """Answers inputs after seeing demonstrations.

    Attributes:
        name: every result says it.
        unit: what ``count`` counts.
        made_from: the class and its arguments, where the configuration names a class.
    """

    name: str
    unit: str = "words"
    made_from: Mapping[str, Any] = MappingProxyType({})

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything of the learner that its answers depend on."""
        return {"name": self.name, **self.made_from}

    def count(self, texts: Sequence[str]) -> list[int]:
        """Length of each text, in the unit of token budgets; here words, separated by white space."""
        return [len(text.split()) for text in texts]

    @abstractmethod
    def answer(self, questions: Sequence[Question], settings: PromptTaskConfig) -> Answers:
        """One output for each question, in order."""


class NearestLearner(InContextLearner):
    """Copies the output of the most similar demonstration; without any demonstration it says nothing.

    No language model is asked, so that its score measures the retrieval alone; it is not comparable with the paper's.
    Budgets are counted in words: there is no tokenizer.
    """

    name = "nearest"

    def answer(self, questions: Sequence[Question], settings: PromptTaskConfig) -> Answers:
        """One copied output for each question."""
        return Answers([self._choose(question.demonstrations) for question in questions])

    def _choose(self, demonstrations: Sequence[Demonstration]) -> str:
        return demonstrations[-1].output if demonstrations else ""


class VoteLearner(NearestLearner):
    """Copies the output that the demonstrations vote for, each with its similarity."""

    name = "vote"

    def _choose(self, demonstrations: Sequence[Demonstration]) -> str:
        """The output with the highest sum of similarities; of equal sums, the most similar demonstration's."""
        votes: dict[str, float] = {}
        for shown in reversed(demonstrations):
            votes[shown.output] = votes.get(shown.output, 0.0) + shown.similarity
        return max(votes, key=lambda output: votes[output], default="")
