"""``make mutants``: small faults in what decides our numbers, each of which some test has to notice.

A mutant runs in a fork of one process that has imported every library, but nothing of ours: there whoever imports the
module gets it with its fault, and the tests that belong to it run up to the first that fails. Modules of many mutants
are sampled, by seed. Interrupted, the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from one_embedder.files.documents import read_yaml
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.tracking.machine import code_state
from one_embedder.tracking.manifest import write_atomically
from tests.torture.case_log import whole_lines
from tests.torture.forks import Outcome, import_libraries, in_fork
from tests.torture.mutations import sites

RECORD = PROJECT_ROOT / "experiments" / "torture" / "mutants.json"
LISTS = Path(__file__).with_name("mutants.yaml")


@dataclass(frozen=True)
class Module:
    """What is mutated.

    Attributes:
        name: below ``one_embedder``.
        tests: files that belong to it.
        equivalent: scope and change of mutants that no test can tell from the module -> why.
    """

    name: str
    tests: tuple[str, ...]
    equivalent: Mapping[str, str]

    @property
    def file(self) -> Path:
        """Its source."""
        return PROJECT_ROOT / "src" / "one_embedder" / f"{self.name.replace('.', '/')}.py"

    def key(self) -> str:
        """Changes when the module or a test of it does."""
        content = [self.file, *(PROJECT_ROOT / name for name in self.tests)]
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in content)).hexdigest()[:16]

    def mutants(self) -> list[str]:
        """Scope and change of each."""
        tree = ast.parse(self.file.read_text(encoding="utf-8"))
        return [f"{site.scope}: {site.change}" for site in sites(tree)]


@dataclass(frozen=True)
class Judged:
    """What came of one mutant; ``mutant`` is its scope and change."""

    key: str
    number: int
    line: int
    mutant: str
    outcome: str
    seconds: float


def main(arguments: list[str]) -> int:
    """Run what is missing; 1 if a mutant survives that is not known to be equivalent."""
    asked = _parsed(arguments)
    modules = [module for module in listed() if asked.only in module.name]
    asked.log.parent.mkdir(parents=True, exist_ok=True)
    state = code_state()
    lines = {module.name: _of_module(module, asked.most, asked.log) for module in modules}
    found = {module.name: _summary(module, lines[module.name]) for module in modules}
    open_ = 0
    for name, module in found.items():
        sys.stdout.write(f"{name}: {module['killed']} of {module['drawn']} killed (of {module['mutants']})\n")
        for survivor in module["survivors"]:
            open_ += not survivor["reason"]
            sys.stdout.write(f"  line {survivor['line']}, {survivor['mutant']}: {survivor['reason'] or 'SURVIVED'}\n")
    if asked.record:
        content = {"commit": state["commit"], "dirty": state["dirty"], "most": asked.most, "modules": found}
        write_atomically(RECORD, json.dumps(content, indent=1) + "\n")
    return int(open_ > 0)


def _parsed(arguments: list[str]) -> argparse.Namespace:
    own = PROJECT_ROOT / "experiments" / "own" / "torture" / "mutants.jsonl"
    parser = argparse.ArgumentParser(prog="python -m tests.torture.mutants", description=__doc__)
    parser.add_argument("--most", type=int, default=12, help="mutants of a module; of more, a sample")
    parser.add_argument("--only", default="", help="modules whose name holds this")
    parser.add_argument("--log", type=Path, default=own)
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(PROJECT_ROOT)}")
    asked = parser.parse_args(arguments)
    if asked.record and asked.only:
        parser.error("--record is of every module: leave --only out")
    return asked


def listed() -> list[Module]:
    """Every module of the list."""
    listed: dict[str, Any] = read_yaml(LISTS)
    return [Module(name, tuple(own["tests"]), own.get("equivalent") or {}) for name, own in listed.items()]


def _of_module(module: Module, most: int, log: Path) -> list[Judged]:
    """The mutants of a module that are drawn, those of an earlier try included."""
    key, named = module.key(), module.mutants()
    drawn = sorted(random.Random(module.name).sample(range(len(named)), len(named))[:most])  # of more, these are part
    earlier = [Judged(**line) for line in whole_lines(log) if line["key"] == key]
    known = {line.number: line for line in earlier if line.mutant == named[line.number]}
    missing = [number for number in drawn if number not in known]
    if missing:
        import_libraries(module.tests)
        whole = in_fork(_full_name(module), module.file, None, module.tests, seconds=600)
        if whole.name != "survived":
            raise SystemExit(f"{module.name}: its tests do not pass without a fault ({whole.name})")
        with log.open("a", encoding="utf-8") as file:
            for number in tqdm(missing, unit="mutant", desc=module.name):
                known[number] = _judged(module, key, number, whole)
                file.write(json.dumps(asdict(known[number])) + "\n")
                file.flush()
    return [known[number] for number in drawn]


def _judged(module: Module, key: str, number: int, whole: Outcome) -> Judged:
    tree = ast.parse(module.file.read_text(encoding="utf-8"))
    site = list(sites(tree))[number]
    site.apply()
    outcome = in_fork(_full_name(module), module.file, tree, module.tests, seconds=10 + 3 * whole.seconds)
    return Judged(key, number, site.line, f"{site.scope}: {site.change}", outcome.name, round(outcome.seconds, 2))


def _full_name(module: Module) -> str:
    return f"one_embedder.{module.name}"


def _summary(module: Module, lines: Sequence[Judged]) -> dict[str, Any]:
    survivors = [line for line in lines if line.outcome == "survived"]
    return {
        "mutants": len(module.mutants()),
        "drawn": len(lines),
        "killed": len(lines) - len(survivors),
        "survivors": [
            {"line": line.line, "mutant": line.mutant, "reason": module.equivalent.get(line.mutant, "")}
            for line in survivors
        ],
    }


if __name__ == "__main__":
    os.chdir(PROJECT_ROOT)
    sys.exit(main(sys.argv[1:]))
