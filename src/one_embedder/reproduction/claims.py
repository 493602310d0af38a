"""The paper's claims on this profile, decided by the intervals of differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.layout import BACKBONE, INSTRUCTED_BACKBONE, INSTRUCTOR, WITHOUT, RowSpec
from one_embedder.reproduction.statistics import Bootstrap

CLAIMS: Sequence[tuple[str, RowSpec]] = (
    ("INSTRUCTOR's mean is above the backbone", BACKBONE),
    ("INSTRUCTOR's mean is above the backbone with instructions", INSTRUCTED_BACKBONE),
    ("INSTRUCTOR's mean is above finetuning without instructions", WITHOUT),
)


@dataclass(frozen=True)
class Claim:
    """A claim, the difference of averages that decides it (0-1), and what it decides."""

    text: str
    difference: Interval
    verdict: str


def decide(difference: Interval) -> str:
    """``supported`` if the whole interval is above zero, ``not supported`` if it is below, else ``undecided``."""
    if difference.low > 0:
        return "supported"
    return "not supported" if difference.high < 0 else "undecided"


def decide_claims(bootstrap: Bootstrap) -> list[Claim]:
    """Decide every claim about the average; those about a row that is not there, or lacks a column, are left out."""
    claims = []
    for text, other in CLAIMS:
        if all("average" in bootstrap.samples.get(spec.id, {}) for spec in (INSTRUCTOR, other)):
            difference = bootstrap.difference(INSTRUCTOR.id, other.id)
            claims.append(Claim(text, difference, decide(difference)))
    return claims
