"""Expected and obtained numbers -> a verdict per cell and an exit code. Pure: no files, no clocks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


@dataclass(frozen=True)
class Line:
    """What is judged column by column: one run of a row, or how far it lies above another row's.

    Attributes:
        row: row id.
        seed: of the training; None where nothing is trained.
        minus: id of the row whose run is subtracted (of the same seed, if it is trained); None: the row itself.
    """

    row: str
    seed: int | None = None
    minus: str | None = None


Points = Mapping[Line, Mapping[str, float]]
"""Line -> column -> points (0-100)."""


class Verdict(StrEnum):
    """What a cell's obtained number says about its expected one."""

    OK = "ok"
    NEAR = "near"
    OFF = "off"  # on either side: too good is also off
    MISSING = "missing"  # expected, and the row ran, but there is no number
    NOT_RUN = "not run"  # expected, and the row did not run
    STALE = "stale"  # the expected number belongs to other settings, or to data that this environment should give
    OTHER_DATA = "n/a (other data)"  # the expected number belongs to data of another environment
    NO_EXPECTED = "no expected values yet"


class Basis(StrEnum):
    """What a tolerance was made from."""

    GIVEN = ""  # by whoever published the expected number
    SAME_KIND = "same kind"
    BETWEEN_KINDS = "between kinds"
    ONE_KIND = "seeds (one kind)"
    OTHER_SEED = "seeds (other seed)"


_FAILING = (Verdict.MISSING, Verdict.NOT_RUN, Verdict.STALE)


@dataclass(frozen=True)
class ExpectedCell:
    """An expected number, how far from it is still ``ok`` or ``near`` (points, on both sides), and what says so."""

    expected: float
    ok: float
    near: float
    basis: Basis = Basis.GIVEN


@dataclass(frozen=True)
class Circumstances:
    """What a number depends on besides the code.

    Attributes:
        data: name of a data set -> sha256 of its content.
        settings: sha256 of the settings that determine the result.
        environment: what the documentation data is made from (Python version, lock, platform).
    """

    data: Mapping[str, str]
    settings: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class CellVerdict:
    """One compared cell; points, None where there is no number. ``within``: how far apart would still be ``ok``."""

    line: Line
    column: str
    expected: float | None
    obtained: float | None
    verdict: Verdict
    within: float | None = None
    basis: Basis = Basis.GIVEN

    @property
    def delta(self) -> float | None:
        """Obtained minus expected, points."""
        if self.expected is None or self.obtained is None:
            return None
        return self.obtained - self.expected


@dataclass(frozen=True)
class Comparison:
    """All verdicts.

    Attributes:
        cells: in the order to report.
        note: one sentence where something holds for the whole table, so that no cell needs a look.
        warning: what is wrong whatever was expected.
        accept_near: whether ``near`` is good enough for exit code 0.
    """

    cells: Sequence[CellVerdict]
    note: str = ""
    warning: str = ""
    accept_near: bool = False

    @property
    def exit_code(self) -> int:
        """1 with any ``off``; else 2 with any missing, not run or stale; else 3 with any ``near``, unless accepted."""
        verdicts = {cell.verdict for cell in self.cells}
        if Verdict.OFF in verdicts:
            return 1
        if verdicts.intersection(_FAILING) or any(cell.obtained is None for cell in self.cells):
            return 2
        return 3 if Verdict.NEAR in verdicts and not self.accept_near else 0

    def verdict(self, line: Line, column: str) -> Verdict:
        """The verdict of one cell."""
        return next(cell.verdict for cell in self.cells if (cell.line, cell.column) == (line, column))


def judge(cell: ExpectedCell, obtained: float) -> Verdict:
    """Verdict of one number against its tolerances; the bounds belong to the better verdict."""
    # Both sides come from decimal text: 1e-9 keeps a distance of exactly the tolerance from failing by binary rounding.
    distance = abs(obtained - cell.expected) - 1e-9
    if distance <= cell.ok:
        return Verdict.OK
    return Verdict.NEAR if distance <= cell.near else Verdict.OFF


def compare(
    expected: Mapping[Line, Mapping[str, ExpectedCell]] | None,
    recorded: Circumstances | None,
    obtained: Points,
    now: Circumstances,
    *,
    required: Sequence[tuple[Line, str]],
    not_run: Collection[tuple[Line, str]] = (),
    accept_near: bool = False,
) -> Comparison:
    """Judge every required cell.

    Args:
        expected: line -> column -> expected cell; None when no run has been recorded for this profile.
        recorded: circumstances of the recorded run; None exactly when ``expected`` is.
        obtained: the numbers of this run.
        now: circumstances of this run.
        required: (line, column) of every cell that is judged, in the order to report.
        not_run: those of which a task has no score.
        accept_near: whether ``near`` is good enough for exit code 0.
    """
    if expected is None or recorded is None:
        note = "No expected values: this run was compared with no recorded one."
        cells = _unjudged(obtained, required, Verdict.NO_EXPECTED)
    else:
        general, note = _general_verdict(recorded, now)
        if general is not None:
            cells = _unjudged(obtained, required, general)
        else:
            cells = [_cell(expected, obtained, line, column) for line, column in required]
            cells = [replace(c, verdict=Verdict.NOT_RUN) if (c.line, c.column) in not_run else c for c in cells]
    twins = _twins(obtained)
    cells = [replace(cell, verdict=Verdict.OFF) if cell.line in twins else cell for cell in cells]
    warning = " ".join(f"{line.row} and {line.minus} have the same numbers: one is not what it says." for line in twins)
    return Comparison(cells, note, warning, accept_near)


def _twins(obtained: Points) -> list[Line]:
    """Differences that are zero in every column: two models never score alike on everything, so a row is mistaken."""
    return [
        line
        for line, columns in obtained.items()
        if line.minus is not None and len(columns) > 1 and all(abs(points) < 1e-9 for points in columns.values())
    ]


def _general_verdict(recorded: Circumstances, now: Circumstances) -> tuple[Verdict | None, str]:
    """A verdict that holds for every cell, and the sentence that says why; (None, "") when each is to be judged."""
    data = ", ".join(_changed(recorded.data, now.data))
    environment = "; ".join(
        f"{key} {recorded.environment.get(key)} there, {now.environment.get(key)} here"
        for key in _changed(recorded.environment, now.environment)
    )
    if data and environment:
        return Verdict.OTHER_DATA, (
            f"The expected numbers are for another data hash ({data}), because the environments differ "
            f"({environment}): they cannot be compared with the obtained ones."
        )
    what = f"in this same environment, but with other data ({data})" if data else "with other settings"
    if data or recorded.settings != now.settings:
        return Verdict.STALE, (
            f"The expected numbers are stale: they were recorded {what}. Run the profile as it stands, or, if the "
            "change is meant to stay, record them again with table.record=true."
        )
    return None, ""


def _changed(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [key for key in sorted({*recorded, *now}) if recorded.get(key) != now.get(key)]


def _cell(
    expected: Mapping[Line, Mapping[str, ExpectedCell]], obtained: Points, line: Line, column: str
) -> CellVerdict:
    cell = expected.get(line, {}).get(column)
    number = _number(obtained, line, column)
    wanted = None if cell is None else cell.expected
    if line not in obtained:
        return CellVerdict(line, column, wanted, None, Verdict.NOT_RUN)
    if number is None:
        return CellVerdict(line, column, wanted, None, Verdict.MISSING)
    if cell is None:
        return CellVerdict(line, column, None, number, Verdict.NO_EXPECTED)
    return CellVerdict(line, column, cell.expected, number, judge(cell, number), cell.ok, cell.basis)


def _unjudged(obtained: Points, required: Sequence[tuple[Line, str]], general: Verdict) -> list[CellVerdict]:
    cells = []
    for line, column in required:
        number = _number(obtained, line, column)
        absent = Verdict.MISSING if line in obtained else Verdict.NOT_RUN
        cells.append(CellVerdict(line, column, None, number, absent if number is None else general))
    return cells


def _number(obtained: Points, line: Line, column: str) -> float | None:
    number = obtained.get(line, {}).get(column)
    return number if number is not None and math.isfinite(number) else None
