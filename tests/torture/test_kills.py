"""A command that was killed without warning ends, when it is run again, with what an undisturbed one gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture import kills, mutants
from tests.torture.commands import Command
from tests.torture.forked import Blow, forked
from tests.torture.kills import KILL, SIGNALS, Bench, counted

QUICK = ("train", "encode")


def write_three(folder: Path) -> None:
    for name in "abc":
        (folder / name).write_text("whole")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_fork_is_killed_right_before_the_change_that_is_named(tmp_path: Path) -> None:
    ended = forked(lambda: write_three(tmp_path), tmp_path, Blow(change=3, delay=0.0))
    assert (ended.code, ended.changes, names(tmp_path)) == (-9, 2, ["a", "b"])


def test_a_fork_that_is_killed_too_late_has_ended_well(tmp_path: Path) -> None:
    ended = forked(lambda: write_three(tmp_path), tmp_path, Blow(change=4, delay=0.0))
    assert (ended.code, ended.changes, names(tmp_path)) == (0, 3, ["a", "b", "c"])


def careless(folder: Path, sources: Path) -> None:
    """Says that it is whole before it is, and goes on from whatever is there."""
    done = folder / "done"
    if not done.exists():
        done.write_text("")
        write_three(folder)


def careful(folder: Path, sources: Path) -> None:
    write_three(folder)
    (folder / "done").write_text("")


def whole(folder: Path) -> dict[str, str]:
    return {"names": " ".join(names(folder))} if (folder / "done").exists() else {}


def test_a_command_that_says_too_early_that_it_is_whole_is_found_out(tmp_path: Path) -> None:
    both = {"careless": Command(careless, whole), "careful": Command(careful, whole)}
    bench = Bench(tmp_path, both, lambda folder: None)
    seeds = [seed for seed in range(15) if SIGNALS[seed % len(SIGNALS)] == KILL]
    verdicts = {name: [bench.case(name, seed)["outcome"] for seed in seeds] for name in both}
    assert "fault" in verdicts["careless"]
    assert set(verdicts["careful"]) == {"equal"}


def test_the_figures_tell_kills_from_what_asked_and_from_what_struck() -> None:
    verdict = {"command": "train", "signal": "SIGKILL", "blows": ["one", "two"], "struck": 1, "outcome": "equal"}
    asked = {**verdict, "signal": "SIGTERM", "blows": ["one"], "outcome": "fault"}
    full = {**asked, "signal": "SIGXFSZ", "struck": 0}
    assert counted([verdict, asked, full]) == {
        "train": {"runs": 3, "kills": 2, "asked": 1, "full": 1, "struck": 2, "equal": 1}
    }


def test_a_part_is_never_recorded_as_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    for main, part in ((kills.main, "--commands"), (mutants.main, "--only")):
        with pytest.raises(SystemExit, match="2"):
            main(["--record", part, "train"])
        assert f"leave {part} out" in capsys.readouterr().err


@pytest.mark.slow
def test_struck_at_random_moments_a_command_goes_on_to_an_equal_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.torture.kills", "--cases", str(len(SIGNALS)), "--commands", *QUICK]
    done = subprocess.run([*command, "--output", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = tmp_path.iterdir()
    verdicts = [json.loads(line) for line in log.read_text().splitlines()]
    assert {(v["command"], v["signal"]) for v in verdicts} == {(name, n.name) for name in QUICK for n in SIGNALS}
    assert all(verdict["outcome"] == "equal" for verdict in verdicts)
    assert sum(verdict["struck"] for verdict in verdicts) >= len(SIGNALS), "signals met the commands at work"
