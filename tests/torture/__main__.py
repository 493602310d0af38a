"""``make torture``: damaged files of every kind; interrupted, the same command goes on where it stopped."""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from one_embedder.files.location import PROJECT_ROOT
from one_embedder.tracking.machine import code_state
from tests.torture.case_log import Case, faults, judged, write_record
from tests.torture.data_surfaces import SURFACES as DATA
from tests.torture.judge import judge
from tests.torture.record_surfaces import SURFACES as RECORDS
from tests.torture.surface import Surface

RECORD = PROJECT_ROOT / "experiments" / "torture" / "malformed.json"


def main(arguments: list[str]) -> int:
    """Run what is missing; 1 if a case is a fault."""
    asked = _parsed(arguments)
    logging.disable(logging.CRITICAL)
    log = asked.output / f"{code_state()['commit']}.jsonl"
    every = [(surface, seed) for surface in (*DATA, *RECORDS) for seed in range(asked.cases)]
    cases = {(surface.name, seed): partial(_judge, surface, seed) for surface, seed in every}
    verdicts = judged(cases, log, lambda line: (line["surface"], line["seed"]))
    for fault in faults(verdicts):
        sys.stdout.write(f"{fault['surface']}, seed {fault['seed']}, {fault['damage']}: {fault['told']}\n")
    sys.stdout.write(f"{len(verdicts)} cases, {len(faults(verdicts))} faults: {log}\n")
    if asked.record:
        _record(verdicts, asked.cases)
    return int(bool(faults(verdicts)))


def _judge(surface: Surface, seed: int) -> Case:
    return judge(surface, seed).to_json()


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--cases", type=int, default=100, help="of each kind of input; seeds 0, 1, ...")
    parser.add_argument("--output", type=Path, default=PROJECT_ROOT / "experiments" / "own" / "torture")
    parser.add_argument(
        "--record", action="store_true", help=f"write the figures to {RECORD.relative_to(PROJECT_ROOT)}"
    )
    return parser.parse_args(arguments)


def _record(verdicts: Sequence[Case], cases: int) -> None:
    kinds = {surface.name: Counter[str]() for surface in (*DATA, *RECORDS)}
    for verdict in verdicts:
        kinds[verdict["surface"]][verdict["outcome"]] += 1
    write_record(RECORD, {"cases": cases}, kinds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
