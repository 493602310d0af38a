"""Which values a key may have: written beside its type in the schema, checked in ``one_embedder.config.checks``.

``None`` is the type's to allow, and is not checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Limit:
    """A condition and its name, as in "must be a number > 0"."""

    told: str
    holds: Callable[[Any], bool]


class OneOf(Limit):
    """One of a few words. A mapping passes: it names a class, see ``one_embedder.config.own_class``.

    Attributes:
        choices: the words.
    """

    choices: tuple[str, ...]

    def __init__(self, *choices: str) -> None:
        super().__init__(f"one of {', '.join(choices)}", lambda value: value in choices or isinstance(value, dict))
        object.__setattr__(self, "choices", choices)


def at_least(smallest: int) -> Limit:
    """An integer from ``smallest`` on."""
    return Limit(f"at least {smallest}", lambda value: bool(value >= smallest))


Natural = Annotated[int, at_least(0)]
Count = Annotated[int, at_least(1)]
AtLeastTwo = Annotated[int, at_least(2)]
AtLeastFour = Annotated[int, at_least(4)]
Share = Annotated[float, Limit("between 0 and 1", lambda value: 0 <= value <= 1)]
BelowOne = Annotated[float, Limit("at least 0 and below 1", lambda value: 0 <= value < 1)]
ShareOfPositive = Annotated[float, Limit("above 0 and at most 1", lambda value: 0 < value <= 1)]
Confidence = Annotated[float, Limit("strictly between 0 and 1", lambda value: 0 < value < 1)]
Positive = Annotated[float, Limit("a number > 0", lambda value: 0 < value < math.inf)]
NotNegative = Annotated[float, Limit("a number >= 0", lambda value: 0 <= value < math.inf)]
Distance = Annotated[float, Limit("between 0 and 2, a difference of cosines", lambda value: 0 <= value <= 2)]
Margin = Annotated[float, Limit("between -2 and 2, a difference of cosines", lambda value: -2 <= value <= 2)]
Text = Annotated[str, Limit("a non-empty text", lambda value: bool(value.strip()))]
Some = Annotated[list[str], Limit("null (all) or a non-empty list", bool)]
Stops = Annotated[list[str], Limit("texts that are not empty", all)]
Labels = Annotated[dict[str, str], Limit("empty or at least two words", lambda words: len(set(words.values())) != 1)]
Seeds = Annotated[
    list[int],
    Limit(
        "a non-empty list of different integers >= 0",
        lambda seeds: bool(seeds) and len(set(seeds)) == len(seeds) and min(seeds) >= 0,
    ),
]
Accelerator = Annotated[str, OneOf("auto", "cpu", "gpu", "mps")]
Centring = Annotated[str, OneOf("none", "separate", "pool")]
Detail = Annotated[str, OneOf("detailed", "simple", "tag")]
Dtype = Annotated[str, OneOf("float32", "bfloat16", "float16")]
EncoderDtype = Annotated[str, OneOf("float32", "bfloat16", "float16", "float64")]
Joining = Annotated[str, OneOf("pypi", "head")]
LearnerName = Annotated[Any, OneOf("nearest", "vote", "model")]
Metric = Annotated[str, OneOf("rouge_l", "rouge_l_unicode")]
Selection = Annotated[str, OneOf("similar", "random")]
Part = Annotated[str, OneOf("train", "dev", "test")]
NoneLeft = Annotated[str, OneOf("least_similar", "drop")]
Precision = Annotated[str, OneOf("32-true", "bf16-mixed")]
Shown = Annotated[str, OneOf("right", "wrong", "shuffled")]
Spelling = Annotated[str, OneOf("released", "paper")]
Split = Annotated[str, OneOf("dev", "test")]
StrategyName = Annotated[Any, OneOf("proportional", "uniform", "temperature", "capped", "released", "mixed")]
Strategy = Annotated[str, OneOf("auto", "ddp", "fsdp")]
TextOutput = Annotated[str, OneOf("inputs", "outputs")]
WandbMode = Annotated[str, OneOf("disabled", "offline", "online")]
