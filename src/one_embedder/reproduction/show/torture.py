"""The figures of ``make torture`` and ``make mutants`` as tables: damaged files, killed commands, faulty code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.files.documents import read_json
from one_embedder.reproduction.show.grid import Grid

OUTCOMES = ("taken", "refused", "fault")
FIGURES = ("runs", "kills", "asked", "full", "struck", "equal")


def recorded_torture(path: Path) -> str:
    """The table, with its sum and where it was made; "Not run." when there is no record.

    Raises:
        DataError: if the record cannot be read.
    """
    return _recorded(path, "input", ("cases", *OUTCOMES), _with_cases)


def recorded_kills(path: Path) -> str:
    """The table, with its sum and where it was made; "Not run." when there is no record.

    Raises:
        DataError: if the record cannot be read.
    """
    return _recorded(path, "command", FIGURES, lambda found: [int(found.get(name, 0)) for name in FIGURES])


def _with_cases(found: Mapping[str, Any]) -> list[int]:
    counts = [int(found.get(name, 0)) for name in OUTCOMES]
    return [sum(counts), *counts]


def _recorded(path: Path, what: str, columns: Sequence[str], figures: Callable[[Mapping[str, Any]], list[int]]) -> str:
    if not path.is_file():
        return "Not run."
    try:
        record = read_json(path)
        kinds = {str(kind): figures(found) for kind, found in record["kinds"].items()}
        made = f"Commit {record['commit'][:7]}; seeds 0 to {int(record['cases']) - 1} of each kind."
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a record of `make torture` ({error!r}); make it again") from error
    sums = [sum(column) for column in zip(*kinds.values(), strict=True)]
    rows = [[kind, *map(str, counts)] for kind, counts in {**kinds, "all": sums}.items()]
    return f"{Grid([what, *columns], rows).markdown()}\n\n{made}"


def recorded_mutants(path: Path) -> str:
    """A line for each module, and why each mutant survived that did; "Not run." when there is no record.

    Raises:
        DataError: if the record cannot be read.
    """
    if not path.is_file():
        return "Not run."
    try:
        record = read_json(path)
        modules = {str(name): found for name, found in record["modules"].items()}
        counts = {
            name: [int(found[key]) for key in ("mutants", "drawn", "killed")] + [len(found["survivors"])]
            for name, found in modules.items()
        }
        told = [
            f"- `{name}`, {survivor['mutant'].partition(':')[0] or 'module'}: `{_code(survivor['mutant'])}`. "
            f"{survivor['reason'] or 'No test notices it.'}"
            for name, found in modules.items()
            for survivor in found["survivors"]
        ]
        made = f"Commit {record['commit'][:7]}; at most {int(record['most'])} of a module, drawn by seed."
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a record of `make mutants` ({error!r}); make it again") from error
    sums = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [[f"`{name}`", *map(str, found)] for name, found in counts.items()]
    grid = Grid(["module", "mutants", "run", "killed", "survived"], [*rows, ["all", *map(str, sums)]])
    return "\n\n".join([grid.markdown(), made, "Those that survived:", "\n".join(told)])


def _code(mutant: str) -> str:
    return mutant.partition(": ")[2].replace("`", "'")
