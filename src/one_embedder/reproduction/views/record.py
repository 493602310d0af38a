"""The recorded steering tables: read and checked against themselves, and shown in pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from one_embedder.errors import DataError
from one_embedder.evaluation.resampling import Interval
from one_embedder.evaluation.views.cells import MEASURES
from one_embedder.evaluation.views.steering import COLUMNS
from one_embedder.files.documents import read_json
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.show.page_model import Section, Table
from one_embedder.reproduction.statistics.consistency import equal, inside
from one_embedder.reproduction.steps.places import require_as_much
from one_embedder.reproduction.table1.tables import format_difference, format_number
from one_embedder.reproduction.views.claims import BY, CLAIMS, PAYING
from one_embedder.reproduction.views.rows import MEAN, cell

SCHEMA = 1
SETS: Mapping[str, str] = {
    "train": "sets that were trained on, by texts that were not",
    "dev": "sets for choosing settings, never trained on",
    "test": "sets never trained on",
}
"""Part -> what its sets are."""
_NOTE = (
    "Every text of a set has several labelings, and the instruction says which one is meant. Right minus another "
    "labeling's instruction is the steering; docs/views.md tells how it is measured."
)
_LOOKED_AT = "looked_at.json"
"""Of exploratory runs; another kind of file (``experiments/README.md``)."""

Record = Mapping[str, Any]


def file_stem(profile: str, part: str) -> str:
    """Of the names of a table's files: the profile, and the part where it is not the test sets."""
    return profile if part == "test" else f"{profile}_{part}"


def read_steering(path: Path) -> Record:
    """Read what ``ViewReport.record`` gave.

    Raises:
        DataError: if the file is no such record, or has numbers that contradict each other.
    """
    try:
        record = read_json(path)
        if (record["schema"], record["table"]) != (SCHEMA, "views") or record["part"] not in SETS:
            raise ValueError("it is of another schema or table")
        for row in record["rows"]:
            _check_row(row, f"{path}, row {row['id']}")
        scores = {row["id"]: row["scores"] for row in record["rows"]}
        known = {asked.text: asked for asked in CLAIMS}
        for claim in record["claims"]:
            where = f"{path}, claim {claim['text']}"
            inside(Interval(**claim["difference"]), where)
            equal(claim["difference"]["estimate"], known[claim["text"]].estimate(scores), where)
        return dict(record)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a steering table ({error!r}); restore it, or make it again") from error


def require_recordable(path: Path, extent: Mapping[str, int]) -> None:
    """Refuse to put a table in the place of one that rests on more, see ``require_as_much``."""
    if path.is_file():
        require_as_much(path, extent_of(read_steering(path)), extent)


def extent_of(record: Record) -> dict[str, int]:
    """What a table rests on."""
    return {
        "seeds": max(len(row["seeds"]) for row in record["rows"]),
        "steps": int(record["settings"]["trainer"]["max_steps"]),
        "tasks": len(record["data"]["views"]),
    }


def recorded_steering(folder: Path) -> str:
    """Every recorded table of a folder, as Markdown.

    Raises:
        DataError: see ``read_steering``.
    """
    return "\n\n".join(_shown(read_steering(path)) for path in recorded_files(folder)) or "No table is recorded yet."


def recorded_files(folder: Path) -> list[Path]:
    """The steering tables of a folder."""
    return [path for path in sorted(folder.glob("*.json")) if path.name != _LOOKED_AT]


def steering_grid(record: Record) -> Grid:
    """Each model's steering with its interval, and its scores with the right and with no instruction, points."""
    heads = [f"{column}, {name}" for name in BY.values() for column in ("steering", "right", "none")]
    rows = [[row["label"], *(text for measure in BY for text in _cells(row, measure))] for row in record["rows"]]
    return Grid(["model", *heads], rows)


def steering_in_short(path: Path) -> str:
    """One recorded table: the models' scores with the right, another and no instruction, and whether these pay.

    Raises:
        DataError: see ``read_steering``.
    """
    if not path.is_file():
        return "No table is recorded yet."
    record = read_steering(path)
    heads = [f"{name}: {words}" for name in BY.values() for words in ("right instruction", "another one", "none")]
    rows = [
        [
            row["label"],
            *(
                format_number(100 * row["scores"][cell(measure, MEAN, column)])
                for measure in BY
                for column in ("right", "other", "none")
            ),
        ]
        for row in record["rows"]
    ]
    return (
        f"{Grid(['model', *heads], rows).markdown()}\n\n"
        f"Points, means over {len(record['data']['views'])} {SETS[record['part']]}; {trained(record)}.\n\n"
        f"{_claims(claim for claim in record['claims'] if claim['text'].startswith(PAYING))}"
    )


def steering_sections(places: Mapping[str, Path]) -> list[Section]:
    """A part of the report page for each table, the recorded ones first.

    Args:
        places: whose, in words -> the folder that holds ``views/``.

    Raises:
        DataError: a record cannot be read.
    """
    return [_section(path, whose) for whose, place in places.items() for path in recorded_files(place / "views")]


def _shown(record: Record) -> str:
    stem = file_stem(record["profile"], record["part"])
    sets, hardware = ", ".join(record["data"]["views"]), record["hardware"]
    return (
        f"**Profile `{record['profile']}`, {SETS[record['part']]}**: {sets}.\n\n"
        f"{steering_grid(record).markdown()}\n\n"
        f"Points; {trained(record)}; commit "
        f"{record['code']['commit'][:7]}, {hardware['cores']} cores. Every set and labeling: "
        f"[`experiments/views/{stem}.md`](../experiments/views/{stem}.md)\n\n{_claims(record['claims'])}"
    )


def _section(path: Path, whose: str) -> Section:
    record = read_steering(path)
    claims = [
        [claim["text"], format_difference(Interval(**claim["difference"])), f"{claim['p_adjusted']:.3f}", claim["told"]]
        for claim in record["claims"]
    ]
    title = f"One text, many purposes, profile {record['profile']}, {SETS[record['part']]}: {whose}"
    return Section(
        "result",
        f"views-{path.stem}-{whose.replace(' ', '-')}",
        title,
        paragraphs=[_NOTE, f"Sets: {', '.join(record['data']['views'])}. Points; {trained(record)}."],
        tables=[
            Table("Mean over the sets, points", steering_grid(record)),
            Table("What it was made to decide", Grid(["claim", "difference", "p (Holm)", "verdict"], claims)),
        ],
        facts={"commit": record["code"]["commit"], "hardware": f"{record['hardware']['cores']} cores"},
    )


def _claims(claims: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"- {claim['text']}: {claim['told']}; {format_difference(Interval(**claim['difference']))}, "
        f"p {claim['p_adjusted']:.3f}"
        for claim in claims
    )


def trained(record: Record) -> str:
    """How often and how long, in words."""
    seeds: list[int] = max((row["seeds"] for row in record["rows"]), key=len)
    listed = ", ".join(map(str, seeds))
    return f"finetuned rows are means over seeds {listed}, {extent_of(record)['steps']} steps each"


def _cells(row: Mapping[str, Any], measure: str) -> list[str]:
    name = cell(measure, MEAN, "steering")
    low, high = row["intervals"][name]
    others = [format_number(100 * row["scores"][cell(measure, MEAN, column)]) for column in ("right", "none")]
    return [format_difference(Interval(row["scores"][name], low, high)), *others]


def _check_row(row: Mapping[str, Any], where: str) -> None:
    """Means are those of the sets, steering is right minus other, and every number lies in its interval."""
    scores = row["scores"]
    of_sets = sorted({name.split("/")[1] for name in scores} - {MEAN})
    for measure in MEASURES:
        for column in COLUMNS:
            mean = fmean(scores[cell(measure, name, column)] for name in of_sets)
            equal(scores[cell(measure, MEAN, column)], mean, f"{where}, {cell(measure, MEAN, column)}")
        for name in (MEAN, *of_sets):
            right, other = (scores[cell(measure, name, column)] for column in ("right", "other"))
            equal(scores[cell(measure, name, "steering")], right - other, f"{where}, steering of {name}")
    for name, (low, high) in row["intervals"].items():
        inside(Interval(scores[name], low, high), f"{where}, {name}")
