"""What the steering table is made for: does INSTRUCTOR read its instructions, by its training, and to its gain?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from one_embedder.evaluation.resampling import Interval
from one_embedder.evaluation.views.cells import CLUSTERING, NEIGHBOURS
from one_embedder.reproduction.statistics.bootstrap import Bootstrap, bootstrap_p_value
from one_embedder.reproduction.statistics.claims import Claim
from one_embedder.reproduction.statistics.decision import ONE_SEED, decide_together
from one_embedder.reproduction.statistics.layout import INSTRUCTOR
from one_embedder.reproduction.views.rows import MEAN, PLAIN, UNTRAINED, cell

BY: Mapping[str, str] = {NEIGHBOURS: "nearest neighbours", CLUSTERING: "clusters"}
"""Measure -> what readers see."""

_BETTER = "INSTRUCTOR with the right instruction is better than"
PAYING = f"{_BETTER} finetuning without instructions, with "
"""The paper's central claim, where one text has several purposes; followed by what the other gets, and the measure."""


@dataclass(frozen=True)
class Asked:
    """A claim: a number of INSTRUCTOR's is above zero, or above a number of another row.

    Attributes:
        text: the sentence.
        number: of INSTRUCTOR's, as ``rows.cell`` calls it.
        other: id of the other row; None: zero.
        other_number: of that row.
    """

    text: str
    number: str
    other: str | None = None
    other_number: str = ""

    def estimate(self, scores: Mapping[str, Mapping[str, float]]) -> float:
        """The difference, from row id -> number -> score."""
        taken = 0.0 if self.other is None else scores[self.other][self.other_number]
        return scores[INSTRUCTOR.id][self.number] - taken

    def tested(self, bootstrap: Bootstrap) -> tuple[Interval, float]:
        """The difference with its interval, and its p-value."""
        if self.other is not None:
            compared = (INSTRUCTOR.id, self.other, self.number, self.other_number)
            return bootstrap.difference(*compared), bootstrap.p_value(*compared)
        samples = bootstrap.samples[INSTRUCTOR.id][self.number]
        p_value = bootstrap_p_value(self.estimate(bootstrap.estimates), samples)
        return bootstrap.interval(INSTRUCTOR.id, self.number), p_value


def _asked(measure: str) -> list[Asked]:
    steering, right, none = (cell(measure, MEAN, column) for column in ("steering", "right", "none"))
    by = f", by {BY[measure]}"
    return [
        Asked(f"INSTRUCTOR is steered by its instructions{by}", steering),
        Asked(f"INSTRUCTOR is steered more than its untrained backbone{by}", steering, UNTRAINED.id, steering),
        Asked(f"INSTRUCTOR is steered more than finetuning without instructions{by}", steering, PLAIN.id, steering),
        Asked(f"{_BETTER} its untrained backbone with none{by}", right, UNTRAINED.id, none),
        Asked(f"{_BETTER} its untrained backbone with the same{by}", right, UNTRAINED.id, right),
        Asked(f"{PAYING}none{by}", right, PLAIN.id, none),
        Asked(f"{PAYING}the same{by}", right, PLAIN.id, right),
    ]


CLAIMS: Sequence[Asked] = tuple(asked for measure in BY for asked in _asked(measure))


def decide_steering(bootstrap: Bootstrap, seeds: int) -> list[Claim]:
    """Decide every claim by both measures, all of them together.

    Args:
        bootstrap: over the rows of the table.
        seeds: number of trainings of INSTRUCTOR.
    """
    tested = [asked.tested(bootstrap) for asked in CLAIMS]
    decided = decide_together(tested, bootstrap.confidence)
    return [
        Claim(asked.text, difference, p_value, p_adjusted, ONE_SEED if seeds == 1 else verdict, seeds)
        for asked, (difference, p_value), (p_adjusted, verdict) in zip(CLAIMS, tested, decided, strict=True)
    ]
