"""From a question to the tokens that a causal language model reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from one_embedder.evaluation.prompt_retrieval.learners import Question

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Prompt:
    """Everything before the answer.

    Attributes:
        tokens: demonstrations and test input.
        dropped: demonstrations left out because the model could not take them, least similar first.
        cut: tokens cut off the beginning of the test input, which alone was longer than the model can take.
    """

    tokens: list[int]
    dropped: int
    cut: int


def build_prompt(
    question: Question,
    encode: Encode,
    *,
    between: str,
    before_output: str,
    room: int | None,
    lead: Sequence[int] = (),
) -> Prompt:
    """Demonstrations and test input as tokens, each part tokenized by itself as in MetaICL.

    So the tokens of an answer do not depend on what stands before it, and lengths add up. Demonstrations are dropped
    whole before a token of the test input is; MetaICL, as the scripts run it, cuts any test input after 256 tokens.

    Args:
        question: the demonstrations and the test input.
        encode: text to tokens, without special tokens.
        between: text before every demonstration but the first, and before the test input.
        before_output: text before each output.
        room: most tokens of the prompt; None: any number.
        lead: tokens that the model wants in front.
    """
    parts = [
        (encode(shown.input), encode(between + shown.input), encode(before_output + shown.output))
        for shown in question.demonstrations
    ]
    alone, following = encode(question.input), encode(between + question.input)
    most = sys.maxsize if room is None else room
    for dropped in range(len(parts) + 1):
        kept = parts[dropped:]
        tokens = [*lead]
        for number, (first, later, output) in enumerate(kept):
            tokens += (later if number else first) + output
        tokens += following if kept else alone
        if len(tokens) <= most:
            return Prompt(tokens, dropped, 0)
    cut = len(tokens) - most
    return Prompt([*lead, *alone[cut:]], len(parts), cut)
