"""The expected file of a profile: written from a recorded run, read to judge later ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from one_embedder.errors import DataError
from one_embedder.reproduction.compare import Circumstances, ExpectedCell
from one_embedder.reproduction.expected_check import check_averages, check_numbers, mean_of_columns
from one_embedder.reproduction.layout import AVERAGE, COLUMNS
from one_embedder.tracking.manifest import write_atomically

SCHEMA = 1
SMALLEST_TOLERANCE = 1.0
"""Points. Below this, library versions and processor arithmetic move a score more than a real change would."""


@dataclass(frozen=True)
class ExpectedTable:
    """A recorded run.

    Attributes:
        cells: row id -> column (average included) -> expected number with tolerances, points.
        circumstances: data, settings and environment of the recorded run.
        task_counts: category -> number of tasks.
        recorded: when and where: run ids, seeds, hardware, cost, intervals and claims, as written.
    """

    cells: Mapping[str, Mapping[str, ExpectedCell]]
    circumstances: Circumstances
    task_counts: Mapping[str, int]
    recorded: Mapping[str, Any]


def tolerances(deviation: float) -> tuple[float, float]:
    """(ok, near) in points, from the standard deviation over seeds in points: max(1, 2 std), and twice that."""
    ok = max(SMALLEST_TOLERANCE, 2 * deviation)
    return ok, 2 * ok


def write_expected(
    path: Path,
    *,
    profile: str,
    points: Mapping[str, Mapping[str, float]],
    deviations: Mapping[str, Mapping[str, float]],
    circumstances: Circumstances,
    task_counts: Mapping[str, int],
    recorded: Mapping[str, Any],
) -> None:
    """Write ``points`` as the numbers that later runs of ``profile`` are judged by.

    Args:
        path: file to write, replaced as a whole.
        profile: name of the profile.
        points: row id -> column -> points. The average is left out: it is computed when read.
        deviations: row id -> column -> standard deviation over seeds, points.
        circumstances: data, settings and environment of the run.
        task_counts: category -> number of tasks.
        recorded: provenance to keep with the numbers.

    Raises:
        DataError: if a column is absent; a partial run cannot become the reference.
    """
    for row, columns in points.items():
        absent = [column for column in (*COLUMNS, AVERAGE) if column not in columns]
        if absent:
            raise DataError(
                f"{path}: row {row} has no {', '.join(absent)}; record expected values from a run of all tasks"
            )
    content = {
        "schema": SCHEMA,
        "table": "table1",
        "profile": profile,
        "scale": "points",
        "tasks": dict(task_counts),
        "data": dict(circumstances.data),
        "settings": circumstances.settings,
        "environment": dict(circumstances.environment),
        "recorded": dict(recorded),
        "rows": [_row(row, points[row], deviations[row]) for row in points],
    }
    header = (
        "# Recorded with table.write_expected=true, never edited by hand. Averages are computed when this is read.\n"
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
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise DataError(
                f"{path}: schema {content['schema']} is not {SCHEMA}; record it again with table.write_expected=true"
            )
        check_numbers(content, path)
        averages = {row["id"]: mean_of_columns(row["cells"]) for row in content["rows"]}
        check_averages(averages, content["recorded"].get("average_intervals", {}), path)
        circumstances = Circumstances(content["data"], content["settings"], content["environment"])
        cells = {row["id"]: _read_cells(row) for row in content["rows"]}
        return ExpectedTable(cells, circumstances, content["tasks"], content["recorded"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not an expected file ({error!r}); restore it with `git checkout {path}` or record it again with "
            "table.write_expected=true"
        ) from error


def _row(row: str, points: Mapping[str, float], deviations: Mapping[str, float]) -> dict[str, Any]:
    cells = []
    for column in COLUMNS:
        ok, near = tolerances(deviations[column])
        cells.append(
            {"column": column, "expected": round(points[column], 3), "ok": round(ok, 3), "near": round(near, 3)}
        )
    ok, near = tolerances(deviations[AVERAGE])
    return {"id": row, "average_tolerance": {"ok": round(ok, 3), "near": round(near, 3)}, "cells": cells}


def _read_cells(row: Mapping[str, Any]) -> dict[str, ExpectedCell]:
    cells = {
        cell["column"]: ExpectedCell(float(cell["expected"]), float(cell["ok"]), float(cell["near"]))
        for cell in row["cells"]
    }
    average = sum(cells[column].expected for column in COLUMNS) / len(COLUMNS)
    tolerance = row["average_tolerance"]
    return {**cells, AVERAGE: ExpectedCell(average, float(tolerance["ok"]), float(tolerance["near"]))}
