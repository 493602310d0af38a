"""The paper's claims on this profile, decided together by the rule of ``decision``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.statistics.bootstrap import Bootstrap
from one_embedder.reproduction.statistics.decision import ONE_SEED, decide_together
from one_embedder.reproduction.statistics.layout import (
    AVERAGE,
    BACKBONE,
    INSTRUCTED_BACKBONE,
    INSTRUCTOR,
    WITHOUT,
    RowSpec,
)

CLAIMS: Sequence[tuple[str, RowSpec]] = (
    ("INSTRUCTOR's mean is above the backbone", BACKBONE),
    ("INSTRUCTOR's mean is above the backbone with instructions", INSTRUCTED_BACKBONE),
    ("INSTRUCTOR's mean is above finetuning without instructions", WITHOUT),
)


@dataclass(frozen=True)
class Claim:
    """A claim and what decided it.

    Attributes:
        text: the sentence.
        difference: of averages, 0-1, with its interval.
        p_value: two-sided, from the paired bootstrap.
        p_adjusted: the same after Holm's correction over the claims of the table.
        verdict: supported | not supported | undecided | one seed.
        seeds: number of trainings behind INSTRUCTOR's mean; 0 where nothing was trained.
    """

    text: str
    difference: Interval
    p_value: float
    p_adjusted: float
    verdict: str
    seeds: int


def decide_claims(bootstrap: Bootstrap, seeds: int) -> list[Claim]:
    """Decide every claim about the average; those about a row that is not there, or lacks a column, are left out.

    Args:
        bootstrap: over the rows of the table.
        seeds: number of trainings of INSTRUCTOR; 0 where nothing was trained.
    """
    there = [
        (text, other.id)
        for text, other in CLAIMS
        if all(AVERAGE in bootstrap.samples.get(spec.id, {}) for spec in (INSTRUCTOR, other))
    ]
    tested = [
        (bootstrap.difference(INSTRUCTOR.id, other), bootstrap.p_value(INSTRUCTOR.id, other)) for _, other in there
    ]
    decided = decide_together(tested, bootstrap.confidence)
    return [
        Claim(text, difference, p_value, p_adjusted, ONE_SEED if seeds == 1 else verdict, seeds)
        for (text, _), (difference, p_value), (p_adjusted, verdict) in zip(there, tested, decided, strict=True)
    ]
