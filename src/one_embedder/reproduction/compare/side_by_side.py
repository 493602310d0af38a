"""``python -m one_embedder.reproduction.compare.side_by_side``: several evaluations of one benchmark -> one table.

A row is a model, by a label and the folder of its evaluation (of several trainings, by all their folders); the columns
are category means and their mean, with bootstrap intervals over the same redrawn test items for every row.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NoReturn

from one_embedder.ending import told
from one_embedder.errors import ConfigError
from one_embedder.evaluation.benchmarks import scores_of
from one_embedder.evaluation.completed import completed_results
from one_embedder.evaluation.resampling import CONFIDENCE, RESAMPLES, item_interval
from one_embedder.files.location import inside_project
from one_embedder.reproduction.compare.side_by_side_record import (
    ABOVE_FIRST,
    SCHEMA,
    difference_grid,
    interval_grid,
    main_grid,
)
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.bootstrap import Bootstrap, paired_bootstrap
from one_embedder.reproduction.statistics.decision import decide_together
from one_embedder.reproduction.statistics.layout import AVERAGE, RowSpec
from one_embedder.reproduction.statistics.rows import RowRuns
from one_embedder.reproduction.table1.tables import format_interval, points_csv
from one_embedder.tracking.manifest import read_manifest, read_settings, write_atomically

BOOTSTRAP_SEED = 0
_OF_MANIFEST = ("run_id", "started_at", "code", "data", "model", "environment", "hardware", "cost")
_OF_CONFIG = ("seed", "encoder", "evaluation")


@dataclass(frozen=True)
class Evaluations:
    """What is compared.

    Attributes:
        rows: one a model, in the order named; all scored on the same tasks.
        bootstrap: of these rows.
        resamples: of the bootstrap.
        learners: the in-context learners of their prompt retrieval tasks.
    """

    rows: Sequence[RowRuns]
    bootstrap: Bootstrap
    resamples: int
    learners: Sequence[str]

    @classmethod
    def read(cls, named: Sequence[str], *, resamples: int = RESAMPLES, confidence: float = CONFIDENCE) -> Evaluations:
        """Read ``LABEL=FOLDER`` or ``LABEL=FOLDER,FOLDER,...``.

        Raises:
            ConfigError: if one of ``named`` is not of this form, two have the same label, a row has one folder twice,
                or ``resamples`` is below 1.
            DataError: if a folder holds no results or broken ones.
            EvaluationError: if two evaluations are not of the same tasks and items.
        """
        if resamples < 1:
            raise ConfigError(f"--resamples={resamples} must be at least 1")
        read = [_row(text) for text in named]
        rows = [row for row, _ in read]
        labels = [row.spec.id for row in rows]
        if len(set(labels)) < len(labels):
            raise ConfigError(f"two rows have the same label: {labels}; name several trainings as LABEL=FOLDER,FOLDER")
        learners = sorted({learner for _, of_row in read for learner in of_row})
        bootstrap = paired_bootstrap(rows, resamples=resamples, confidence=confidence, seed=BOOTSTRAP_SEED)
        return cls(rows, bootstrap, resamples, learners)

    def markdown(self) -> str:
        """The table, every category's interval, and every task's."""
        table = table_of(self)
        sections = [main_grid(table).markdown(), self._caption(), "## Every column with its interval, points"]
        sections.append(interval_grid(table).markdown())
        if self.rows[1:]:
            sections += [f"## Difference from {self.rows[0].spec.label}, points", difference_grid(table).markdown()]
        sections += ["## Per task, points", self.task_grid().markdown()]
        return "\n\n".join(sections) + "\n"

    def main_grid(self) -> Grid:
        """Category means and their mean; beside the mean its interval, and whether it is above the first row's."""
        return main_grid(table_of(self))

    def task_grid(self) -> Grid:
        """One line a task; intervals where a row is one evaluation, means where it is several."""
        cells = []
        for index, score in enumerate(self.rows[0].runs[0]):
            values = [_task_cell(row, index, self.bootstrap.confidence) for row in self.rows]
            cells.append([score.task, score.category, score.metric, str(len(score.items)), *values])
        return Grid(["task", "category", "metric", "items", *(row.spec.label for row in self.rows)], cells)

    def csv(self) -> str:
        """One line a row of the table and task; points with four decimals, means over trainings."""
        columns = ["model", "category", "task", "metric", "items", "points"]
        lines = [
            (row.spec.label, score.category, score.task, score.metric, len(score.items), 100 * _mean(row, index))
            for row in self.rows
            for index, score in enumerate(row.runs[0])
        ]
        return points_csv([dict(zip(columns, line, strict=True)) for line in lines], columns)

    def _caption(self) -> str:
        learner = f" Prompt retrieval: learner {', '.join(self.learners)}." if self.learners else ""
        return f"Points; in brackets the number of tasks. Intervals: bootstrap over test items; {ABOVE_FIRST}{learner}"


def table_of(evaluations: Evaluations) -> dict[str, Any]:
    """Scores, intervals and differences from the first row, 0-1; and whether each row's mean is above the first's."""
    bootstrap, decided = evaluations.bootstrap, _decided(evaluations)
    return {
        "schema": SCHEMA,
        "tasks": Counter(evaluations.rows[0].tasks().values()),
        "learners": list(evaluations.learners),
        "bootstrap": {"resamples": evaluations.resamples, "confidence": bootstrap.confidence},
        "rows": [
            {
                **_content(bootstrap, row.spec.id, evaluations.rows[0].spec.id),
                "trainings": len(row.seeds),
                "above_first": decided.get(row.spec.id),
            }
            for row in evaluations.rows
        ],
    }


def record_of(evaluations: Evaluations) -> dict[str, Any]:
    """What ``NAME.json`` holds: the table, and the run record of every evaluation.

    Raises:
        DataError: if the run record of an evaluation is missing or damaged.
    """
    table = table_of(evaluations)
    for content, row in zip(table["rows"], evaluations.rows, strict=True):
        content["evaluations"] = [_provenance(Path(folder).expanduser()) for folder in row.folders]
    return table


def _decided(evaluations: Evaluations) -> dict[str, dict[str, Any]]:
    """Row -> what decides whether its mean is above the first row's; all of them are claims that stand together."""
    bootstrap = evaluations.bootstrap
    first, *others = [row.spec.id for row in evaluations.rows]
    if AVERAGE not in bootstrap.estimates[first]:
        return {}
    tested = [(bootstrap.difference(other, first), bootstrap.p_value(other, first)) for other in others]
    decided = decide_together(tested, bootstrap.confidence)
    return {
        other: {"p_value": p_value, "p_adjusted": p_adjusted, "verdict": verdict}
        for other, (_, p_value), (p_adjusted, verdict) in zip(others, tested, decided, strict=True)
    }


def _content(bootstrap: Bootstrap, own: str, first: str) -> dict[str, Any]:
    columns = list(bootstrap.estimates[own])
    return {
        "label": own,
        "scores": {column: asdict(bootstrap.interval(own, column)) for column in columns},
        "minus_first": {column: asdict(bootstrap.difference(own, first, column)) for column in columns},
    }


def _provenance(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    settings = read_settings(folder)
    told = {
        **{key: manifest[key] for key in _OF_MANIFEST},
        "instructions": settings["instructions"]["name"],
        **{key: settings[key] for key in _OF_CONFIG},
    }
    # A record says nothing of where the project lies.
    for part, key in (("model", "base"), ("encoder", "name_or_path")):
        told[part] = {**told[part], key: inside_project(str(told[part][key]))}
    return told


def _row(named: str) -> tuple[RowRuns, set[str]]:
    """The row, and the in-context learners of its prompt retrieval: a copying one is never taken for a model."""
    label, equals, folders = named.partition("=")
    if not equals or not label.strip() or not folders:
        raise ConfigError(f"{named!r} must be LABEL=FOLDER, or LABEL=FOLDER,FOLDER for several trainings")
    paths = folders.split(",")
    if len({Path(path).expanduser().resolve() for path in paths}) < len(paths):
        raise ConfigError(f"{label} has a folder twice: {folders}; name the folder of another training")
    results = [completed_results(Path(path).expanduser()) for path in paths]
    runs = tuple(tuple(scores_of(of_path)) for of_path in results)
    seeds = tuple(range(len(paths))) if len(paths) > 1 else ()
    prompted = [result.identity.get("prompt_retrieval") for of_path in results for result in of_path]
    learners = {str(protocol["learner"]["name"]) for protocol in prompted if protocol}
    return RowRuns(RowSpec(label, label, None, False), seeds, runs, tuple(paths)), learners


def _task_cell(row: RowRuns, index: int, confidence: float) -> str:
    if len(row.runs) > 1:
        return f"{100 * _mean(row, index):.1f}"
    return format_interval(item_interval(row.runs[0][index].items, confidence=confidence))


def _mean(row: RowRuns, index: int) -> float:
    return fmean(run[index].main_score for run in row.runs)


def parser() -> ArgumentParser:
    """The command line."""
    made = ArgumentParser(
        prog="python -m one_embedder.reproduction.compare.side_by_side",
        description="Put evaluations of one benchmark side by side, with intervals over their test items.",
        allow_abbrev=False,
    )
    made.add_argument("rows", nargs="+", metavar="LABEL=FOLDER[,FOLDER]", help="a model and its evaluation's output")
    made.add_argument("--output", type=Path, metavar="NAME", help="write NAME.md, .csv and .json")
    made.add_argument("--resamples", type=int, default=RESAMPLES, help="of the bootstrap [%(default)s]")
    return made


def work(options: Namespace) -> None:
    """Read, print, write."""
    evaluations = Evaluations.read(options.rows, resamples=options.resamples)
    sys.stdout.write(f"{evaluations.main_grid().text()}\n{ABOVE_FIRST}\n")
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        record = json.dumps(record_of(evaluations), indent=1) + "\n"
        for suffix, content in ((".md", evaluations.markdown()), (".csv", evaluations.csv()), (".json", record)):
            write_atomically(options.output.with_name(options.output.name + suffix), content)


def main() -> NoReturn:
    """Console script."""
    options = parser().parse_args()
    sys.exit(told(lambda: work(options)))


if __name__ == "__main__":
    main()
