"""The default data, evaluations and short trainings, now and at an earlier commit.

    python -m scripts.bench_earlier_commit 73940e7 [--rounds 5]

Clones both commits and takes turns: ``build_medi`` into an empty folder, then ``evaluate`` of the untrained encoder
and ``train`` with and without instructions, each a process with this environment's packages and one thread. Processor
time, start-up included. Both have to make data of the same hash and the same scores, else nothing is recorded; that the
trainings do the same is for whoever names the commit to know.
Writes ``experiments/own/bench/earlier_commit.{json,md}``, or with ``--record experiments/bench/earlier_commit`` there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from one_embedder.errors import OneEmbedderError
from scripts.bench_clone import clone, plain_environment
from scripts.bench_record import of_process, origin, own_record, run

TRAINING = (  # as the default profile was at first: what a profile sets may differ between commits
    "trainer.max_steps=60",
    "trainer.max_length=48",
    "trainer.precision=32-true",
    "sampler.global_batch_size=24",
    "optimizer.frozen_layers=3",
)
COMMANDS = {
    "building the default data": ["build_medi"],
    "evaluation": ["evaluate", "instructions=none", "output=results/plain"],
    "evaluation with instructions": ["evaluate", "output=results/instructed"],
    "training": ["train", "with_instructions=false", "output=results/trained", *TRAINING],
    "training with instructions": ["train", "with_instructions=true", "output=results/trained_instructed", *TRAINING],
}
"""What is timed -> a verb and its settings."""
DATA = Path("data", "documentation")
TOLERANCE = 0.002  # of a main score, 0 to 1: another order of additions turns near ties


def main() -> None:
    """Measure and write the record."""
    run(_parser(), bench, rendered)


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """The record: seconds of processor time of each command, each commit and each round.

    Raises:
        OneEmbedderError: if there is no such commit, a command failed, or the commits make other data or scores.
    """
    now = origin()
    with tempfile.TemporaryDirectory() as place:
        commits = {"then": arguments.commit, "now": str(now["code"]["commit"])}
        clones = {when: clone(commit, Path(place, when)) for when, commit in commits.items()}
        rounds = []
        for _ in range(arguments.rounds):
            rounds.append({when: _commands(folder) for when, folder in clones.items()})
            sha256 = _require_the_same(clones["then"], clones["now"])
    seconds = {command: {when: [each[when][command] for each in rounds] for when in clones} for command in COMMANDS}
    return {"then": arguments.commit, "medi_sha256": sha256, "seconds": seconds, **now}


def _commands(folder: Path) -> dict[str, float]:
    """Seconds of each, from nothing."""
    shutil.rmtree(folder / DATA, ignore_errors=True)
    shutil.rmtree(folder / "results", ignore_errors=True)
    return {name: _seconds(folder, verb, *settings) for name, (verb, *settings) in COMMANDS.items()}


def _seconds(folder: Path, verb: str, *settings: str) -> float:
    """Of processor time, of all its processes."""
    variables = plain_environment() | {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    told = [f"{name}={value}" for name, value in variables.items()]
    command = [sys.executable, "-m", f"one_embedder.{verb}", "tracking=disabled", *settings]
    return round(of_process(["env", "-i", f"--chdir={folder}", *told, *command])[1]["cpu_s"], 1)


def _require_the_same(one: Path, other: Path) -> str:
    """The hash of the data that both built, whose evaluations agree."""
    manifests = (json.loads((folder / DATA / "medi" / "manifest.json").read_text()) for folder in (one, other))
    first, second = (str(manifest["sha256"]) for manifest in manifests)
    if first != second:
        raise OneEmbedderError(f"the data differ ({first:.12} and {second:.12}): not the same work")
    for path in sorted(Path(one, "results").rglob("results/*.json")):
        scores = [_main_score(path), _main_score(other / path.relative_to(one))]
        if abs(scores[0] - scores[1]) > TOLERANCE:
            raise OneEmbedderError(f"{path.stem}: {scores[0]:.4f} and {scores[1]:.4f}: not the same work")
    return first


def _main_score(path: Path) -> float:
    return float(json.loads(path.read_text(encoding="utf-8"))["one_embedder"]["main_score"])


def rendered(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    from one_embedder.reproduction.show.grid import Grid

    rows = []
    for command, seconds in record["seconds"].items():
        ratios = [then / now for then, now in zip(seconds["then"], seconds["now"], strict=True)]
        times = [f"{statistics.median(seconds[when]):.0f}" for when in ("then", "now")]
        rows.append([command, *times, f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"])
    then, now = record["then"][:7], str(record["code"]["commit"])[:7]
    note = (
        f"Default profile; data {record['medi_sha256'][:12]}, the same at both commits, as are the scores. One thread, "
        f"{record['hardware']['cpu']}; processor time, medians (range) over {len(ratios)} rounds in which the commits "
        f"take turns. torch {record['environment']['torch']}. Written by scripts/bench_earlier_commit.py."
    )
    grid = Grid(["command", f"{then}, s", f"{now}, s", "times as fast"], rows)
    return f"# Against an earlier commit\n\n{note}\n\n{grid.markdown()}\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("commit", help="the earlier one, of this repository's history")
    add("--rounds", type=int, default=5, help="[%(default)s]")
    add("--record", type=Path, default=own_record("earlier_commit"), help="where to write .json and .md [%(default)s]")
    return parser


if __name__ == "__main__":
    main()
