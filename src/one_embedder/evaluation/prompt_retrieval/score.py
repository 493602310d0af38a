"""Prompt retrieval: similar demonstrations from a pool -> in-context learner -> ROUGE-L.

Demonstrations are chosen by the cosine similarity of their input to the test input; the most similar one comes last,
next to the test input (paper, appendix B.2; xlang-ai/instructor-embedding, evaluation/prompt_retrieval). The learner
is an interface. The paper's is a language model of 6 billion parameters; the default copies, so that its score measures
the retrieval alone. Every result says which learner it is of.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from statistics import fmean

import numpy as np

from one_embedder.config.schema import PromptTaskConfig
from one_embedder.errors import DataError
from one_embedder.evaluation.encoder import CachingEncoder
from one_embedder.evaluation.items import ItemScores, item_ids
from one_embedder.evaluation.prompt_retrieval.demonstrations import (
    Array,
    Selection,
    at_random,
    select,
    similarities,
)
from one_embedder.evaluation.prompt_retrieval.examples import Example, Examples, read_examples
from one_embedder.evaluation.prompt_retrieval.learners import Demonstration, InContextLearner, Question
from one_embedder.evaluation.prompt_retrieval.protocol import PromptProtocol
from one_embedder.evaluation.prompt_retrieval.rouge import loses_letters, rouge_l
from one_embedder.evaluation.results import OwnScore
from one_embedder.evaluation.task_instructions import TaskInstructions
from one_embedder.evaluation.tasks.folder import TaskFolder

log = logging.getLogger(__name__)


def score_prompt_retrieval(
    folder: TaskFolder, encoder: CachingEncoder, instructions: TaskInstructions, protocol: PromptProtocol
) -> OwnScore:
    """ROUGE-L (F measure) of the learner's output for each test input whose right answer has a word.

    Args:
        folder: with ``train``, the pool, and ``eval``, the test inputs; or with ``all``, which is divided into both.
        encoder: embeds the inputs of both under one instruction.
        instructions: of this task.
        protocol: the task's settings and the learner.

    Raises:
        DataError: if a file or field is unusable, the pool holds nothing but the test input itself, or the metric
            finds no word in any right answer.
    """
    settings, learner = protocol.settings(folder.name), protocol.learner
    examples = read_examples(folder, settings)
    if protocol.selection == "random":
        similar = at_random(len(examples.test), len(examples.pool), settings.seed)
    else:
        similar = _similarities(folder.name, encoder, instructions, examples, settings.centring)
    selections = _select(similar, examples, settings, learner)
    for example, selection, row in zip(examples.test, selections, examples.test_index, strict=True):
        if not selection.candidates:
            problem = f"the pool holds nothing but this very input ({example.retrieval_text[:60]!r}); enlarge it"
            raise examples.test_rows.error(row, problem)
    answers = learner.answer(_questions(examples, selections), settings)
    values = score_answers([example.output for example in examples.test], answers.outputs, settings, protocol.metric)
    scored = _scored(folder, examples, values, settings, protocol.metric)
    details = {
        "learner": {**learner.identity, "budget_unit": learner.unit, **answers.facts},
        "protocol": {
            "pool": len(examples.pool),
            "test_inputs": len(examples.test),
            "metric": protocol.metric,
            "selection": protocol.selection,
            "left_out": int((~scored).sum()),
            "demonstrations_mean": fmean(len(selection.indices) for selection in selections),
            "without_demonstration": sum(not selection.indices for selection in selections),
            "notes": examples.notes,
            "settings": asdict(settings),
        },
    }
    return OwnScore(_items(values, examples, scored), details)


def score_answers(
    expected: Sequence[str], outputs: Sequence[str], settings: PromptTaskConfig, metric: str
) -> np.ndarray:
    """(N,) ROUGE-L F measures, 0-1 or nan; of a task with labels those of the label's numbers, which are 1 or 0.

    The released scripts score numbers too: of words, "not equivalent" for "equivalent" would be two thirds right.
    """
    numbers = {word: str(number) for number, word in enumerate(dict.fromkeys(settings.labels.values()))}
    right, given = ([numbers.get(text, text) for text in side] for side in (expected, outputs))
    return rouge_l(right, given, metric=metric, stemmer=settings.stemmer)


def _scored(
    folder: TaskFolder, examples: Examples, values: np.ndarray, settings: PromptTaskConfig, metric: str
) -> np.ndarray:
    """(N,) which test inputs have a score; those that have none are told once, with letters that were not looked at."""
    scored: np.ndarray = ~np.isnan(values)
    texts = [] if settings.labels else [example.output for example in examples.test]
    without, lost = int((~scored).sum()), sum(loses_letters(text, metric) for text in texts)
    if not without and not lost:
        return scored
    reason = (
        f"of {len(scored)} right answers, {without} have no word that prompt_retrieval.metric={metric} knows and do "
        f"not count, {lost} have letters that it leaves out"
    )
    remedy = "" if metric == "rouge_l_unicode" else "; prompt_retrieval.metric=rouge_l_unicode reads every script"
    if without == len(scored):
        raise DataError(f"{examples.test_rows.path}: {reason}{remedy}")
    log.warning("task %s: %s%s", folder.name, reason, remedy)
    return scored


def _items(values: np.ndarray, examples: Examples, scored: np.ndarray) -> ItemScores:
    kept = np.flatnonzero(scored)
    ids = item_ids([examples.test_rows.rows[examples.test_index[row]] for row in kept])
    if examples.groups is None:
        return ItemScores("mean", {"value": values[kept]}, ids)
    return ItemScores("low_group_mean", {"value": values[kept], "group": np.array(examples.groups)[kept]}, ids)


def _similarities(
    task: str, encoder: CachingEncoder, instructions: TaskInstructions, examples: Examples, centring: str
) -> Iterator[Array]:
    """Of all test inputs to the pool, in blocks."""
    texts, asked = ([example.retrieval_text for example in side] for side in (examples.pool, examples.test))
    pool = encoder.encode(texts, instructions.query, task=task)
    test = encoder.encode(asked, instructions.query, task=task)
    return similarities(test, pool, centring)


def _select(
    blocks: Iterable[Array], examples: Examples, settings: PromptTaskConfig, learner: InContextLearner
) -> list[Selection]:
    """The demonstrations of every test input, by its similarities to the pool."""
    lengths = _lengths(examples.pool, learner)
    own_lengths = learner.count([example.prompt for example in examples.test])
    same: dict[str, set[int]] = {}
    for index, example in enumerate(examples.pool):
        same.setdefault(_spaced(example.retrieval_text), set()).add(index)
    rows = (cosines for block in blocks for cosines in block)
    return [
        select(cosines, same.get(_spaced(example.retrieval_text), set()), settings, lengths, own)
        for cosines, example, own in zip(rows, examples.test, own_lengths, strict=True)
    ]


def _spaced(text: str) -> str:
    """The form in which two inputs are the same one: encoders do not see how much white space there is."""
    return " ".join(text.split())


def _lengths(pool: Sequence[Example], learner: InContextLearner) -> list[int]:
    """Length of each demonstration; what stands between its parts is left out, as in the released scripts."""
    inputs, outputs = (learner.count(texts) for texts in ([e.prompt for e in pool], [e.output for e in pool]))
    return [left + right for left, right in zip(inputs, outputs, strict=True)]


def _questions(examples: Examples, selections: Sequence[Selection]) -> list[Question]:
    questions = []
    for example, selection in zip(examples.test, selections, strict=True):
        shown = tuple(
            Demonstration(examples.pool[index].prompt, examples.pool[index].output, similarity)
            for index, similarity in zip(selection.indices, selection.similarities, strict=True)
        )
        questions.append(Question(shown, example.prompt, example.options))
    return questions
