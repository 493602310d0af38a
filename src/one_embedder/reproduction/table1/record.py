"""The record of a reproduction, ``table1/<profile>.json``, read only while it and the files beside it agree."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from one_embedder.errors import DataError
from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.statistics.consistency import (
    AGREE,
    ROUNDED,
    WRITTEN,
    csv_points,
    csv_rows,
    equal,
    holds_lines,
    inside,
    markdown_lines,
    means_of_tasks,
    number,
    refuse,
    scores,
)
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS, INSTRUCTOR
from one_embedder.reproduction.table1.tables import format_difference, format_interval, format_number


def read_table1(path: Path) -> dict[str, Any]:
    """The record in a file; scores 0-1.

    Raises:
        DataError: if it is no such record, a number does not lie in its interval, an average is not the mean of its
            categories, or the CSV, Markdown and LaTeX files beside it say something else.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _check_rows(record, path)
        _check_differences(record, path)
        _check_verdicts(record, path)
        _check_csv(record, path)
        _check_tasks(record, path)
        _check_renderings(record, path)
        return record
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not the record of a reproduction ({error!r}); run it again") from error


def check_against_table1(
    expected: Mapping[str, Mapping[str, float]], recorded: Mapping[str, Any], record: Mapping[str, Any], path: Path
) -> None:
    """Refuse expected numbers that are not those of the table that was recorded with them.

    Another run of the table may lie in the record's place; it says nothing about the expected numbers.

    Args:
        expected: row id -> column -> points, means over seeds.
        recorded: what the expected file says of its run.
        record: as ``read_table1`` gives it.
        path: of the expected file.

    Raises:
        DataError: naming the row and the column.
    """
    if not _is_of_one_run(recorded, record):
        return
    rows, beside = {row["id"]: row for row in record["rows"]}, f"beside table1/{record['profile']}.json"
    for row, columns in expected.items():
        for column in (*COLUMNS, AVERAGE):
            where = f"{path}, row {row}, {column}, {beside}"
            equal(columns[column], 100 * rows[row]["scores"][column], where, within=WRITTEN)
        for bound, made in zip(recorded["average_intervals"][row], rows[row]["intervals"][AVERAGE], strict=True):
            equal(bound, 100 * made, f"{path}, row {row}, interval of the average, {beside}", within=WRITTEN)
    for claim in record["claims"]:
        told = (claim["claim"], claim["verdict"], format_difference(Interval(**claim["difference"])))
        if not any(all(part in text for part in told) for text in recorded["claims"]):
            raise refuse(f"{path}, claims, {beside}", f"no claim says {' ... '.join(told)}")


def _check_rows(record: Mapping[str, Any], path: Path) -> None:
    for row in record["rows"]:
        where = f"{path}, row {row['id']}"
        scores(row["scores"], where)
        for column, deviation in row["deviations"].items():
            number(deviation, f"{where}, deviation of {column}", 0.0, 1.0)
        for column, (low, high) in row["intervals"].items():
            inside(Interval(row["scores"][column], low, high), f"{where}, {column}")


def _check_differences(record: Mapping[str, Any], path: Path) -> None:
    """INSTRUCTOR minus each other row, and each claim's difference, which is one of two averages."""
    rows = {row["id"]: row["scores"] for row in record["rows"]}
    for other, columns in record["differences"].items():
        for column, difference in columns.items():
            where = f"{path}, {INSTRUCTOR.id} minus {other}, {column}"
            inside(Interval(**difference), where)
            equal(difference["estimate"], rows[INSTRUCTOR.id][column] - rows[other][column], where)
    averages = [columns[AVERAGE] for columns in rows.values() if AVERAGE in columns]
    for claim in record["claims"]:
        where, estimate = f"{path}, claim {claim['claim']!r}", claim["difference"]["estimate"]
        inside(Interval(**claim["difference"]), where)
        if not any(abs(estimate - (one - other)) <= AGREE for one in averages for other in averages):
            raise refuse(where, f"{estimate} is the difference of no two averages of the table")


def _check_verdicts(record: Mapping[str, Any], path: Path) -> None:
    """What was judged, of one seed or of several, are the numbers of the table and the differences between its rows."""
    rows = {row["id"]: row["scores"] for row in record["rows"]}
    judged: dict[tuple[str, str | None, str], list[float]] = defaultdict(list)
    for cell in record["verdicts"]["cells"]:
        if cell["obtained"] is not None:
            where = f"{path}, verdict of {cell['row']}, {cell['column']}"
            obtained = number(cell["obtained"], where, -100.0, 100.0)
            judged[cell["row"], cell["minus"], cell["column"]].append(obtained)
    for (row, minus, column), seeds in judged.items():
        where = f"{path}, verdict of {row}{f' minus {minus}' if minus else ''}, {column}"
        below = rows.get(minus, {}) if minus else {column: 0.0}
        if column in rows.get(row, {}) and column in below:
            equal(fmean(seeds), 100 * (rows[row][column] - below[column]), where, within=100 * AGREE)


def _check_csv(record: Mapping[str, Any], path: Path) -> None:
    beside = path.with_suffix(".csv")
    lines = {line.get("model"): line for line in csv_rows(beside)}
    for row in record["rows"] if lines else ():
        if row["label"] not in lines:
            raise refuse(str(beside), f"has no row {row['label']!r}, which {path.name} has")
        for column, score in row["scores"].items():
            where = f"{beside}, {row['label']}, {column}"
            equal(csv_points(lines[row["label"]].get(column), where), 100 * score, where, within=ROUNDED)


def _check_tasks(record: Mapping[str, Any], path: Path) -> None:
    """Each category is the mean of its tasks, and each row the mean of its seeds."""
    beside = path.with_name(f"{path.stem}_tasks.csv")
    lines = csv_rows(beside)
    for row in record["rows"] if lines else ():
        own = [line for line in lines if line["model"] == row["label"]]
        by_seed = [[line for line in own if line["seed"] == seed] for seed in map(str, row["seeds"] or [""])]
        counts = Counter(line["category"] for line in by_seed[0])
        means = [means_of_tasks(of_seed, str(beside)) for of_seed in by_seed]
        for column in [column for column in COLUMNS if column in row["scores"]]:
            where = f"{beside}, {row['label']}, {column}"
            equal(counts[column], record["tasks"][column], f"{where}, number of tasks")
            equal(fmean(of_seed[column] for of_seed in means), 100 * row["scores"][column], where, within=ROUNDED)


def _check_renderings(record: Mapping[str, Any], path: Path) -> None:
    """The Markdown and LaTeX files hold the numbers; a table beside published numbers has another form."""
    if "notes" in record:
        return
    table = [_line(row) for row in record["rows"]]
    for rows in (table, _interval_lines(record), _difference_lines(record)):
        holds_lines(path.with_suffix(".md"), markdown_lines(rows))
    holds_lines(path.with_suffix(".tex"), (" & ".join(row) for row in table))


def _line(row: Mapping[str, Any]) -> list[str]:
    numbers = [format_number(_points(row["scores"].get(column))) for column in (*COLUMNS, AVERAGE)]
    bounds = row["intervals"].get(AVERAGE)
    interval = [] if bounds is None else [f"[{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"]
    return [row["label"], *numbers, *interval]


def _interval_lines(record: Mapping[str, Any]) -> list[Sequence[str]]:
    """Of the columns that every row has."""
    rows = record["rows"]
    columns = [column for column in (*COLUMNS, AVERAGE) if all(column in row["intervals"] for row in rows)]
    return [
        [column, *(format_interval(Interval(row["scores"][column], *row["intervals"][column])) for row in rows)]
        for column in columns
    ]


def _difference_lines(record: Mapping[str, Any]) -> list[Sequence[str]]:
    others = record["differences"].values()
    columns = [column for column in (*COLUMNS, AVERAGE) if others and all(column in other for other in others)]
    return [[column, *(format_difference(Interval(**other[column])) for other in others)] for column in columns]


def _points(score: float | None) -> float | None:
    return None if score is None else 100 * score


def _is_of_one_run(recorded: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether both were written by one command, which had nothing to compare itself with."""
    compared = any(cell["expected"] is not None for cell in record["verdicts"]["cells"])
    seeds = max((row["seeds"] for row in record["rows"]), key=len)
    return not compared and recorded["code"] == record["code"] and list(recorded["seeds"]) == seeds
