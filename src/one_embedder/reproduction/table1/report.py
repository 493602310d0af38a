"""The report of a reproduction: what goes to the terminal, and the files beside it."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.layout import INSTRUCTOR
from one_embedder.reproduction.steps.profiles import About, others_grid, others_text
from one_embedder.reproduction.table1.beside_published import beside_grid, notes, sources_text, tasks_beside_grid
from one_embedder.reproduction.table1.published import PublishedTable
from one_embedder.reproduction.table1.published_models import Beside
from one_embedder.reproduction.table1.results import Results, record_of
from one_embedder.reproduction.table1.tables import (
    claim_lines,
    difference_grid,
    interval_grid,
    main_grid,
    paper_grid,
    points_csv,
    task_grid,
    tasks_frame,
    to_csv,
    verdict_grid,
)
from one_embedder.reproduction.table1.verdicts import Basis, CellVerdict, Verdict
from one_embedder.tracking.manifest import write_atomically

JUDGED_BY: Mapping[Basis, str] = {
    Basis.SAME_KIND: "the same seed on the same kind of machine",
    Basis.BETWEEN_KINDS: "the same seed on other kinds of machine and how far those differ",
    Basis.ONE_KIND: "the spread over seeds, because only one kind of machine is recorded and this is another",
    Basis.OTHER_SEED: "the spread over seeds, because this seed is not recorded",
}
NEAR_ENDS = "Near cells end with exit code 3; table.accept_near=true accepts them."
WIDTH = 120
"""Characters of a line of prose in the terminal."""


@dataclass(frozen=True)
class Report:
    """Everything that is said about one reproduction.

    Attributes:
        results: the table's content.
        published: the paper's table, shown beside ours.
        statement: what this profile's numbers are and are not.
        about: profile -> what it is, needs and costs.
        provenance: data, settings, environment, runs, hardware and cost.
        beside: the published models that the rows stand beside; None where there are none.
    """

    results: Results
    published: PublishedTable
    statement: str
    about: Mapping[str, About]
    provenance: Mapping[str, Any]
    beside: Beside | None = None

    @cached_property
    def record(self) -> dict[str, Any]:
        """What ``<profile>.json`` holds, and most of this is rendered from."""
        told = {"notes": self.notes()} if self.beside else {}
        return {**record_of(self.results, self.statement, self.provenance), **told}

    @property
    def title(self) -> str:
        """Names the table, the profile and the seeds."""
        seeds = ", ".join(map(str, self.results.row(INSTRUCTOR).seeds))
        trained = f"; finetuned rows: mean over seeds {seeds}" if seeds else ""
        return f"Table 1, profile {self.results.profile} (points{trained})"

    @property
    def table(self) -> Grid:
        """The table itself; where numbers were published of its rows, they stand beside the obtained ones."""
        return main_grid(self.record) if self.beside is None else beside_grid(self.results, self.beside)

    def notes(self) -> list[str]:
        """What has to be told with the table."""
        return [] if self.beside is None else notes(self.results, self.beside)

    def basis(self) -> str:
        """What the intervals redraw, and what they therefore leave out."""
        trained = len(self.results.row(INSTRUCTOR).seeds)
        if trained > 1:
            return "paired bootstrap over test items, seeds redrawn too"
        alone = "; one seed: another may turn a difference, which the intervals do not show" if trained else ""
        return f"paired bootstrap over test items{alone}"

    def decided(self) -> str:
        """What the claims are decided by."""
        return f"{self.basis()}; p corrected for {len(self.results.claims)} claims (Holm)"

    def verdict(self) -> str:
        """How many cells got which verdict, and what they were judged by; or what holds for all of them."""
        comparison = self.results.comparison
        if comparison.note:
            return f"{comparison.note} {comparison.warning}".strip()
        verdicts = Counter(str(cell.verdict) for cell in comparison.cells)
        bases = Counter(cell.basis for cell in comparison.cells if cell.basis in JUDGED_BY)
        parts = [
            f"Expected against obtained: {', '.join(f'{n} {verdict}' for verdict, n in verdicts.items())}.",
            *(f"Judged by {JUDGED_BY[basis]}: {count}." for basis, count in bases.items()),
            NEAR_ENDS if comparison.exit_code == 3 else "",
            comparison.warning,
        ]
        return " ".join(filter(None, parts))

    def terminal(self) -> str:
        """The text that the command prints at its end."""
        parts = [
            f"The other profiles\n{others_text(self.about, self.results.profile)}",
            f"The paper's rows ({self.published.source})\n{paper_grid(self.published).text()}",
            textwrap.fill(self.statement, WIDTH),
            "\n".join([self.title, self.table.text(), *self.notes()]),
            *self._claims(f"Claims ({self.decided()}):\n", "  "),
            textwrap.fill(self.verdict(), WIDTH),
            *(grid.text() for grid in self._verdicts([c for c in self._cells() if c.verdict is not Verdict.OK])),
        ]
        return "\n\n".join(parts)

    def _claims(self, heading: str, bullet: str) -> list[str]:
        lines = claim_lines(self.record)
        return [heading + "\n".join(f"{bullet}{line}" for line in lines)] if lines else []

    def _cells(self) -> list[CellVerdict]:
        """Every judged cell, unless one sentence has said it for all of them."""
        return [] if self.results.comparison.note else list(self.results.comparison.cells)

    def _verdicts(self, cells: Sequence[CellVerdict]) -> list[Grid]:
        labels = {row.spec.id: row.spec.label for row in self.results.rows}
        return [verdict_grid(cells, labels)] if cells else []

    def markdown(self) -> str:
        """The whole report, per-task appendix included."""
        sections = [
            f"# {self.title}",
            self.statement,
            self.table.markdown(),
            *(["\n".join(f"- {line}" for line in self.notes())] if self.beside else []),
            f"Intervals: {self.basis()} ({self.provenance['bootstrap']['resamples']} resamples).",
            *self._claims(f"## Claims\n\nBy {self.decided()}.\n\n", "- "),
            "## INSTRUCTOR minus every other row, points\n\n" + difference_grid(self.record).markdown(),
            "## Every cell with its interval, points\n\n" + interval_grid(self.record).markdown(),
            f"## Expected against obtained\n\n{self.verdict()}",
            *(grid.markdown() for grid in self._verdicts(self._cells())),
            "## Per task, points\n\n" + self._appendix(),
            f"## The paper's rows\n\n{self.published.source}\n\n{paper_grid(self.published).markdown()}",
            "## The other profiles\n\n" + others_grid(self.about, self.results.profile).markdown(),
        ]
        return "\n\n".join(sections) + "\n"

    def _appendix(self) -> str:
        if self.beside is None:
            return task_grid(tasks_frame(self.results.rows)).markdown()
        sources = "\n".join(f"- {line}" for line in sources_text(self.beside))
        return f"{tasks_beside_grid(self.results, self.beside).markdown()}\n\nPublished scores:\n\n{sources}"


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write ``<profile>.{csv,md,tex,json}`` and ``<profile>_tasks.csv``; returns what was written."""
    profile = report.results.profile
    contents = {
        f"{profile}.csv": to_csv(report.record),
        f"{profile}_tasks.csv": points_csv(tasks := tasks_frame(report.results.rows), tasks.columns),
        f"{profile}.md": report.markdown(),
        f"{profile}.tex": report.table.latex(f"{report.title}. {report.statement}"),
        f"{profile}.json": json.dumps(report.record, indent=1) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]
