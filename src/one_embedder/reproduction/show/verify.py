"""``make verify``: whether the generated numbers are what the records give, and the records as they were written.

It changes nothing. What is told to differ is made anew by ``make readme``, or restored from git.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from one_embedder.ending import told
from one_embedder.errors import DataError
from one_embedder.files.location import CONF, PROJECT_ROOT, need_checkout
from one_embedder.reproduction.ablation.record import read_record
from one_embedder.reproduction.ablation.tables import runs_csv, to_markdown
from one_embedder.reproduction.show.hash_list import changed_files
from one_embedder.reproduction.show.readme import PAGES, fill, generated_parts


def differences(root: Path = PROJECT_ROOT, conf: Path = CONF) -> list[str]:
    """A sentence for each page, table or record that is not what it should be; none if all is well."""
    return [*changed_files(root / "experiments"), *_pages(root, conf), *_ablations(root)]


def _pages(root: Path, conf: Path) -> Iterator[str]:
    try:
        parts = generated_parts(root, conf)
    except DataError as error:
        yield str(error)
        return
    for name, held in PAGES.items():
        path = root / name
        text = path.read_text(encoding="utf-8")
        for part in held:
            if fill(text, {part: parts[part]}, path) != text:
                yield f"{path}: the part {part} is not what the records give; run `make readme`"


def _ablations(root: Path) -> Iterator[str]:
    for path in sorted((root / "experiments" / "ablations").glob("*/*.json")):
        try:
            record = read_record(path)
        except DataError as error:
            yield str(error)
            continue
        if not record.provenance:
            continue
        for table, text in (
            (path.with_suffix(".md"), to_markdown(record)),
            (path.with_suffix(".csv"), runs_csv(record)),
        ):
            if not table.is_file() or table.read_text(encoding="utf-8") != text:
                yield f"{table}: is not the table that {path.name} gives; run `make readme`"


def main() -> None:
    """Tell what differs.

    Raises:
        DataError: if anything does.
    """
    need_checkout("make verify")
    found = differences()
    if found:
        raise DataError("\n".join([f"{len(found)} files are not what they should be:", *found]))
    sys.stdout.write(f"verified: {', '.join(PAGES)}, the tables of ablations and every record\n")


if __name__ == "__main__":
    sys.exit(told(main))
