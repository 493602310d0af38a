"""Generated parts of README and docs: ``python -m one_embedder.reproduction.show.readme`` (``make readme``) fills them.

They come from what is recorded, which is under version control, and never from one's own runs (``experiments/own``):
Table 1 and the ablations, the paper's table, the comparison with published scores, and what the profiles say about
themselves.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.files.location import CONF, PROJECT_ROOT
from one_embedder.reproduction.ablation.headroom import headroom
from one_embedder.reproduction.ablation.headroom_tables import LEGEND, agreement, headroom_grid
from one_embedder.reproduction.ablation.record import AblationRecord, read_records
from one_embedder.reproduction.ablation.tables import claim_sentences, runs_csv, to_markdown
from one_embedder.reproduction.compare.harness import read_published, read_record, recorded_harness
from one_embedder.reproduction.compare.side_by_side_record import (
    ABOVE_FIRST,
    difference_grid,
    main_grid,
    read_side_by_side,
)
from one_embedder.reproduction.show.figures import growth_figure, svg_file
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.show.hash_list import write_hashes
from one_embedder.reproduction.show.speed import recorded_speed, recorded_takes
from one_embedder.reproduction.show.torture import recorded_kills, recorded_mutants, recorded_torture
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS, ROWS
from one_embedder.reproduction.steps.profiles import others_grid, read_about
from one_embedder.reproduction.table1.expected import ExpectedTable, read_expected
from one_embedder.reproduction.table1.published import load_published
from one_embedder.reproduction.table1.record import check_against_table1, read_table1
from one_embedder.reproduction.table1.tables import claim_lines, header, means_over_seeds, paper_grid, score_grid
from one_embedder.reproduction.table1.tolerances import between_kinds
from one_embedder.reproduction.views.record import recorded_steering, steering_in_short
from one_embedder.tracking.manifest import write_atomically

NOT_RUN = "not run"
NEGATIVES = "negatives_"
"""How the names of records begin that compare a specialist's negatives; its kind of training task follows."""
PAGES: Mapping[str, tuple[str, ...]] = {
    "README.md": ("table1", "growth", "steering", "takes"),
    "docs/results.md": ("table1_columns", "super_ni", "mixture", "mixture_longer", "folder", "harness", "paper"),
    "docs/ablations.md": ("ablations", "headroom", "negatives", "ablations_mixture", "ablations_super_ni"),
    "docs/views.md": ("views",),
    "docs/training.md": ("profiles",),
    "docs/reliability.md": ("torture", "kills", "mutants"),
    "experiments/bench/README.md": ("speed",),
}
"""Page -> the generated parts it holds."""

Recorded = tuple[Mapping[str, Any], ExpectedTable]
"""A recorded table, and the runs that later ones are judged by."""

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
    ablations = read_records(root / "experiments" / "ablations")
    of_default, of_mixture, of_super_ni = (
        [record for record in ablations if record.profile == profile]
        for profile in ("documentation", "mixture", "super_ni")
    )
    unrecorded = [name for name in configured_ablations(conf) if name not in {record.name for record in ablations}]
    return {
        "table1": recorded_averages(_recorded(root, "documentation")),
        "table1_columns": recorded_table(_recorded(root, "documentation")),
        "super_ni": recorded_table(_recorded(root, "super_ni")),
        "mixture": recorded_table(_recorded(root, "mixture")),
        "paper": paper_grid(load_published(expected / "paper_table2.yaml")).markdown(),
        "harness": recorded_harness(
            read_published(expected / "minilm_published.yaml"),
            read_record(root / "experiments" / "harness" / "minilm.json"),
        ),
        "mixture_longer": _side_by_side(root, "mixture_1600_steps"),
        "folder": _side_by_side(root, "minilm_instructions"),
        "ablations": recorded_ablations(of_default, unrecorded),
        "growth": recorded_growth(of_default),
        "headroom": recorded_headroom(ablations),
        "negatives": recorded_negatives(sorted((root / "experiments" / "folder").glob(f"{NEGATIVES}*.json"))),
        "ablations_mixture": recorded_ablations(of_mixture, []),
        "ablations_super_ni": recorded_ablations(of_super_ni, []),
        "views": recorded_steering(root / "experiments" / "views"),
        "steering": steering_in_short(root / "experiments" / "views" / "mixture.json"),
        "takes": recorded_takes(root / "experiments" / "bench" / "fresh_clone.json"),
        "speed": recorded_speed(root / "experiments" / "bench"),
        "torture": recorded_torture(root / "experiments" / "torture" / "malformed.json"),
        "kills": recorded_kills(root / "experiments" / "torture" / "kills.json"),
        "mutants": recorded_mutants(root / "experiments" / "torture" / "mutants.json"),
        "profiles": others_grid(read_about(conf), "").markdown(),
    }


def _recorded(root: Path, profile: str) -> Recorded | None:
    """The recorded table of a profile, and the runs that later ones are judged by, once they agree."""
    path = root / "experiments" / "expected" / f"table1_{profile}.yaml"
    expected = read_expected(path)
    if expected is None:
        return None
    record = read_table1(root / "experiments" / "table1" / f"{profile}.json")
    check_against_table1({line.row: expected.shown.row(line.row) for line in expected.shown.runs}, record, path)
    return record, expected


def recorded_table(recorded: Recorded | None) -> str:
    """The recorded run as a table with its claims; every cell ``not run`` when there is none."""
    if recorded is None:
        return Grid(header({}), [[spec.label, *[NOT_RUN] * 10] for spec in ROWS]).markdown().replace(" (0)", "")
    record, expected = recorded
    caption = (
        f"Points; {means_over_seeds(record)}; Python {record['environment']['python']}, "
        f"{record['hardware']['cores']} cores. {_machines(expected)}"
    )
    return f"{score_grid(record).markdown()}\n\n{caption}\n\n{_claims(record)}"


def recorded_averages(recorded: Recorded | None) -> str:
    """The recorded run's averages with its claims; ``not run`` when there is none."""
    if recorded is None:
        return Grid(["model", AVERAGE], [[spec.label, NOT_RUN] for spec in ROWS]).markdown()
    record, _ = recorded
    scores = score_grid(record)
    grid = Grid(["model", *scores.headers[-2:]], [[row[0], *row[-2:]] for row in scores.rows])
    return f"{grid.markdown()}\n\nMean of the nine categories, points; {means_over_seeds(record)}.\n\n{_claims(record)}"


def _claims(record: Mapping[str, Any]) -> str:
    return "\n".join(f"- {line}" for line in claim_lines(record))


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


def _side_by_side(root: Path, name: str) -> str:
    return recorded_side_by_side(read_side_by_side(root / "experiments" / "folder" / f"{name}.json"))


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


def recorded_ablations(records: Sequence[AblationRecord], unrecorded: Sequence[str]) -> str:
    """The claims of every recorded ablation with what decided them, and the ablations without a record.

    Args:
        records: of one profile.
        unrecorded: names of the ablations that no profile has a record of.
    """
    parts = []
    if records:
        grids = [(record.name, claim_sentences(record)) for record in records]
        rows = [[f"`{name}`: {claim}", *decided] for name, grid in grids for claim, *decided in grid.rows]
        headers = ["ablation: claim", *grids[0][1].headers[1:]]
        parts += [Grid(headers, rows).markdown(), "\n".join(_told(record) for record in records)]
    if unrecorded:
        parts.append(f"No record yet (`make ablation-NAME` makes it): {', '.join(f'`{name}`' for name in unrecorded)}.")
    return "\n\n".join(parts)


def recorded_growth(records: Sequence[AblationRecord]) -> str:
    """The figures of the averages against the steps of training, and the claims of those ablations.

    Args:
        records: of one profile; those without steps as an axis are passed over.
    """
    parts = []
    for record in records:
        if growth_figure(record) is not None:
            figure = f"experiments/ablations/{record.name}/{record.profile}.svg"
            claims = [
                f"- {claim.rstrip('.')}: {verdict}; {difference}, p {p}"
                for claim, _, difference, p, _, verdict in claim_sentences(record).rows
            ]
            parts += [f"![average of the models against their steps of training]({figure})", "\n".join(claims)]
    return "\n\n".join(parts) if parts else NOT_RUN


def recorded_headroom(records: Sequence[AblationRecord]) -> str:
    """The headroom of every ablation that asks for it, task by task."""
    told = [
        f"`{record.name}`, profile {record.profile}, {record.trained}:\n\n{headroom_grid(record).markdown()}\n\n"
        f"{agreement(record)}"
        for record in records
        if headroom(record)
    ]
    return "\n\n".join([*told, LEGEND]) if told else NOT_RUN


def recorded_negatives(paths: Sequence[Path]) -> str:
    """What other negatives are worth to specialists, one record a kind of training task."""
    rows, headers = [], []
    for path in paths:
        kind, grid = path.stem.removeprefix(NEGATIVES), difference_grid(read_side_by_side(path))
        headers = ["trained on", "told from", *(column for column, *_ in grid.rows)]
        rows += [
            [kind, label, *(line[place] for line in grid.rows)] for place, label in enumerate(grid.headers[1:], start=1)
        ]
    return Grid(headers, rows).markdown() if rows else NOT_RUN


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
    """Fill every page in place, write the tables of every ablation anew from its record, and the hashes of all."""
    parts = generated_parts(root)
    for name, held in PAGES.items():
        path = root / name
        write_atomically(path, fill(path.read_text(encoding="utf-8"), {part: parts[part] for part in held}, path))
    for record in read_records(root / "experiments" / "ablations"):
        table = root / "experiments" / "ablations" / record.name / f"{record.profile}.md"
        write_atomically(table, to_markdown(record))
        write_atomically(table.with_suffix(".csv"), runs_csv(record))
        if (growth := growth_figure(record)) is not None:
            write_atomically(table.with_suffix(".svg"), svg_file(growth, f"{record.name} {record.profile}"))
    write_hashes(root / "experiments")
    log.info("filled %s and the tables of ablations", ", ".join(PAGES))


if __name__ == "__main__":
    main()
