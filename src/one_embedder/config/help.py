"""What ``--help`` says. Hydra's own help loads every config of every group, which takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from one_embedder.config.compose import compose_verb
from one_embedder.files.location import CONF

_FOOTER = """
A value with signs such as = , ( [ or é goes in quotes, and these in quotes of the shell: 'output="/runs/lr=0.1"'.
--multirun runs key=a,b for each value; --cfg job shows the configuration without running; --hydra-help has the rest.
"""


def help_text(verb: str, overrides: Sequence[str]) -> str:
    """What the verb does, the groups to choose from and every key with the value it would have."""
    folder = CONF
    values = OmegaConf.to_yaml(compose_verb(verb, overrides))
    groups = "\n".join(f"  {name}: {', '.join(choices)}" for name, choices in _groups(folder))
    return f"{_heading(folder, verb)}\n\nGroups (group=choice):\n{groups}\n\nKeys (key=value):\n\n{values}{_FOOTER}"


def _heading(folder: Path, verb: str) -> str:
    """The comment at the top of the verb's config."""
    lines = (folder / f"{verb}.yaml").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removeprefix("# ") for line in lines if line.startswith("#"))


def _groups(folder: Path) -> list[tuple[str, list[str]]]:
    choices = {path.name: sorted(file.stem for file in path.glob("*.yaml")) for path in sorted(folder.iterdir())}
    return [(name, files) for name, files in choices.items() if files and name not in ("hydra", "local")]
