"""Commands that are killed without warning and run again: ``python -m tests.torture.kills``, of ``make torture``.

A case runs one command in a folder of its own, kills it once or twice at moments that its seed gives, looks at what our
readers take for whole by then, and runs it to its end. Everything has to be as after an undisturbed run. Some cases ask
it to end instead, by SIGTERM or Ctrl-C: it has to say, too, how to go on.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # weights are compared bit for bit; and a fork has the thread that forks, no other

from one_embedder.ending import EXIT_INTERRUPTED, EXIT_USER_ERROR
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.interruption import EXIT_TERMINATED
from one_embedder.tracking.machine import code_state
from tests.torture.case_log import Case, faults, judged, write_record
from tests.torture.commands import COMMANDS, Command, import_all, unlike, write_sources
from tests.torture.forked import FULL, Blow, Ended, forked

KILL, ASKED = signal.SIGKILL, (signal.SIGTERM, signal.SIGINT)
SIGNALS = (KILL, KILL, KILL, *ASKED, FULL)
"""Of the seeds 0 to 5, and so on."""

RECORD = PROJECT_ROOT / "experiments" / "torture" / "kills.json"


@dataclass(frozen=True)
class Straight:
    """An undisturbed run.

    Attributes:
        whole: what it made.
        seconds: that it took.
        changes: to the file system.
    """

    whole: dict[str, str]
    seconds: float
    changes: int


class Bench:
    """Commands, what they read, and an undisturbed run of each, made when it is first asked for."""

    def __init__(self, place: Path, commands: Mapping[str, Command], write: Callable[[Path], None]) -> None:
        """Prepare.

        Args:
            place: an empty folder.
            commands: by name.
            write: writes into a folder what they read.
        """
        self.sources, self.place, self.commands = place / "sources", place, commands
        self.sources.mkdir()
        self._straight: dict[str, Straight] = {}
        _require_well("the sources", forked(partial(write, self.sources), self.sources))

    def straight(self, name: str) -> Straight:
        """The undisturbed run."""
        if name not in self._straight:
            folder = self._folder()
            ended = self._run(name, folder)
            _require_well(name, ended)
            whole = self._whole(name, folder)
            _require_well(name, whole)
            self._straight[name] = Straight(whole.answer, ended.seconds, ended.changes)
        return self._straight[name]

    def case(self, name: str, seed: int) -> Case:
        """Kill, look, and run to the end."""
        straight, rng = self.straight(name), random.Random(f"{name} {seed}")
        folder = self._folder()
        blows = [_moment(rng, straight, SIGNALS[seed % len(SIGNALS)]) for _ in range(rng.choice((1, 1, 2)))]
        struck, told = 0, ""
        for blow in blows:
            ended = self._run(name, folder, blow)
            struck += ended.code != 0
            told = told or _manners(ended, blow.number, folder)
            told = told or _trouble(f"after {blow}", self._whole(name, folder), straight, at_end=False)
        ended = self._run(name, folder)
        told = told or (f"not gone on with, exit code {ended.code}: {ended.said[-500:]}" if ended.code else "")
        told = told or _trouble("at the end", self._whole(name, folder), straight, at_end=True)
        shutil.rmtree(folder)
        outcome = "fault" if told else "equal"
        facts = {"command": name, "seed": seed, "signal": blows[0].number.name, "blows": [str(blow) for blow in blows]}
        return {**facts, "struck": struck, "outcome": outcome, "told": told}

    def _run(self, name: str, folder: Path, blow: Blow | None = None) -> Ended:
        return forked(partial(self.commands[name].run, folder, self.sources), folder, blow)

    def _whole(self, name: str, folder: Path) -> Ended:
        return forked(lambda: dict(self.commands[name].whole(folder)), folder)

    def _folder(self) -> Path:
        """The same for every case: what is made may hold its own path."""
        folder = self.place / "case"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


def _moment(rng: random.Random, straight: Straight, number: signal.Signals) -> Blow:
    """Any time, right before a change to the file system, or soon after one; to ask it, it must have begun."""
    match rng.randrange(3):
        case 0 if number == KILL:
            return Blow(0, rng.uniform(0.0, straight.seconds), number)
        case which if which == 1 or number == FULL:
            return Blow(rng.randint(1, straight.changes), 0.0, number)
        case _:
            return Blow(rng.randint(1, straight.changes), rng.uniform(0.0001, 0.01), number)


def _manners(ended: Ended, number: signal.Signals, folder: Path) -> str:
    """What is wrong with how a command ended that was asked to, or had no space; nothing if it was through before."""
    if number == KILL or not ended.code:
        return ""
    if number == FULL:
        told = [line for line in ended.said.splitlines() if line.startswith("error: ")]
        named = len(told) == 1 and (str(folder) in told[0] or "hydra.run.dir" in told[0])
        well = named and ended.code == EXIT_USER_ERROR
        return "" if well and "Traceback" not in ended.said else f"a full disk ended it with {ended.code}: {ended.said}"
    what, code = ("terminated", EXIT_TERMINATED) if number == signal.SIGTERM else ("interrupted", EXIT_INTERRUPTED)
    last = f"{what}: run the same command again, finished parts are kept\n"
    if ended.code == code and ended.said.endswith(last) and "Traceback" not in ended.said:
        return ""
    return f"{number.name} ended it with {ended.code}: {ended.said[-500:]}"


def _trouble(when: str, whole: Ended, straight: Straight, *, at_end: bool) -> str:
    if whole.code:
        return f"{when}: what is said to be whole cannot be read: {whole.said[-500:]}"
    if other := unlike(whole.answer, straight.whole):
        return f"{when}: not as in an undisturbed run: {', '.join(other)}"
    lacking = sorted(straight.whole.keys() - whole.answer.keys()) if at_end else []
    return f"{when}: lacking {', '.join(lacking)}" if lacking else ""


def _require_well(name: str, ended: Ended) -> None:
    if ended.code:
        raise RuntimeError(f"{name}, undisturbed, ended with {ended.code}: {ended.said}")


def main(arguments: list[str]) -> int:
    """Run what is missing; 1 if a case is a fault."""
    asked = _parsed(arguments)
    log = asked.output / f"kills-{code_state()['commit']}.jsonl"
    import_all()
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place), COMMANDS, write_sources)
        # Seed by seed: whatever ends it, all commands have been killed about as often.
        every = [(name, seed) for seed in range(asked.cases) for name in asked.commands]
        cases = {(name, seed): partial(bench.case, name, seed) for name, seed in every}
        verdicts = judged(cases, log, lambda line: (line["command"], line["seed"]), asked.minutes * 60)
    for fault in faults(verdicts):
        sys.stdout.write(f"{fault['command']}, seed {fault['seed']}, {fault['blows']}: {fault['told']}\n")
    sys.stdout.write(f"{len(verdicts)} cases, {len(faults(verdicts))} faults: {log}\n")
    if asked.record:
        write_record(RECORD, {"cases": len(verdicts) // len(asked.commands)}, counted(verdicts))
    return int(bool(faults(verdicts)))


def counted(verdicts: Sequence[Case]) -> dict[str, dict[str, int]]:
    """Command -> its figures."""
    kinds: dict[str, Counter[str]] = {name: Counter() for name in COMMANDS}
    sent = {KILL.name: "kills", FULL.name: "full"}
    for verdict in verdicts:
        figures = {sent.get(verdict["signal"], "asked"): len(verdict["blows"])}
        outcome = {"struck": verdict["struck"], "equal": verdict["outcome"] == "equal"}
        kinds[verdict["command"]].update({"runs": 1, **figures, **outcome})
    return {name: dict(figures) for name, figures in kinds.items() if figures}


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.kills", description=__doc__)
    parser.add_argument("--cases", type=int, default=40, help="of each command; seeds 0, 1, ... [%(default)s]")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no case is begun")
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("--output", type=Path, default=PROJECT_ROOT / "experiments" / "own" / "torture")
    parser.add_argument(
        "--record", action="store_true", help=f"write the figures to {RECORD.relative_to(PROJECT_ROOT)}"
    )
    asked = parser.parse_args(arguments)
    if asked.record and set(asked.commands) != set(COMMANDS):
        parser.error("--record is of every command: leave --commands out")
    return asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
