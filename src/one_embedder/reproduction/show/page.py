"""The report page, ``experiments/report.html``: ``make report`` runs ``python -m one_embedder.reproduction.show.page``.

One file that needs nothing else: styles, script and figures are inside. It is made from records alone, computes no
score and says what was not run. Links lead to the records beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from one_embedder.ending import told
from one_embedder.files.location import CONF, PROJECT_ROOT
from one_embedder.reproduction.ablation.record import read_records
from one_embedder.reproduction.show.page_answer import answer_section, basis_section
from one_embedder.reproduction.show.page_model import Section
from one_embedder.reproduction.show.page_sections import (
    ablation_section,
    absent_section,
    claims_section,
    paper_section,
    side_by_side_section,
    table1_section,
    table1_title,
)
from one_embedder.reproduction.show.readme import configured_ablations
from one_embedder.reproduction.steps.places import table_places
from one_embedder.reproduction.steps.profiles import DEFAULT
from one_embedder.reproduction.table1.published import load_published
from one_embedder.reproduction.table1.record import read_table1
from one_embedder.reproduction.views.record import steering_sections
from one_embedder.tracking.manifest import write_atomically
from one_embedder.tracking.run_index import run_index

PUBLISHED = PROJECT_ROOT / "experiments" / "expected" / "paper_table2.yaml"
_TITLE = "one-embedder: results"
_LEAD = (
    "A reproduction of INSTRUCTOR (One Embedder, Any Task, Su et al. 2023). Every number here is read from a record: "
    "'recorded' came with the project, 'your run' was made on this machine; "
    "the runs behind it are linked where their records are kept, with commit, data and settings below each table."
)


def sections(experiments: Path, ablations: Sequence[str]) -> list[Section]:
    """Everything the page tells.

    Args:
        experiments: the folder of records.
        ablations: the names of all that could have been run.

    Raises:
        DataError: a record is there but cannot be read.
    """
    runs, places = run_index(experiments), table_places(experiments)
    tables = [(path, whose) for whose, place in places.items() for path in (place / "table1").glob("*.json")]
    tables.sort(key=lambda table: (table[0].stem != DEFAULT, table[0].stem))  # stable: the recorded one first
    records = [(record, whose) for whose, place in places.items() for record in read_records(place / "ablations")]
    records.sort(key=lambda own: (own[0].profile, own[0].name))
    absent = absent_section([path for path, _ in tables], ablations, [record for record, _ in records])
    return [
        *_first_sections(tables),
        *([] if tables else [absent]),
        *(table1_section(path, whose, runs) for path, whose in tables),
        *steering_sections(places),
        *([claims_section(records)] if records else []),
        *(ablation_section(record, whose, runs) for record, whose in records),
        *(side_by_side_section(path) for path in sorted((experiments / "folder").glob("*.json"))),
        paper_section(load_published(PUBLISHED)),
        *([absent] if tables else []),
    ]


def _first_sections(tables: Sequence[tuple[Path, str]]) -> list[Section]:
    """The answer and what it rests on, from the first table."""
    if not tables:
        return []
    read = {table1_title(path.stem, whose): read_table1(path) for path, whose in tables}
    first, *others = read
    return [answer_section(read[first]), basis_section(read[first], {title: read[title] for title in others})]


def render(parts: Sequence[Section]) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("one_embedder", "reproduction/show"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("page.html.j2").render(title=_TITLE, lead=_LEAD, sections=parts)


def write_page(experiments: Path = PROJECT_ROOT / "experiments") -> Path:
    """Write ``<experiments>/report.html``; an empty folder gives a page that says what to run."""
    path = experiments / "report.html"
    write_atomically(path, render(sections(experiments, configured_ablations(CONF))))
    return path


def main() -> None:
    """Console entry."""
    sys.exit(told(lambda: sys.stdout.write(f"wrote {write_page()}\n")))


if __name__ == "__main__":
    main()
