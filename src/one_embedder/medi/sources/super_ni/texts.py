"""By which of the paper's two rules a task of Super-NaturalInstructions is mined."""

from __future__ import annotations

from collections import Counter

from one_embedder.instructions.template import Instruction
from one_embedder.medi.mining.candidates import LabelTask, OutputTask, PairTask
from one_embedder.medi.sources.super_ni.tasks import SuperNiTask

MAX_LABELS = 20
TEXTS_PER_LABEL = 5
"""A task is classification if it has at most so many distinct outputs, each of so many inputs on average. The paper
does not say how it told the two kinds apart."""


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
