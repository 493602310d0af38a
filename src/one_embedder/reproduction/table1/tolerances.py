"""How far a number may be from the recorded ones: from what was measured to move it.

A *kind of machine* is what fixes the order and width of floating-point sums: torch's version, the GPU, or else the CPU
with its widest instructions and the number of threads, and the precision of training (``machine_kind``).

- The same seed on the same kind repeats a run: ``REPEATED`` points.
- The same seed on a kind that is not recorded: ``MARGIN`` times the largest difference between recorded kinds in that
  column, over all seeds and all lines of the same sort (untrained rows, trained rows, the difference between two
  rows), because a single cell has too few values; at least ``REPEATED``. The expected number is the mean over the
  recorded kinds. If kinds moved numbers at random, with three seeds on two kinds a third would be ``near`` in 1 % of
  the cells of rows and 5 % of those of differences, and ``off`` in less than 1 % (simulated).
- Where only one kind is recorded, nothing says how far kinds differ: two standard deviations over its seeds, at least
  ``SMALLEST_SPREAD``, around the same seed's number.
- A seed that is not recorded: the same tolerance around the mean over the recorded seeds.

``near`` is within ``NEAR`` times that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev

from one_embedder.reproduction.table1.verdicts import Basis, ExpectedCell, Line, Points

REPEATED = 0.1
"""Points; mteb's own rule for a repeated evaluation."""
MARGIN = 2
"""The largest of a few differences is not the largest there can be."""
SMALLEST_SPREAD = 1.0
"""Points. Two or three seeds may lie closer together by chance than a fourth, or another machine, will."""
NEAR = 2

Kinds = Mapping[str, Points]
"""Kind of machine -> what was recorded there, differences between rows included."""


def expected_cells(kinds: Kinds, kind: str, lines: Iterable[Line]) -> dict[Line, dict[str, ExpectedCell]]:
    """What is expected of each of ``lines`` on the machine kind ``kind``; nothing for rows that were never recorded."""
    return {line: _cells(kinds, kind, line) for line in lines}


def between_kinds(kinds: Kinds, line: Line) -> dict[str, float]:
    """Column -> largest difference between two kinds, over lines of the same sort; empty if none is shared."""
    ranges = [
        {column: max(run[column] for run in runs) - min(run[column] for run in runs) for column in runs[0]}
        for other in {other for points in kinds.values() for other in points}
        if _sort(other) == _sort(line)
        and len(runs := [points[other] for points in kinds.values() if other in points]) > 1
    ]
    return {column: max(own[column] for own in ranges) for column in (ranges[0] if ranges else ())}


def _cells(kinds: Kinds, kind: str, line: Line) -> dict[str, ExpectedCell]:
    own = kinds.get(kind, {})
    if line in own:
        return _around([own[line]], dict.fromkeys(own[line], REPEATED), Basis.SAME_KIND)
    same_seed = [points[line] for points in kinds.values() if line in points]
    measured = between_kinds(kinds, line)
    if same_seed and measured:
        within = {column: max(REPEATED, MARGIN * value) for column, value in measured.items()}
        return _around(same_seed, within, Basis.BETWEEN_KINDS)
    if same_seed:
        return _around(same_seed, _over_seeds(kinds, line), Basis.ONE_KIND)
    other_seeds = _seeds(own, line) or [run for points in kinds.values() for run in _seeds(points, line)]
    return _around(other_seeds, _over_seeds(kinds, line), Basis.OTHER_SEED) if other_seeds else {}


def _around(runs: Sequence[Mapping[str, float]], within: Mapping[str, float], basis: Basis) -> dict[str, ExpectedCell]:
    return {
        column: ExpectedCell(fmean(run[column] for run in runs), ok, NEAR * ok, basis) for column, ok in within.items()
    }


def _over_seeds(kinds: Kinds, line: Line) -> dict[str, float]:
    """Column -> two standard deviations over the seeds of the kind where that is most."""
    found = [seeds for points in kinds.values() if (seeds := _seeds(points, line))]
    return {
        column: max(SMALLEST_SPREAD, *(2 * stdev(run[column] for run in runs) for runs in found if len(runs) > 1), 0.0)
        for column in found[0][0]
    }


def _seeds(points: Points, line: Line) -> list[Mapping[str, float]]:
    """The recorded runs of a line, whatever their seed."""
    return [run for other, run in points.items() if (other.row, other.minus) == (line.row, line.minus)]


def _sort(line: Line) -> tuple[str | None, bool]:
    """Lines of one sort move alike between machines: untrained rows hardly, two finetuned rows perhaps together."""
    return line.minus, line.seed is None
