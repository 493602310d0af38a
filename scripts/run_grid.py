"""Run a list of commands, one after the other, for so many minutes; `make grid MINUTES=25 ARGS="..."` calls this.

    python -m scripts.run_grid --minutes 25 [--list scripts/grid.yaml] [medi.views=FOLDER devices=gpu ...]

What an earlier call has done is skipped. When the time is over, the command at work is asked to end, as a scheduler
does it: a training saves where it is, and the next call goes on there. ``experiments/own/grid/`` has a log of each
command and ``record.json``: what ran, for how long, on what.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from one_embedder.config.compose import load_config
from one_embedder.ending import told
from one_embedder.errors import ConfigError, OneEmbedderError
from one_embedder.files.documents import read_yaml
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.tracking.machine import code_state, environment, hardware
from one_embedder.tracking.manifest import write_atomically

LIST = Path(__file__).with_name("grid.yaml")
GRACE_S = 30.0  # of the minutes, for the command at work to save
LEAST_S = 60.0  # a command that would have less is not begun: most of it would be imports
DONE, FAILED, INTERRUPTED = "done", "failed", "interrupted"


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: of its log.
        words: verb and settings.
        leaves: the file below the folder of one's own tables that it writes at its end; None: its exit code tells.
    """

    name: str
    words: tuple[str, ...]
    leaves: str | None = None

    @property
    def command(self) -> list[str]:
        """As it is run."""
        return [sys.executable, "-m", f"one_embedder.{self.words[0]}", *self.words[1:]]


def main() -> None:
    """Parse the command line, read the list, run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minutes", type=float, required=True, help="after which it has ended")
    parser.add_argument("--list", type=Path, default=LIST, help="of commands [scripts/grid.yaml]")
    arguments, overrides = parser.parse_known_args()
    sys.exit(told(lambda: grid(read_list(arguments.list, overrides), arguments.minutes * 60, own_folder(overrides))))


def grid(steps: Sequence[Step], seconds: float, own: Path, commands: Mapping[str, Sequence[str]] | None = None) -> None:
    """Run the steps that are not done, until the time is over.

    Args:
        steps: in this order.
        seconds: in all.
        own: the folder of one's own tables; ``grid/`` in it gets record and logs.
        commands: name -> what runs instead, for tests.

    Raises:
        OneEmbedderError: when all is over, if a step failed.
    """
    deadline = time.monotonic() + seconds - GRACE_S
    folder = own / "grid"
    folder.mkdir(parents=True, exist_ok=True)
    record = _read(folder / "record.json")
    record |= {"code": code_state(), "environment": environment(), "hardware": hardware()}
    for number, step in enumerate(steps, start=1):
        told_as = f"{number}/{len(steps)} {step.name}"
        if _is_done(step, record, own):
            _tell(f"{told_as}: done before")
            continue
        if deadline - time.monotonic() < LEAST_S:
            _tell(f"{told_as}: no time left; the same command goes on here")
            break
        _tell(f"{told_as}: {' '.join(step.words)}")
        entry = _run(step, (commands or {}).get(step.name, step.command), deadline, own)
        record["steps"][step.name] = entry
        write_atomically(folder / "record.json", json.dumps(record, indent=1) + "\n")
        _tell(f"{told_as}: {entry['status']} after {entry['seconds']:.0f} s")
        if entry["status"] == INTERRUPTED:
            break
    failed = [step.name for step in steps if record["steps"].get(step.name, {}).get("status") == FAILED]
    if failed:
        raise OneEmbedderError(f"failed: {', '.join(failed)}; their logs are in {folder}")


def read_list(path: Path, overrides: Sequence[str]) -> list[Step]:
    """The steps, each with the overrides behind it; of each verb the first one's settings are checked.

    Raises:
        ConfigError: no list, a step that is not one, two of one name, or settings that a verb refuses.
    """
    try:
        entries = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(entries, list):
        raise ConfigError(f"{path} is no list of steps")
    steps: dict[str, Step] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not {"name", "command"} <= entry.keys() <= {"name", "command", "leaves"}:
            raise ConfigError(f"{path}: a step has name and command, and perhaps leaves; got {entry}")
        name, words = entry["name"], shlex.split(str(entry["command"] or ""))
        if name in steps or not words:
            raise ConfigError(f"{path}, {name}: a step needs a name of its own and a command")
        steps[name] = Step(name, (*words, *overrides), entry.get("leaves"))
    for step in reversed({step.words[0]: step for step in reversed(steps.values())}.values()):
        try:
            load_config(step.words[0], [word for word in step.words[1:] if word != "--multirun"])
        except OneEmbedderError as error:
            raise ConfigError(f"{path}, {step.name}: {error}") from error
    return list(steps.values())


def own_folder(overrides: Sequence[str]) -> Path:
    """Where tables of one's own go under these overrides."""
    return PROJECT_ROOT / load_config("reproduce", overrides).paths.experiments / "own"


def _run(step: Step, command: Sequence[str], deadline: float, own: Path) -> dict[str, Any]:
    began, clock = time.time(), time.monotonic()
    with (own / "grid" / f"{step.name}.log").open("a", encoding="utf-8") as log:
        # In a session of its own: a Ctrl-C at the terminal reaches this process only, which then ends the other.
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        interrupted = False
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            interrupted = True
        finally:
            _end(process)
    whole = process.returncode == 0 if step.leaves is None else _written_since(own / step.leaves, began)
    status = DONE if whole else INTERRUPTED if interrupted else FAILED
    return {
        **asdict(step), "status": status, "exit_code": process.returncode, "seconds": round(time.monotonic() - clock, 1)
    }  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, if it has not; then end it and what it started."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_done(step: Step, record: Mapping[str, Any], own: Path) -> bool:
    """Whether the record says so of the same command, and what it left is still there."""
    before = record["steps"].get(step.name, {})
    left = step.leaves is None or (own / step.leaves).is_file()
    return left and (before.get("status"), before.get("words")) == (DONE, list(step.words))


def _written_since(path: Path, began: float) -> bool:
    return path.is_file() and path.stat().st_mtime >= began - 1.0  # file systems round


def _read(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"steps": {}}
    return record


def _tell(message: str) -> None:
    sys.stderr.write(f"grid: {message}\n")


if __name__ == "__main__":
    main()
