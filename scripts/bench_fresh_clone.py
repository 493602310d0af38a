"""What ``make reproduce-table1`` takes on this machine, from an empty folder.

    python -m scripts.bench_fresh_clone [--place FOLDER]

Clones the last commit and runs in the clone ``make setup``, ``make reproduce-table1`` and the same again, one after the
other, as a new user does: nothing of this checkout is used, and what the environment says of threads and folders is
left out. It takes as long as they do. Where the machine has other work, the times say little; the load before it is
recorded. If a command fails, its clone stays to be looked at.
Writes ``experiments/own/bench/fresh_clone.{json,md}``; ``--record experiments/bench/fresh_clone`` records instead.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from one_embedder.errors import OneEmbedderError
from one_embedder.files.location import PROJECT_ROOT
from scripts.bench_record import origin, own_record, run

SETUP, TABLE, AGAIN = "make setup", "make reproduce-table1", "make reproduce-table1, again"
OWN_TABLE = Path("experiments", "own", "table1", "documentation.json")
_ONES_OWN = ("PYTHONPATH", "VIRTUAL_ENV", "OMP_NUM_THREADS")
_OWN_BEGINNINGS = ("MAKE", "MFLAGS", "MALLOC_", "HF_")


def main() -> None:
    """Measure and write the record."""
    run(_parser(), bench, rendered)


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """The record: seconds of each command, and of each stage of the reproduction as its own table tells them.

    Raises:
        OneEmbedderError: if the checkout has changes that no commit has, or a command failed.
    """
    now = origin()
    if now["code"]["dirty"]:
        raise OneEmbedderError(
            "this checkout has changes that its last commit, which is measured, has not: commit first"
        )
    load = os.getloadavg()[0]
    place = Path(tempfile.mkdtemp(dir=arguments.place))
    folder = clone(str(now["code"]["commit"]), place / "clone")
    seconds = {SETUP: _seconds(SETUP, folder), TABLE: _seconds(TABLE, folder)}
    table = json.loads((folder / OWN_TABLE).read_text(encoding="utf-8"))
    seconds[AGAIN] = _seconds(TABLE, folder)
    shutil.rmtree(place)
    of_table = {"stages": table["cost"]["stages"], "hardware": table["hardware"]}  # which knows torch's arithmetic
    return {"seconds": seconds, "load_average": round(load, 1), **now, **of_table}


def _seconds(command: str, folder: Path) -> float:
    """On the clock, until the command has ended well."""
    began = time.monotonic()
    done = subprocess.run(command.split(), cwd=folder, env=plain_environment(), check=False)
    if done.returncode:
        raise OneEmbedderError(f"{command} ended with {done.returncode} in {folder}, which is left as it is")
    seconds = round(time.monotonic() - began, 1)
    sys.stderr.write(f"{command}: {seconds} s\n")  # a command after it may fail
    return seconds


def clone(commit: str, place: Path) -> Path:
    """The repository at a commit, in a folder that is not there yet.

    Raises:
        OneEmbedderError: if it has no such commit.
    """
    for arguments in (["clone", "--quiet", "--no-checkout", PROJECT_ROOT, place], ["-C", place, "checkout", commit]):
        done = subprocess.run(["git", *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OneEmbedderError(f"{commit}: cannot be cloned into {place}: {done.stderr.strip()}")
    return place


def plain_environment() -> dict[str, str]:
    """This process's environment without what tells Python, torch, make or the hub how to work."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _ONES_OWN and not name.startswith(_OWN_BEGINNINGS)
    }


def rendered(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    from one_embedder.reproduction.show.grid import Grid

    hardware, environment = record["hardware"], record["environment"]
    rows = []
    for name, seconds in record["seconds"].items():
        rows.append([name, f"{seconds:,.0f}"])
        if name == TABLE:
            rows += [[f"- {stage}", f"{took:,.0f}"] for stage, took in record["stages"].items()]
    note = (
        f"A clone of commit {str(record['code']['commit'])[:7]}, the commands one after the other; "
        f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB; {hardware['arithmetic']}; load "
        f"average {record['load_average']} before. Python {environment['python']}. "
        "Written by scripts/bench_fresh_clone.py."
    )
    return f"# From a fresh clone to the table\n\n{note}\n\n{Grid(['command', 'seconds'], rows).markdown()}\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add(
        "--place",
        type=Path,
        help="an existing folder to clone below, with 8 GB free [the system's for temporary files]",
    )
    add("--record", type=Path, default=own_record("fresh_clone"), help="where to write .json and .md [%(default)s]")
    return parser


if __name__ == "__main__":
    main()
