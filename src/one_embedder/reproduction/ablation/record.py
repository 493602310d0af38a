"""The record of an ablation: what its tables, the notebooks and the report are made of.

``<experiments>/ablations/<name>/`` holds, for each profile,

- ``<profile>/<child>/manifest.yaml``: the run record of each child (one training and its evaluations, or one untrained
  reference), made when it ran; ``reproduction.ablation.child`` says what its outcome holds;
- ``<profile>.json``: the record, one ``AblationRecord`` as JSON, made from the children and their results;
- ``<profile>.csv`` and ``<profile>.md``: the same for readers. The CSV has one row a run and evaluation.

All scores are 0-1, never points. A *cell* is one combination of levels (or one reference) with all its seeds; only
whole cells are in a record. ``missing`` names the children that are not there yet: a complete record has none.

The record is whole by itself: reading it needs neither the result files nor a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from one_embedder.errors import DataError
from one_embedder.evaluation.resampling import Interval
from one_embedder.files.documents import read_json
from one_embedder.reproduction.statistics.consistency import equal, inside, number, refuse, scores
from one_embedder.reproduction.statistics.decision import told, trainings
from one_embedder.reproduction.statistics.layout import AVERAGE
from one_embedder.tracking.manifest import write_atomically

SCHEMA = 1
_MOST_STEPS = 3  # different lengths of trainings that a sentence lists


@dataclass(frozen=True)
class Axis:
    """One thing that is varied.

    Attributes:
        name: key in a cell's ``levels``.
        label: for readers, such as an axis of a figure.
        evaluated: True: only how a model is scored; False: each level is trained.
        levels: level -> settings (dotted key of the configuration -> value), in the order to be shown.
    """

    name: str
    label: str
    evaluated: bool
    levels: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Cell:
    """One combination of levels, or one reference.

    Attributes:
        id: ``with+all``: its levels in the order of the axes; a reference's own name.
        label: for readers.
        reference: whether this is an untrained model, which has one run, no seed and no levels.
        levels: axis -> level.
        seeds: of its trainings.
        runs: the training's run id of each seed; of a reference, its encoder.
        results: the folder of results of each run, relative to the project's root where it lies there.
        columns: per run, column (category or ``average``) -> score.
        tasks: task -> its score in each run.
        scores: column -> mean over runs.
        deviations: column -> standard deviation over runs (n - 1); 0 for a single one.
        intervals: column -> interval of the mean over test items and seeds.
        steps: of each training; empty for a reference, and in records made before it was kept.
    """

    id: str
    label: str
    reference: bool
    levels: Mapping[str, str]
    seeds: Sequence[int]
    runs: Sequence[str]
    results: Sequence[str]
    columns: Sequence[Mapping[str, float]]
    tasks: Mapping[str, Sequence[float]]
    scores: Mapping[str, float]
    deviations: Mapping[str, float]
    intervals: Mapping[str, Interval]
    steps: Sequence[int] = ()


@dataclass(frozen=True)
class HeadroomCells:
    """What headroom is computed from (see ``headroom``), by the ids of cells.

    Attributes:
        backbone: the untrained encoder.
        generalist: trained on all tasks, without instructions.
        instructed: the same with instructions.
        specialists: those trained on one kind of task -> the kind.
        mirrors: kind -> tasks of the benchmark that are made as its data are.
    """

    backbone: str
    generalist: str
    instructed: str
    specialists: Mapping[str, str]
    mirrors: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Tested:
    """A claim and what decided it.

    Attributes:
        id: its key in the configuration.
        text: the sentence that is tested, in our words.
        source: its place in the paper, or that it is ours.
        column: which scores it is about.
        gap_over: axis whose best minus worst level is compared; None: the scores themselves are.
        plus: cells (of an axis' gap: their ids without its level) that count positively.
        minus: cells that count negatively.
        difference: sum of plus minus sum of minus, 0-1, with its interval; None, as all below, if a cell is missing.
        p_value: two-sided, from the bootstrap over items and seeds.
        p_adjusted: the same after Holm's correction over the claims of this ablation; see ``decision``.
        tasks_won: tasks whose difference is above zero.
        tasks_total: of so many.
        verdict: supported | not supported | undecided | one seed | missing.
    """

    id: str
    text: str
    source: str
    column: str
    gap_over: str | None
    plus: Sequence[str]
    minus: Sequence[str]
    difference: Interval | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    tasks_won: int | None = None
    tasks_total: int | None = None
    verdict: str = "missing"


@dataclass(frozen=True)
class PublishedPoint:
    """A number of the paper, for figures; points (0-100), and never in a column with ours.

    Attributes:
        label: what it belongs to.
        levels: axis -> level, where it corresponds to one of ours.
        points: 0-100.
        source: where it was read.
        second_hand: whether nobody could check it against the paper.
    """

    label: str
    levels: Mapping[str, str]
    points: float
    source: str
    second_hand: bool


@dataclass(frozen=True)
class AblationRecord:
    """Everything about one ablation on one profile.

    Attributes:
        name: of the ablation, as in ``conf/ablation``.
        profile: of the runs.
        question: what it asks.
        seeds: of every trained cell.
        axes: in the order of the configuration.
        cells: references first, then in the order of the levels.
        claims: in the order of the configuration.
        published: numbers of the paper beside it.
        missing: children without a completed record.
        task_categories: task -> category, in the order of the table.
        provenance: ``data`` (name -> sha256), ``settings`` (sha256), ``environment``, ``code``, ``hardware``,
            ``bootstrap`` (resamples, confidence, seed), ``steps`` (of a training; several where the children differ)
            and ``cost`` (``train_s`` and ``evaluate_s``, of all children).
        headroom: which cells it is computed from; None where it is not asked for, or one of them is missing.
    """

    name: str
    profile: str
    question: str
    seeds: Sequence[int]
    axes: Sequence[Axis]
    cells: Sequence[Cell]
    claims: Sequence[Tested]
    published: Sequence[PublishedPoint]
    missing: Sequence[str]
    task_categories: Mapping[str, str]
    provenance: Mapping[str, Any]
    headroom: HeadroomCells | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every child has run."""
        return not self.missing

    def told(self, claim: Tested) -> str:
        """The verdict of one of the claims as readers see it."""
        return told(claim.verdict, claim.difference, self._trained_behind(claim))

    def _trained_behind(self, claim: Tested) -> str:
        """The trainings that it compares, see ``trainings``; with the steps of all where its cells do not tell."""
        compared = [cell for cell in self.cells if cell.id in {*claim.plus, *claim.minus}]
        if compared and all(cell.reference for cell in compared):
            return ""
        steps = sorted({steps for cell in compared for steps in cell.steps}) or self.provenance.get("steps", ())
        return trainings(len(self.seeds), steps)

    @property
    def trained(self) -> str:
        """How long and how often, for readers: ``150 steps, seeds 0, 1, 2``."""
        every = self.provenance["steps"]
        steps = " or ".join(map(str, every)) if len(every) <= _MOST_STEPS else f"{min(every)} to {max(every)}"
        return f"{steps} steps, seeds {', '.join(map(str, self.seeds))}"

    def cell(self, name: str) -> Cell:
        """The cell of that id.

        Raises:
            DataError: if it is not there.
        """
        for cell in self.cells:
            if cell.id == name:
                return cell
        known = ", ".join(cell.id for cell in self.cells)
        raise DataError(f"ablation {self.name}: no cell {name!r}; there are {known}")


def write_record(path: Path, record: AblationRecord) -> None:
    """Write ``<profile>.json``."""
    content = {"schema": SCHEMA, **asdict(record)}
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_record(path: Path) -> AblationRecord:
    """Read what ``write_record`` wrote.

    Raises:
        DataError: if the file is missing, is not such a record, or has numbers that contradict each other.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no record of this ablation; run `make ablation-{path.parent.name}`")
    try:
        content = read_json(path)
        if content.pop("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        content["axes"] = [Axis(**axis) for axis in content["axes"]]
        for cell in content["cells"]:
            cell["intervals"] = {column: Interval(**bounds) for column, bounds in cell["intervals"].items()}
        content["cells"] = [Cell(**cell) for cell in content["cells"]]
        content["claims"] = [_tested(claim) for claim in content["claims"]]
        content["published"] = [PublishedPoint(**point) for point in content["published"]]
        if content.get("headroom") is not None:
            content["headroom"] = HeadroomCells(**content["headroom"])
        record = AblationRecord(**content)
        for cell in record.cells:
            _check_cell(cell, record.task_categories, f"{path}, cell {cell.id}")
        if (known := record.headroom) is not None:
            for name in (known.backbone, known.generalist, known.instructed, *known.specialists):
                record.cell(name)
        for claim in record.claims:
            _check_claim(record, claim, f"{path}, claim {claim.id}")
        return record
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not the record of an ablation ({error!r}); delete it and tabulate again") from error


def read_records(folder: Path, profile: str = "*") -> list[AblationRecord]:
    """Every ablation of which something has run, by profile and name.

    Args:
        folder: ``<experiments>/ablations``.
        profile: of the runs, or a pattern.

    Raises:
        DataError: if a record is damaged.
    """
    paths = sorted(folder.glob(f"*/{profile}.json"), key=lambda path: (path.stem, path))
    records = [read_record(path) for path in paths]
    return [record for record in records if record.provenance]


def _tested(content: Mapping[str, Any]) -> Tested:
    """Without what earlier records told of a claim besides: further p-values, effect sizes."""
    bounds = content["difference"]
    known = {field.name: content[field.name] for field in fields(Tested) if field.name in content}
    return Tested(**{**known, "difference": None if bounds is None else Interval(**bounds)})


def _check_cell(cell: Cell, categories: Mapping[str, str], where: str) -> None:
    """Its runs' categories are the means of their tasks, its scores the means of its runs, in their intervals."""
    if not len(cell.columns) == len(cell.runs) == len(cell.results) == max(1, len(cell.seeds)):
        raise refuse(where, "runs, results, columns and seeds are not equally many")
    for run, columns in enumerate(cell.columns):
        told_run = f"{where}, run {run + 1}"
        scores(columns, told_run)
        by_column: dict[str, list[float]] = {}
        for task, values in cell.tasks.items():
            by_column.setdefault(categories[task], []).append(number(values[run], f"{told_run}, task {task}", -1, 1))
        for column in columns.keys() - {AVERAGE}:
            equal(columns[column], fmean(by_column[column]), f"{told_run}, {column}")
    scores(cell.scores, where)
    for column, score in cell.scores.items():
        runs = [columns[column] for columns in cell.columns]
        equal(score, fmean(runs), f"{where}, {column}")
        equal(cell.deviations[column], stdev(runs) if len(runs) > 1 else 0.0, f"{where}, deviation of {column}")
        equal(cell.intervals[column].estimate, score, f"{where}, {column} and the estimate of its interval")
        inside(cell.intervals[column], f"{where}, {column}")


def _check_claim(record: AblationRecord, claim: Tested, where: str) -> None:
    """Its difference is that of its cells, and lies in its interval; p-values are probabilities."""
    for value in (claim.p_value, claim.p_adjusted):
        if value is not None:
            number(value, f"{where}, p", 0.0, 1.0)
    if claim.difference is not None:
        inside(claim.difference, where)
        plus, minus = (sum(_value(record, claim, cell, where) for cell in side) for side in (claim.plus, claim.minus))
        equal(claim.difference.estimate, plus - minus, where)


def _value(record: AblationRecord, claim: Tested, name: str, where: str) -> float:
    """The score of a cell; of an axis' gap, its best minus its worst level."""
    if claim.gap_over is None:
        cells = [cell for cell in record.cells if cell.id == name]
    else:
        axes = [axis.name for axis in record.axes if axis.name != claim.gap_over]
        levels = [[cell.levels[axis] for axis in axes if axis in cell.levels] for cell in record.cells]
        each = zip(record.cells, levels, strict=True)
        cells = [cell for cell, own in each if not cell.reference and name == ("+".join(own) or "trained")]
    if not cells:
        raise refuse(where, f"has a difference, but the record has no cell {name!r}")
    values = [cell.scores[claim.column] for cell in cells]
    return values[0] if claim.gap_over is None else max(values) - min(values)
