"""The expected file of a profile: written from recorded runs, one a kind of machine; read to judge later ones.

Every run of every row is kept by itself, by seed. Averages, differences between rows and tolerances are computed from
those when the file is read. The kind that was recorded last is the one that is shown to readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from one_embedder.errors import DataError
from one_embedder.evaluation.categories import METRICS, bounds
from one_embedder.files.documents import read_yaml
from one_embedder.reproduction.statistics.consistency import number
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS
from one_embedder.reproduction.table1.lines import Lines, with_differences
from one_embedder.reproduction.table1.tolerances import expected_cells
from one_embedder.reproduction.table1.verdicts import Circumstances, ExpectedCell, Line, Points
from one_embedder.tracking.manifest import write_atomically

SCHEMA = 2


@dataclass(frozen=True)
class RecordedRun:
    """What was recorded on one kind of machine.

    Attributes:
        kind: of machine (``machine_kind``).
        runs: every run of every row, average included, points.
        environment: what the data were made from there.
        recorded: when and how: run ids, seeds, code, hardware and cost.
    """

    kind: str
    runs: Points
    environment: Mapping[str, str]
    recorded: Mapping[str, Any]

    def row(self, name: str) -> dict[str, float]:
        """Column -> points, mean over the row's runs."""
        runs = [columns for line, columns in self.runs.items() if line.row == name]
        return {column: fmean(run[column] for run in runs) for column in (*COLUMNS, AVERAGE)}


@dataclass(frozen=True)
class ExpectedTable:
    """The recorded runs of a profile, all of the same data and settings.

    Attributes:
        data: name of a data set -> sha256 of its content.
        settings: sha256 of the settings that determine the result.
        task_counts: category -> number of tasks.
        kinds: one run a kind of machine, in the order in which they were recorded; at least one.
    """

    data: Mapping[str, str]
    settings: str
    task_counts: Mapping[str, int]
    kinds: tuple[RecordedRun, ...]

    @property
    def shown(self) -> RecordedRun:
        """The run that tables are made of: the last one recorded."""
        return self.kinds[-1]

    def lines(self) -> dict[str, Lines]:
        """Kind -> its runs and the differences between them."""
        return {run.kind: with_differences(run.runs) for run in self.kinds}

    def cells(self, kind: str, lines: Iterable[Line]) -> dict[Line, dict[str, ExpectedCell]]:
        """What is expected of ``lines`` on that kind of machine."""
        return expected_cells(self.lines(), kind, lines)

    def circumstances(self, environment: Mapping[str, str]) -> Circumstances:
        """Of the recorded runs: with ``environment`` if one of them was made in it, else with that of the last."""
        known = [run.environment for run in self.kinds if run.environment == environment]
        return Circumstances(self.data, self.settings, known[0] if known else self.shown.environment)


def write_expected(
    path: Path,
    *,
    profile: str,
    run: RecordedRun,
    circumstances: Circumstances,
    task_counts: Mapping[str, int],
) -> None:
    """Make ``run`` part of what later runs of ``profile`` are judged by.

    It replaces what the file has of its kind of machine, and stands beside those of other kinds as long as they are of
    the same data and settings; else it replaces them too. Delete the file to begin anew, say when the code has changed
    the numbers.

    Args:
        path: file to write, replaced as a whole.
        profile: name of the profile.
        run: what was obtained.
        circumstances: data and settings of the run.
        task_counts: category -> number of tasks.

    Raises:
        DataError: if a column is absent, because a partial run cannot become the reference; or if there is a file
            that cannot be read.
    """
    for line, columns in run.runs.items():
        absent = [column for column in (*COLUMNS, AVERAGE) if column not in columns]
        if absent:
            raise DataError(
                f"{path}: row {line.row} has no {', '.join(absent)}; record expected values from a run of all tasks"
            )
    there = read_expected(path)
    same = there is not None and (there.data, there.settings) == (circumstances.data, circumstances.settings)
    beside = [other for other in there.kinds if other.kind != run.kind] if there and same else []
    content = {
        "schema": SCHEMA,
        "table": "table1",
        "profile": profile,
        "scale": "points",
        "tasks": dict(task_counts),
        "data": dict(circumstances.data),
        "settings": circumstances.settings,
        "kinds": [_content(each) for each in (*beside, run)],
    }
    header = (
        "# Recorded with table.record=true, never edited by hand. Averages, differences between rows and\n"
        "# tolerances are computed when this is read.\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, header + yaml.safe_dump(content, sort_keys=False, width=160))


def read_expected(path: Path) -> ExpectedTable | None:
    """Read an expected file; None when there is none.

    Raises:
        DataError: if the file is there but is not an expected file of a known schema, or holds numbers that nothing
            can be judged by.
    """
    if not path.is_file():
        return None
    try:
        content = read_yaml(path)
        if content["schema"] != SCHEMA:
            raise DataError(
                f"{path}: schema {content['schema']} is not {SCHEMA}; delete the file and record it again with "
                "table.record=true"
            )
        kinds = tuple(_read(entry, path) for entry in content["kinds"])
        if not kinds:
            raise ValueError("no recorded run")
        return ExpectedTable(content["data"], content["settings"], content["tasks"], kinds)
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: not an expected file ({error!r}); restore it with `git checkout {path}`, or delete it and record "
            "it again with table.record=true"
        ) from error


def _content(run: RecordedRun) -> dict[str, Any]:
    rows = [
        {"row": line.row, "seed": line.seed, "points": {column: round(columns[column], 3) for column in COLUMNS}}
        for line, columns in run.runs.items()
    ]
    return {"kind": run.kind, "environment": dict(run.environment), "recorded": dict(run.recorded), "runs": rows}


def _read(entry: Mapping[str, Any], path: Path) -> RecordedRun:
    runs = {}
    for run in entry["runs"]:
        where = f"{path}, {entry['kind']}, row {run['row']}, seed {run['seed']}"
        scores = {column: _points(run["points"][column], column, where) for column in COLUMNS}
        runs[Line(str(run["row"]), run["seed"])] = {**scores, AVERAGE: fmean(scores.values())}
    return RecordedRun(str(entry["kind"]), runs, entry["environment"], entry["recorded"])


def _points(value: Any, column: str, where: str) -> float:
    """As ``number``, between the bounds of the category's main score: a correlation may be negative."""
    low, high = bounds(METRICS[column])
    return number(value, f"{where}, {column}", 100 * low, 100 * high)
