"""What the steering table is made for: does INSTRUCTOR read its instructions, and is it the training that makes it?"""

from __future__ import annotations

from collections.abc import Mapping

from one_embedder.evaluation.resampling import Interval
from one_embedder.evaluation.views.cells import CLUSTERING, NEIGHBOURS
from one_embedder.reproduction.statistics.bootstrap import Bootstrap, bootstrap_p_value
from one_embedder.reproduction.statistics.claims import Claim
from one_embedder.reproduction.statistics.decision import ONE_SEED, decide_together
from one_embedder.reproduction.statistics.layout import INSTRUCTOR, RowSpec
from one_embedder.reproduction.views.rows import MEAN, PLAIN, UNTRAINED, cell

BY: Mapping[str, str] = {NEIGHBOURS: "nearest neighbours", CLUSTERING: "clusters"}
"""Measure -> what readers see."""

CLAIMS: tuple[tuple[str, RowSpec | None], ...] = (
    ("INSTRUCTOR is steered by its instructions", None),
    ("INSTRUCTOR is steered more than its untrained backbone", UNTRAINED),
    ("INSTRUCTOR is steered more than finetuning without instructions", PLAIN),
)


def decide_steering(bootstrap: Bootstrap, seeds: int) -> list[Claim]:
    """Decide every claim by both measures, all of them together.

    Args:
        bootstrap: over the rows of the table.
        seeds: number of trainings of INSTRUCTOR.
    """
    asked = [(f"{text}, by {name}", measure, other) for measure, name in BY.items() for text, other in CLAIMS]
    tested = [_tested(bootstrap, cell(measure, MEAN, "steering"), other) for _, measure, other in asked]
    decided = decide_together(tested, bootstrap.confidence)
    return [
        Claim(text, difference, p_value, p_adjusted, ONE_SEED if seeds == 1 else verdict, seeds)
        for (text, _, _), (difference, p_value), (p_adjusted, verdict) in zip(asked, tested, decided, strict=True)
    ]


def _tested(bootstrap: Bootstrap, column: str, other: RowSpec | None) -> tuple[Interval, float]:
    if other is not None:
        return (
            bootstrap.difference(INSTRUCTOR.id, other.id, column),
            bootstrap.p_value(INSTRUCTOR.id, other.id, column),
        )
    estimate, samples = bootstrap.estimates[INSTRUCTOR.id][column], bootstrap.samples[INSTRUCTOR.id][column]
    return bootstrap.interval(INSTRUCTOR.id, column), bootstrap_p_value(estimate, samples)
