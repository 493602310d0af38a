"""Expected and obtained numbers -> a verdict per cell and an exit code. Pure: no files, no clocks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

Points = Mapping[str, Mapping[str, float]]
"""Row id -> column -> points (0-100)."""


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


_FAILING = (Verdict.MISSING, Verdict.NOT_RUN, Verdict.STALE)


@dataclass(frozen=True)
class ExpectedCell:
    """An expected number and how far from it is still ``ok`` or ``near``; all in points, tolerances two-sided."""

    expected: float
    ok: float
    near: float


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
    """One compared cell; points, None where there is no number."""

    row: str
    column: str
    expected: float | None
    obtained: float | None
    verdict: Verdict

    @property
    def delta(self) -> float | None:
        """Obtained minus expected, points."""
        if self.expected is None or self.obtained is None:
            return None
        return self.obtained - self.expected


@dataclass(frozen=True)
class Comparison:
    """All verdicts, and one sentence where something holds for the whole table."""

    cells: Sequence[CellVerdict]
    note: str = ""

    @property
    def exit_code(self) -> int:
        """1 with any ``off``; else 2 with anything missing, not run or stale, or a cell without a number; else 0."""
        verdicts = {cell.verdict for cell in self.cells}
        if Verdict.OFF in verdicts:
            return 1
        return 2 if verdicts.intersection(_FAILING) or any(cell.obtained is None for cell in self.cells) else 0

    def verdict(self, row: str, column: str) -> Verdict:
        """The verdict of one cell."""
        return next(cell.verdict for cell in self.cells if (cell.row, cell.column) == (row, column))


def judge(cell: ExpectedCell, obtained: float) -> Verdict:
    """Verdict of one number against its tolerances; the bounds belong to the better verdict."""
    # Both sides come from decimal text: 1e-9 keeps a distance of exactly the tolerance from failing by binary rounding.
    distance = abs(obtained - cell.expected) - 1e-9
    if distance <= cell.ok:
        return Verdict.OK
    return Verdict.NEAR if distance <= cell.near else Verdict.OFF


def compare(
    expected: Mapping[str, Mapping[str, ExpectedCell]] | None,
    recorded: Circumstances | None,
    obtained: Points,
    now: Circumstances,
    *,
    required: Sequence[tuple[str, str]],
    not_run: Collection[tuple[str, str]] = (),
) -> Comparison:
    """Judge every required cell.

    Args:
        expected: row id -> column -> expected cell; None when no run has been recorded for this profile.
        recorded: circumstances of the recorded run; None exactly when ``expected`` is.
        obtained: the numbers of this run.
        now: circumstances of this run.
        required: (row id, column) of every cell of the table, in the order to report.
        not_run: those of which a task has no score.
    """
    if expected is None or recorded is None:
        note = "No expected values: this run was compared with no recorded one."
        return _unjudged(obtained, required, Verdict.NO_EXPECTED, note)
    general, note = _general_verdict(recorded, now)
    if general is not None:
        return _unjudged(obtained, required, general, note)
    cells = [_cell(expected, obtained, row, column) for row, column in required]
    return Comparison(
        [replace(cell, verdict=Verdict.NOT_RUN) if (cell.row, cell.column) in not_run else cell for cell in cells]
    )


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
            "change is meant to stay, record them again with table.write_expected=true."
        )
    return None, ""


def _changed(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [key for key in sorted({*recorded, *now}) if recorded.get(key) != now.get(key)]


def _cell(expected: Mapping[str, Mapping[str, ExpectedCell]], obtained: Points, row: str, column: str) -> CellVerdict:
    cell = expected.get(row, {}).get(column)
    number = _number(obtained, row, column)
    wanted = None if cell is None else cell.expected
    if row not in obtained:
        return CellVerdict(row, column, wanted, None, Verdict.NOT_RUN)
    if number is None:
        return CellVerdict(row, column, wanted, None, Verdict.MISSING)
    if cell is None:
        return CellVerdict(row, column, None, number, Verdict.NO_EXPECTED)
    return CellVerdict(row, column, cell.expected, number, judge(cell, number))


def _unjudged(obtained: Points, required: Sequence[tuple[str, str]], general: Verdict, note: str) -> Comparison:
    cells = []
    for row, column in required:
        number = _number(obtained, row, column)
        absent = Verdict.MISSING if row in obtained else Verdict.NOT_RUN
        cells.append(CellVerdict(row, column, None, number, absent if number is None else general))
    return Comparison(cells, note)


def _number(obtained: Points, row: str, column: str) -> float | None:
    number = obtained.get(row, {}).get(column)
    return number if number is not None and math.isfinite(number) else None
