"""Generated parts of README and docs: ``python -m one_embedder.reproduction.show.readme`` (``make readme``) fills them.

They come from files under version control alone, so that no page goes stale when somebody runs a reproduction:
the recorded run (``experiments/expected``), the paper's table, the recorded comparison with published scores
(``experiments/harness``), the records of ablations, and what the profiles say about themselves.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.files.location import CONF, PROJECT_ROOT
from one_embedder.reproduction.ablation.record import AblationRecord, Tested, read_records
from one_embedder.reproduction.ablation.tables import to_markdown
from one_embedder.reproduction.compare.harness import read_published, read_record, recorded_harness
from one_embedder.reproduction.compare.side_by_side_record import ABOVE_FIRST, main_grid, read_side_by_side
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS, ROWS
from one_embedder.reproduction.steps.profiles import others_grid, read_about
from one_embedder.reproduction.table1.expected import ExpectedTable, read_expected
from one_embedder.reproduction.table1.published import load_published
from one_embedder.reproduction.table1.record import check_against_table1, read_table1
from one_embedder.reproduction.table1.tables import format_difference, header, paper_grid
from one_embedder.reproduction.table1.tolerances import between_kinds
from one_embedder.tracking.manifest import write_atomically

NOT_RUN = "not run"
PAGES: Mapping[str, tuple[str, ...]] = {
    "README.md": ("table1", "profiles"),
    "docs/results.md": ("table1_columns", "super_ni", "folder", "harness", "paper"),
    "docs/ablations.md": ("ablations", "ablations_super_ni"),
}
"""Page -> the generated parts it holds."""

log = logging.getLogger(__name__)


def fill(text: str, parts: Mapping[str, str], path: Path) -> str:
    """Replace what stands between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` for every part.

    Args:
        text: the page.
        parts: name -> Markdown.
        path: named in errors.

    Raises:
        DataError: if a part's markers are not there exactly once.
    """
    for name, content in parts.items():
        pattern = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise DataError(
                f"{path}: needs the lines <!-- {name}:begin --> and <!-- {name}:end --> once; put them back"
            )
        text = pattern.sub(lambda match, new=content: f"{match[1]}\n{new}\n\n{match[2]}", text)  # type: ignore[misc]
    return text


def generated_parts(root: Path = PROJECT_ROOT, conf: Path = CONF) -> dict[str, str]:
    """Name -> Markdown of every generated part.

    Raises:
        DataError: if a record cannot be read, or its numbers contradict each other or the files beside it.
    """
    expected = root / "experiments" / "expected"
    return {
        "table1": recorded_averages(_recorded(root, "documentation")),
        "table1_columns": recorded_table(_recorded(root, "documentation")),
        "super_ni": recorded_table(_recorded(root, "super_ni")),
        "paper": paper_grid(load_published(expected / "paper_table2.yaml")).markdown(),
        "harness": recorded_harness(
            read_published(expected / "minilm_published.yaml"),
            read_record(root / "experiments" / "harness" / "minilm.json"),
        ),
        "folder": recorded_side_by_side(
            read_side_by_side(root / "experiments" / "folder" / "minilm_instructions.json")
        ),
        "ablations": recorded_ablations(
            read_records(root / "experiments" / "ablations", "documentation"), configured_ablations(conf)
        ),
        "ablations_super_ni": recorded_ablations(read_records(root / "experiments" / "ablations", "super_ni"), []),
        "profiles": others_grid(read_about(conf), "").markdown(),
    }


def _recorded(root: Path, profile: str) -> ExpectedTable | None:
    """The recorded run of a profile, checked against the table that was written with it, where that is kept."""
    path = root / "experiments" / "expected" / f"table1_{profile}.yaml"
    table = root / "experiments" / "table1" / f"{profile}.json"
    recorded = read_expected(path)
    if recorded is not None and table.is_file():
        means = {line.row: recorded.shown.row(line.row) for line in recorded.shown.runs}
        check_against_table1(means, recorded.shown.recorded, read_table1(table), path)
    return recorded


def recorded_table(recorded: ExpectedTable | None) -> str:
    """The recorded run as a table with its claims; every cell ``not run`` when there is none."""
    if recorded is None:
        return Grid(header({}), [[spec.label, *[NOT_RUN] * 10] for spec in ROWS]).markdown().replace(" (0)", "")
    shown, rows = recorded.shown, []
    told = shown.recorded
    for spec in ROWS:
        columns = shown.row(spec.id)
        low, high = told["average_intervals"][spec.id]
        points = [f"{columns[column]:.1f}" for column in (*COLUMNS, AVERAGE)]
        rows.append([spec.label, *points, f"[{low:.1f}, {high:.1f}]"])
    interval = f"{100 * told['bootstrap']['confidence']:g} % interval"
    grid = Grid([*header(recorded.task_counts), interval], rows)
    claims = "\n".join(f"- {claim}" for claim in told["claims"])
    caption = (
        f"Points; finetuned rows are means over seeds {', '.join(map(str, told['seeds']))}; Python "
        f"{shown.environment['python']}, {told['hardware']['cores']} cores. {_machines(recorded)}"
    )
    return f"{grid.markdown()}\n\n{caption}\n\n{claims}"


def recorded_averages(recorded: ExpectedTable | None) -> str:
    """The recorded run's averages with its claims; ``not run`` when there is none."""
    if recorded is None:
        return Grid(["model", AVERAGE], [[spec.label, NOT_RUN] for spec in ROWS]).markdown()
    told, rows = recorded.shown.recorded, []
    for spec in ROWS:
        low, high = told["average_intervals"][spec.id]
        rows.append([spec.label, f"{recorded.shown.row(spec.id)[AVERAGE]:.1f}", f"[{low:.1f}, {high:.1f}]"])
    interval = f"{100 * told['bootstrap']['confidence']:g} % interval"
    claims = "\n".join(f"- {claim}" for claim in told["claims"])
    seeds = ", ".join(map(str, told["seeds"]))
    caption = f"Mean of the nine categories, points; finetuned rows are means over seeds {seeds}."
    return f"{Grid(['model', AVERAGE, interval], rows).markdown()}\n\n{caption}\n\n{claims}"


def _machines(recorded: ExpectedTable) -> str:
    """On what kinds of machine the same runs were recorded, and how far they lie apart."""
    kinds = "; ".join(run.kind for run in recorded.kinds)
    trained = next(line for line in recorded.shown.runs if line.seed is not None)
    apart = between_kinds(recorded.lines(), trained)
    if not apart:
        return f"Kind of machine: {kinds}."
    column = max(COLUMNS, key=lambda name: apart[name])
    return (
        f"Kinds of machine, the last one shown: {kinds}. Between them a finetuned row of one seed differs by up to "
        f"{apart[AVERAGE]:.1f} in the average and {apart[column]:.1f} in {column}."
    )


def recorded_side_by_side(record: Mapping[str, Any]) -> str:
    """Evaluations of one benchmark with the intervals of their means, and their differences from the first."""
    evaluation = record["rows"][0]["evaluations"][0]
    environment, commit = evaluation["environment"], evaluation["code"]["commit"][:7]
    learners = ", ".join(record["learners"])
    caption = (
        f"Points; {evaluation['started_at'][:10]}, commit {commit}, mteb {environment['mteb']}, torch "
        f"{environment['torch']}; {evaluation['hardware']['cpu']}. Prompt retrieval: learner {learners}; {ABOVE_FIRST}"
    )
    return f"{main_grid(record).markdown()}\n\n{caption}"


def configured_ablations(conf: Path) -> list[str]:
    """The names of the ablations that ``make ablation-NAME`` knows."""
    return sorted(path.stem for path in (conf / "ablation").glob("*.yaml"))


def recorded_ablations(records: Sequence[AblationRecord], names: Sequence[str]) -> str:
    """The claims of every recorded ablation with what decided them, and the ablations without a record.

    Args:
        records: of one profile.
        names: of all ablations.
    """
    parts = []
    if records:
        rows = [
            [f"`{record.name}`: {claim.text}", claim.source, *_decided(record, claim)]
            for record in records
            for claim in record.claims
        ]
        headers = ["ablation: claim", "from", "difference", "p (Holm)", "tasks won", "verdict"]
        parts += [Grid(headers, rows).markdown(), "\n".join(_told(record) for record in records)]
    absent = [name for name in names if name not in {record.name for record in records}]
    if absent:
        parts.append(f"No record yet (`make ablation-NAME` makes it): {', '.join(f'`{name}`' for name in absent)}.")
    return "\n\n".join(parts)


def _decided(record: AblationRecord, claim: Tested) -> list[str]:
    if claim.difference is None:
        return [NOT_RUN, "", "", claim.verdict]
    p_value = "" if claim.p_adjusted is None else f"{claim.p_adjusted:.3f}"
    won = "" if claim.tasks_won is None else f"{claim.tasks_won} of {claim.tasks_total}"
    return [format_difference(claim.difference), p_value, won, record.told(claim)]


def _told(record: AblationRecord) -> str:
    """One line about an ablation: its question, what it took, what is missing of it."""
    runs = {run for cell in record.cells if not cell.reference for run in cell.runs}
    cost = record.provenance["cost"]
    minutes = (cost["train_s"] + cost["evaluate_s"]) / 60
    missing = f" {len(record.missing)} runs are missing." if record.missing else ""
    return (
        f"- `{record.name}`: {record.question} {len(runs)} trainings of {record.trained}; {minutes:.0f} minutes."
        f"{missing} [Every cell](../experiments/ablations/{record.name}/{record.profile}.md)"
    )


def main(root: Path = PROJECT_ROOT) -> None:
    """Fill every page in place, and write the Markdown of every ablation anew from its record."""
    parts = generated_parts(root)
    for name, held in PAGES.items():
        path = root / name
        write_atomically(path, fill(path.read_text(encoding="utf-8"), {part: parts[part] for part in held}, path))
    for record in read_records(root / "experiments" / "ablations"):
        folder = root / "experiments" / "ablations" / record.name
        write_atomically(folder / f"{record.profile}.md", to_markdown(record))
    log.info("filled %s and the tables of ablations", ", ".join(PAGES))


if __name__ == "__main__":
    main()
