"""Commands that are killed at random moments and run again: ``python -m tests.torture.kills --kills 30``.

Each ends with what an undisturbed run gives.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.make_medi_file import write_medi_file
from tests.torture.record_surfaces import MODEL


@dataclass(frozen=True)
class Work:
    """A command that makes something in a folder.

    Attributes:
        words: of the command, for that folder.
        made: what it made, comparable; None while it is not finished.
    """

    words: Callable[[Path], list[str]]
    made: Callable[[Path], str | None]


def _build(folder: Path) -> list[str]:
    source = folder.parent / "medi.json"
    if not source.is_file():
        write_medi_file(source, rows=20_000)
    own = [f"medi.path={source}", f"output={folder}", f"paths.experiments={folder.parent / 'experiments'}"]
    return ["one_embedder.build_medi", "medi=file", *own]


def _built(folder: Path) -> str | None:
    manifest = folder / "medi" / "manifest.json"
    return str(json.loads(manifest.read_text())["file_sha256"]) if manifest.is_file() else None


def _encode(folder: Path) -> list[str]:
    source = folder.parent / "texts.txt"
    source.write_text("".join(f"text number {number} of many\n" for number in range(20_000)))
    folder.mkdir(exist_ok=True)
    return ["one_embedder.encode", str(source), str(folder / "made.npy"), "--encoder", str(MODEL)]


def _encoded(folder: Path) -> str | None:
    made = folder / "made.npy"
    return hashlib.sha256(made.read_bytes()).hexdigest() if made.is_file() else None


WORKS = {"build_medi": Work(_build, _built), "encode": Work(_encode, _encoded)}


def disturbed(name: str, kills: int, seed: int) -> tuple[str | None, str | None, int]:
    """What an undisturbed run makes, what one makes that was killed, and how often it was at work when killed."""
    work, rng = WORKS[name], random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        straight, folder = Path(place, "straight"), Path(place, "killed")
        began = time.monotonic()
        _run(work.words(straight)).wait()
        seconds, struck = time.monotonic() - began, 0
        for _ in range(kills):
            process = _run(work.words(folder))
            try:
                process.wait(rng.uniform(0.2, 1.0) * seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                struck += 1
            half = work.made(folder)
            if half is not None and half != work.made(straight):
                return work.made(straight), half, struck  # what is half written stands as if it were whole
        _run(work.words(folder)).wait()
        return work.made(straight), work.made(folder), struck


def _run(words: list[str]) -> subprocess.Popen[bytes]:
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", *words], **silent)  # type: ignore[call-overload, no-any-return]


def main(arguments: list[str]) -> int:
    """Tell each verb's outcome; 1 if one differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    wrong = 0
    for name in WORKS:
        straight, killed, struck = disturbed(name, asked.kills, asked.seed)
        same = straight is not None and straight == killed
        wrong += not same
        sys.stdout.write(f"{name}: killed {struck} times, {'the same result' if same else 'ANOTHER RESULT'}\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
