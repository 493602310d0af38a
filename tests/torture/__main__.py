"""``make torture``: damaged files of every kind; interrupted, the same command goes on where it stopped."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from one_embedder.files.location import PROJECT_ROOT
from one_embedder.tracking.machine import code_state
from one_embedder.tracking.manifest import write_atomically
from tests.torture.data_surfaces import SURFACES as DATA
from tests.torture.judge import judge
from tests.torture.log import whole_lines
from tests.torture.record_surfaces import SURFACES as RECORDS

RECORD = PROJECT_ROOT / "experiments" / "torture" / "malformed.json"


def main(arguments: list[str]) -> int:
    """Run what is missing; 1 if a case is a fault."""
    asked = _parsed(arguments)
    logging.disable(logging.CRITICAL)
    state = code_state()
    log = asked.output / f"{state['commit']}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    if state["dirty"]:  # without a clean commit nobody could say what earlier cases were of
        log.unlink(missing_ok=True)
    verdicts = _judged(asked.cases, log)
    faults = [verdict for verdict in verdicts if verdict["outcome"] == "fault"]
    for fault in faults:
        sys.stdout.write(f"{fault['surface']}, seed {fault['seed']}, {fault['damage']}: {fault['told']}\n")
    sys.stdout.write(f"{len(verdicts)} cases, {len(faults)} faults: {log}\n")
    if asked.record:
        _record(verdicts, asked.cases, state)
    return int(bool(faults))


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--cases", type=int, default=100, help="of each kind of input; seeds 0, 1, ...")
    parser.add_argument("--output", type=Path, default=PROJECT_ROOT / "experiments" / "own" / "torture")
    parser.add_argument(
        "--record", action="store_true", help=f"write the figures to {RECORD.relative_to(PROJECT_ROOT)}"
    )
    return parser.parse_args(arguments)


def _judged(count: int, log: Path) -> list[dict[str, Any]]:
    """The verdicts, those of an earlier try included."""
    known = {(line["surface"], line["seed"]): line for line in whole_lines(log)}
    cases = [(surface, seed) for surface in (*DATA, *RECORDS) for seed in range(count)]
    with log.open("a", encoding="utf-8") as file:
        for surface, seed in tqdm(cases, unit="case"):
            if (surface.name, seed) not in known:
                known[surface.name, seed] = judge(surface, seed).to_json()
                file.write(json.dumps(known[surface.name, seed]) + "\n")
                file.flush()
    return [known[surface.name, seed] for surface, seed in cases]


def _record(verdicts: list[dict[str, Any]], cases: int, state: dict[str, Any]) -> None:
    kinds = {surface.name: Counter[str]() for surface in (*DATA, *RECORDS)}
    for verdict in verdicts:
        kinds[verdict["surface"]][verdict["outcome"]] += 1
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    content = {"commit": state["commit"], "dirty": state["dirty"], "cases": cases, "kinds": kinds}
    write_atomically(RECORD, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
