"""The figures of ``make torture`` as a table: what came of damaged files of every kind."""

from __future__ import annotations

from pathlib import Path

from one_embedder.errors import DataError
from one_embedder.files.documents import read_json
from one_embedder.reproduction.show.grid import Grid

OUTCOMES = ("taken", "refused", "fault")


def recorded_torture(path: Path) -> str:
    """The table, with its sum and where it was made; "Not run." when there is no record.

    Raises:
        DataError: if the record cannot be read.
    """
    if not path.is_file():
        return "Not run."
    try:
        record = read_json(path)
        kinds = {str(kind): [int(found.get(name, 0)) for name in OUTCOMES] for kind, found in record["kinds"].items()}
        made = f"Commit {record['commit'][:7]}; seeds 0 to {int(record['cases']) - 1} of each kind."
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a record of `make torture` ({error!r}); make it again") from error
    rows = [[kind, *map(str, (sum(counts), *counts))] for kind, counts in kinds.items()]
    sums = [sum(counts[place] for counts in kinds.values()) for place in range(len(OUTCOMES))]
    grid = Grid(["input", "cases", *OUTCOMES], [*rows, ["all", *map(str, (sum(sums), *sums))]])
    return f"{grid.markdown()}\n\n{made}"
