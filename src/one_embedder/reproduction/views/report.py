"""The steering table for readers and for programs: ``<profile>.md``, ``.csv`` and ``.json``.

Of another part than the test sets, the files are named ``<profile>_<part>``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from one_embedder.evaluation.views.steering import COLUMNS, steering
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.bootstrap import Bootstrap
from one_embedder.reproduction.statistics.claims import Claim
from one_embedder.reproduction.statistics.decision import told, trainings
from one_embedder.reproduction.table1.tables import format_difference, format_number
from one_embedder.reproduction.views.claims import BY
from one_embedder.reproduction.views.record import SCHEMA, SETS, file_stem
from one_embedder.reproduction.views.rows import MEAN, ViewRow, cell
from one_embedder.tracking.manifest import write_atomically

EXPLAINED = (
    "Every text is embedded under the instruction of each labeling of its set, and under none, and each embedding is "
    "held against each labeling. Right: the score of a labeling under its own instruction. Other: under the other "
    "labelings' instructions. None: under no instruction. Steering: right minus other. Points; means over the "
    "labelings of a set, and over the sets."
)
INTERVALS = (
    "paired bootstrap over the texts of each set, all models and instructions on the same drawn texts, seeds redrawn "
    "too; the sets are not redrawn"
)
HEADS: Mapping[str, str] = {"right": "right", "other": "other", "none": "none", "right_minus_none": "right minus none"}


@dataclass(frozen=True)
class ViewReport:
    """Everything that is said about one steering table; scores are 0-1 inside.

    Attributes:
        profile: its name.
        part: whose sets were scored, one of ``SETS``.
        rows: the models.
        bootstrap: over them.
        claims: decided.
        provenance: data, settings, environment, hardware and cost.
    """

    profile: str
    part: str
    rows: Sequence[ViewRow]
    bootstrap: Bootstrap
    claims: Sequence[Claim]
    provenance: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Names the table, the profile, what the sets are, and the seeds."""
        seeds = ", ".join(map(str, self.rows[-1].seeds))
        return f"Steering, profile {self.profile}: {SETS[self.part]} (finetuned rows: mean over seeds {seeds})"

    @property
    def stem(self) -> str:
        """Of the names of its files."""
        return file_stem(self.profile, self.part)

    def grid(self, measure: str) -> Grid:
        """One measure: the steering of every set, its mean with an interval, and what it is made of."""
        sets, percent = self.rows[0].sets, f"{100 * self.bootstrap.confidence:g} % interval"
        rows = [[row.spec.label, *self._cells(row.spec.id, measure, sets)] for row in self.rows]
        return Grid(["model", *sets, f"mean steering, {percent}", *HEADS.values()], rows)

    def _cells(self, row: str, measure: str, sets: Sequence[str]) -> list[str]:
        estimates = {name: 100 * value for name, value in self.bootstrap.estimates[row].items()}
        of_sets = [format_number(estimates[cell(measure, name, "steering")], signed=True) for name in sets]
        mean = format_difference(self.bootstrap.interval(row, cell(measure, MEAN, "steering")))
        parts = [
            format_number(estimates[cell(measure, MEAN, column)], signed=column == "right_minus_none")
            for column in HEADS
        ]
        return [*of_sets, mean, *parts]

    def labelings(self, measure: str) -> Grid:
        """The steering of every labeling, mean over seeds."""
        rows = []
        for number, name in enumerate(self.rows[0].sets):
            for labeling in self.rows[0].runs[0][number].labelings:
                cells = [_of_labeling(row, number, labeling, measure) for row in self.rows]
                rows.append([f"{name}, {labeling}", *(format_number(100 * value, signed=True) for value in cells)])
        return Grid(["set, labeling", *(row.spec.label for row in self.rows)], rows)

    def claim_lines(self) -> list[str]:
        """One sentence a claim, with the difference and the corrected p-value that decide it."""
        return [
            f"{claim.text}: {self.told(claim)} ({format_difference(claim.difference)}, p {claim.p_adjusted:.3f})"
            for claim in self.claims
        ]

    def told(self, claim: Claim) -> str:
        """Its verdict, with how often and how long was trained."""
        steps = self.provenance["settings"]["trainer"]["max_steps"]
        return told(claim.verdict, claim.difference, trainings(claim.seeds, [steps]))

    def terminal(self) -> str:
        """The text that the command prints at its end."""
        tables = [f"By {name}\n{self.grid(measure).text()}" for measure, name in BY.items()]
        claims = "\n".join(f"  {line}" for line in self.claim_lines())
        return "\n\n".join([self.title, *tables, f"Claims (p corrected for {len(self.claims)}, Holm):\n{claims}"])

    def markdown(self) -> str:
        """The whole report."""
        sections = [f"# {self.title}", EXPLAINED, f"Intervals: {INTERVALS} ({self._resamples()} resamples)."]
        sections += [f"## By {name}\n\n{self.grid(measure).markdown()}" for measure, name in BY.items()]
        listed = "\n".join(f"- {line}" for line in self.claim_lines())
        sections.append(f"## Claims\n\np corrected for {len(self.claims)} claims (Holm).\n\n{listed}")
        sections += [
            f"## Every labeling, by {name}\n\nSteering, points.\n\n{self.labelings(measure).markdown()}"
            for measure, name in BY.items()
        ]
        return "\n\n".join(sections) + "\n"

    def csv(self) -> str:
        """One line a model, measure, set and column; points."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["model", "measure", "set", "column", "points", "low", "high"])
        for row in self.rows:
            for name in self.bootstrap.estimates[row.spec.id]:
                interval = self.bootstrap.interval(row.spec.id, name)
                values = (interval.estimate, interval.low, interval.high)
                writer.writerow([row.spec.id, *name.split("/"), *(f"{100 * value:.4f}" for value in values)])
        return out.getvalue()

    def record(self) -> dict[str, Any]:
        """The report for programs; scores 0-1."""
        return {
            "schema": SCHEMA,
            "table": "views",
            "profile": self.profile,
            "part": self.part,
            "rows": [self._row(row) for row in self.rows],
            "claims": [{**asdict(claim), "told": self.told(claim)} for claim in self.claims],
            "intervals": INTERVALS,
            **self.provenance,
        }

    def _row(self, row: ViewRow) -> dict[str, Any]:
        intervals = {name: self.bootstrap.interval(row.spec.id, name) for name in self.bootstrap.estimates[row.spec.id]}
        return {
            "id": row.spec.id,
            "label": row.spec.label,
            "seeds": list(row.seeds),
            "results": list(row.folders),
            "scores": dict(self.bootstrap.estimates[row.spec.id]),
            "intervals": {name: [interval.low, interval.high] for name, interval in intervals.items()},
        }

    def _resamples(self) -> int:
        return len(next(iter(self.bootstrap.samples[self.rows[0].spec.id].values())))


def write_view_report(report: ViewReport, folder: Path) -> list[Path]:
    """Write the three files; returns what was written."""
    contents = {
        f"{report.stem}.md": report.markdown(),
        f"{report.stem}.csv": report.csv(),
        f"{report.stem}.json": json.dumps(report.record(), indent=1) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def averages(report: ViewReport) -> dict[str, float]:
    """Row, measure and column -> the mean over the sets, for comparing runs."""
    return {
        f"{row.spec.id}/{measure}/{column}": report.bootstrap.estimates[row.spec.id][cell(measure, MEAN, column)]
        for row in report.rows
        for measure in BY
        for column in COLUMNS
    }


def _of_labeling(row: ViewRow, number: int, labeling: str, measure: str) -> float:
    return float(np.mean([steering(run[number].table(measure))[labeling]["steering"] for run in row.runs]))
