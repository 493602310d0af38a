"""Prompt retrieval: similar demonstrations from a pool -> in-context learner -> ROUGE-L.

Demonstrations are chosen by the cosine similarity of their input to the test input; the most similar one comes last,
next to the test input (paper, appendix B.2; xlang-ai/instructor-embedding, evaluation/prompt_retrieval). The learner
is an interface. The paper's is a language model of 6 billion parameters; the one here copies, so that its score
measures the retrieval alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from one_embedder.errors import DataError
from one_embedder.evaluation.instructions import TaskInstructions
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.mteb_encoder import CachingEncoder
from one_embedder.evaluation.rows import JsonLines
from one_embedder.evaluation.task_folder import TaskFolder

LAYOUTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("input",), "output"),
    (("premise", "hypothesis"), "label_text"),
    (("sentence1", "sentence2"), "label_text"),
    (("title", "content"), "label_text"),
    (("text",), "label_text"),
    (("question",), "query"),
)
"""(input fields, output field) of the formats in use: ours first, then those of the paper's data sets."""


@dataclass(frozen=True)
class Demonstration:
    """An input with its right output, and how similar the input is to the test input (cosine)."""

    input: str
    output: str
    similarity: float


class InContextLearner(Protocol):
    """Answers an input after seeing demonstrations."""

    def generate(self, demonstrations: Sequence[Demonstration], input: str) -> str:
        """The output for ``input``; ``demonstrations`` are ordered from least to most similar."""


class NearestCopyLearner:
    """Repeats the output that the demonstrations vote for, each with its similarity; of one demonstration, its output.

    With all-MiniLM-L6-v2 on five of the paper's sets, eight demonstrations did better than one where outputs are class
    labels (DBpedia 89 to 76 points) and worse where they are sentences, which seldom agree (GeoQuery 86 to 91).
    """

    def generate(self, demonstrations: Sequence[Demonstration], input: str) -> str:
        """The output with the highest sum of similarities; of equal sums, the most similar demonstration's."""
        votes: dict[str, float] = {}
        for shown in reversed(demonstrations):
            votes[shown.output] = votes.get(shown.output, 0.0) + shown.similarity
        return max(votes, key=lambda output: votes[output])


def score_prompt_retrieval(
    folder: TaskFolder,
    encoder: CachingEncoder,
    instructions: TaskInstructions,
    *,
    top_k: int,
    learner: InContextLearner,
) -> ItemScores:
    """ROUGE-L (F measure) of the learner's output for each test input.

    Args:
        folder: with ``train``, the pool, and ``eval``, the test inputs.
        encoder: embeds the inputs of both under one instruction.
        instructions: of this task.
        top_k: demonstrations shown for each test input.
        learner: turns demonstrations and the test input into an output.

    Raises:
        DataError: if a file or field is unusable, or the pool holds nothing but the test input itself.
    """
    pool_inputs, pool_outputs = _inputs_and_outputs(JsonLines.read(folder.path, "train"))
    test = JsonLines.read(folder.path, "eval")
    inputs, outputs = _inputs_and_outputs(test)
    pool = encoder.encode(pool_inputs, instructions.query, task=folder.name)
    similarities = encoder.encode(inputs, instructions.query, task=folder.name) @ pool.T
    scorer = RougeScorer(["rougeL"])
    values = []
    for row, (text, expected) in enumerate(zip(inputs, outputs, strict=True)):
        chosen = most_similar(similarities[row], [other == text for other in pool_inputs], top_k)
        if not chosen:
            raise test.error(row, "the pool holds nothing but this very input; add rows to the train file")
        shown = [Demonstration(pool_inputs[i], pool_outputs[i], float(similarities[row, i])) for i in chosen]
        values.append(scorer.score(expected, learner.generate(shown, text))["rougeL"].fmeasure)
    return ItemScores("mean", {"value": np.array(values)})


def most_similar(similarities: np.ndarray, excluded: Sequence[bool], top_k: int) -> list[int]:
    """Pool indices of the ``top_k`` most similar inputs, the most similar last.

    Args:
        similarities: (P,) cosine similarities of the pool to the test input.
        excluded: (P,) True for inputs that must not be shown: the test input itself, whose output is the answer.
        top_k: at most so many; of equal similarities the earlier in the pool counts as more similar.
    """
    order = np.argsort(-similarities, kind="stable")
    return [int(i) for i in order if not excluded[i]][:top_k][::-1]


def _inputs_and_outputs(rows: JsonLines) -> tuple[list[str], list[str]]:
    """Inputs and outputs in the first of ``LAYOUTS`` that fits; several input fields become one text, a line each."""
    for fields, output in LAYOUTS:
        if {*fields, output} <= set(rows.rows[0]):
            columns = [rows.texts(field) for field in fields]
            return ["\n".join(parts) for parts in zip(*columns, strict=True)], rows.texts(output)
    known = [" + ".join(fields) + " -> " + output for fields, output in LAYOUTS]
    raise DataError(f"{rows.path}: fields {sorted(rows.rows[0])} fit none of the layouts {known}")
