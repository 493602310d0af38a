"""An ablation's claims, decided: sums of cells against sums of cells, corrected for how many are tested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from one_embedder.config.ablation import cell_id, side_ids
from one_embedder.config.schema import AblationConfig, ClaimConfig
from one_embedder.evaluation.resampling import centred_interval
from one_embedder.reproduction.ablation.record import Tested
from one_embedder.reproduction.statistics.bootstrap import Bootstrap, bootstrap_p_value
from one_embedder.reproduction.statistics.decision import ONE_SEED, decide_together
from one_embedder.reproduction.statistics.layout import AVERAGE
from one_embedder.reproduction.statistics.rows import RowRuns


@dataclass(frozen=True)
class Evidence:
    """What claims are decided by.

    Attributes:
        rows: cell id -> its runs; whole cells only.
        bootstrap: over these rows.
    """

    rows: Mapping[str, RowRuns]
    bootstrap: Bootstrap


def decide_all(ablation: AblationConfig, evidence: Evidence) -> list[Tested]:
    """Decide every claim whose cells are there, together, by the rule of ``decision``; the others are ``missing``."""
    tested = [_test(ablation, name, claim, evidence) for name, claim in ablation.claims.items()]
    there = [(claim.difference, claim.p_value) for claim in tested if claim.difference and claim.p_value is not None]
    decided = iter(decide_together(there, evidence.bootstrap.confidence))
    return [
        claim if claim.difference is None else _with(claim, *next(decided), _of_one_seed(ablation, claim.id, evidence))
        for claim in tested
    ]


def _with(claim: Tested, p_adjusted: float, verdict: str, of_one_seed: bool) -> Tested:
    return replace(claim, p_adjusted=p_adjusted, verdict=ONE_SEED if of_one_seed else verdict)


def _of_one_seed(ablation: AblationConfig, name: str, evidence: Evidence) -> bool:
    """Whether a training that the claim compares is the only one of its cell; untrained cells have none."""
    claim = ablation.claims[name]
    cells = [cell for side in (claim.plus, claim.minus) for spread in _side(ablation, claim, side) for cell in spread]
    return any(len(evidence.rows[cell].seeds) == 1 for cell in cells)


def _test(ablation: AblationConfig, name: str, claim: ClaimConfig, evidence: Evidence) -> Tested:
    sides = [_side(ablation, claim, side) for side in (claim.plus, claim.minus)]
    tested = Tested(
        id=name,
        text=claim.text,
        source=claim.source,
        column=claim.column,
        gap_over=claim.gap_over,
        plus=side_ids(ablation, claim.plus),
        minus=side_ids(ablation, claim.minus),
    )
    samples = evidence.bootstrap.samples
    cells = [cell for side in sides for spread in side for cell in spread]
    if any(cell not in samples or claim.column not in samples[cell] for cell in cells):
        return tested

    def contrast(score: Callable[[str], Any]) -> Any:
        return _contrast(sides[0], sides[1], score)

    estimate = float(contrast(lambda cell: evidence.bootstrap.estimates[cell][claim.column]))
    drawn = contrast(lambda cell: samples[cell][claim.column])
    return replace(
        tested,
        difference=centred_interval(estimate, drawn, evidence.bootstrap.confidence),
        p_value=bootstrap_p_value(estimate, drawn),
        **_tasks_won(claim, contrast, evidence.rows),
    )


def _side(ablation: AblationConfig, claim: ClaimConfig, side: Iterable[Mapping[str, str]]) -> list[list[str]]:
    """The cells of a side; with a gap each stands for the cells of all levels of that axis."""
    if claim.gap_over is None:
        return [[name] for name in side_ids(ablation, side)]
    levels = ablation.axes[claim.gap_over].levels
    return [[cell_id(ablation, {**cell, claim.gap_over: level}) for level in levels] for cell in side]


def _contrast(plus: Sequence[Sequence[str]], minus: Sequence[Sequence[str]], score: Callable[[str], Any]) -> Any:
    """Sum of plus minus sum of minus; of several cells in one place, the best minus the worst."""

    def value(cells: Sequence[str]) -> Any:
        scores = [score(cell) for cell in cells]
        return scores[0] if len(scores) == 1 else np.max(scores, axis=0) - np.min(scores, axis=0)

    return sum(value(cells) for cells in plus) - sum(value(cells) for cells in minus)


def _tasks_won(
    claim: ClaimConfig, contrast: Callable[[Callable[[str], Any]], Any], rows: Mapping[str, RowRuns]
) -> dict[str, Any]:
    """On how many tasks the difference is above zero, and of how many."""
    scores = next(iter(rows.values())).runs[0]
    tasks = [task for task, score in enumerate(scores) if claim.column in (AVERAGE, score.category)]

    def difference(task: int) -> float:
        return float(contrast(lambda cell: fmean(run[task].main_score for run in rows[cell].runs)))

    return {"tasks_won": sum(difference(task) > 0 for task in tasks), "tasks_total": len(tasks)}
