"""Every command of README and docs: its target exists, its settings compose, and what is Python runs as it stands.

``test_extend`` and ``test_migrate`` carry out the pages that need files of their own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from one_embedder.config.compose import VERBS, load_config
from one_embedder.config.relations import require_trainable
from one_embedder.config.schema import Config
from one_embedder.config.unread import require_read
from one_embedder.files.location import PROJECT_ROOT

PAGES = [
    PROJECT_ROOT / "README.md",
    *sorted((PROJECT_ROOT / "docs").glob("*.md")),
    PROJECT_ROOT / "experiments/README.md",
]
COMMAND = re.compile(r"^(?:make |python -m one_embedder|one-embedder )")
CHOICES = {"instructions=NAME": "instructions=none", "ablation-NAME": "ablation-temperature"}
PLACES = re.compile(r"\b(?:FOLDER|RUN|OUT|DIR)\b")


def commands(page: Path) -> Iterator[str]:
    """Console lines and inline code that begin a command, without the words that explain them."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        yield from (line.split("  #")[0].split("   #")[0].strip() for line in block.replace("\\\n", " ").splitlines())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def every_command() -> list[tuple[str, str]]:
    found = [(page.name, command) for page in PAGES for command in commands(page) if COMMAND.match(command)]
    return sorted({(page, command) for page, command in found if "--config-dir" not in command})


OF_MAKE = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "ARGS")
"""How ``make test ARGS=...`` would hand its own settings to the makes that are tested."""


def python_commands(command: str) -> list[list[str]]:
    """The Python commands that a line runs: itself, or those that make would run."""
    for words, choice in CHOICES.items():
        command = command.replace(words, choice)
    if not command.startswith("make "):
        return [shlex.split(command)]
    done = subprocess.run(
        ["make", "--no-print-directory", *shlex.split(command)[1:], "DRY_RUN=1", "VENV=nowhere"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name not in OF_MAKE},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if "-m one_embedder." in line]


def settings(words: list[str]) -> tuple[str, ...]:
    """The overrides of a verb, with a folder for each place that the reader fills in."""
    return tuple(PLACES.sub("/a/place", word) for word in words if "=" in word)


@cache
def understood(verb: str, overrides: tuple[str, ...]) -> Config:
    """What a command means; many stand on several pages."""
    cfg = load_config(verb, overrides)
    require_read(verb, overrides, cfg)
    if verb == "train":
        require_trainable(cfg)
    return cfg


def test_the_pages_name_commands() -> None:
    assert len(every_command()) > 25


@pytest.mark.parametrize(("page", "command"), every_command())
def test_a_documented_command_is_understood(page: str, command: str) -> None:
    for words in python_commands(command):
        module = words[words.index("-m") + 1] if "-m" in words else f"one_embedder.{words[1]}"
        rest = words[words.index("-m") + 2 :] if "-m" in words else words[2:]
        assert importlib.util.find_spec(module), f"{page}: {command}: there is no module {module}"
        verb = module.removeprefix("one_embedder.")
        if verb in VERBS and "--multirun" not in rest:
            understood(verb, settings(rest))
        elif verb in VERBS:
            understood(verb, tuple(word for word in settings(rest) if "," not in word and "range(" not in word))


def test_the_python_of_the_pages_runs() -> None:
    """Each page's with names of its own, in one process: starting it is most of the time."""
    lines = []
    for page in ("README.md", "docs/embedding.md"):
        blocks = re.findall(r"```python\n(.*?)```", (PROJECT_ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
        assert blocks, page
        lines.append(f"exec(compile({chr(10).join(blocks)!r}, {page!r}, 'exec'), {{'__name__': '__main__'}})")
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
