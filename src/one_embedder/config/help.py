"""What ``--help`` says: a line for each key, explained by the comment beside it in the schema.

Hydra's own help loads every config of every group, which takes seconds.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, cast, get_type_hints

from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig, OmegaConf

from one_embedder.config import schema
from one_embedder.config.checks import choices_of
from one_embedder.config.compose import compose_verb
from one_embedder.config.schema import Config, LossConfig
from one_embedder.files.location import CONF

_TRAINING = ("sampler", "loss", "optimizer", "schedule", "trainer", "encoder", "medi")
SCORING = ("benchmark", "instructions", "evaluation", "prompt_retrieval")
SECTIONS: Mapping[str, Sequence[str]] = {
    "build_medi": ("medi", "encoder", "paths"),
    "train": (*_TRAINING, "tracking", "paths"),
    "evaluate": ("encoder", *SCORING, "tracking", "paths"),
    "evaluate_views": ("encoder", "views", "evaluation", "tracking", "paths"),
    "reproduce": ("table", *_TRAINING, *SCORING, "tracking", "paths", "ablation"),
}
"""What each verb reads; the keys outside of all sections are everybody's."""

_WIDEST_VALUE = 24
_FOOTER = """
A value with signs such as = , ( [ or é goes in quotes, and these in quotes of the shell: 'output="/runs/lr=0.1"'.
--multirun runs key=a,b for each value; --config-dir FOLDER adds YAML files of yours (docs/extend.md); --cfg job shows
the configuration without running; --hydra-help has the rest.
"""


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether any of the words asks for help."""
    return bool({"--help", "-h", "--help=all"} & set(arguments))


def help_text(verb: str, arguments: Sequence[str]) -> str:
    """What the verb does, the groups to choose from, and every key with its value and what it is.

    Args:
        verb: whose sections are shown.
        arguments: as typed; overrides among them count, ``--help=all`` shows the sections of the other verbs too.
    """
    values = compose_verb(verb, _overrides(arguments))
    groups = "\n".join(f"  {name}: {', '.join(choices)}" for name, choices in _groups(CONF))
    sections = [name for name in map(str, values) if isinstance(values._get_node(name), DictConfig)]
    others = [name for name in sections if name not in SECTIONS[verb]]
    shown = [*SECTIONS[verb], *(others if "--help=all" in arguments else ())]
    lines = "\n".join(_keys(values, shown))
    more = "" if "--help=all" in arguments else f"\n\nRead by other verbs, shown by --help=all: {', '.join(others)}"
    return f"{_heading(CONF, verb)}\n\nGroups (group=choice):\n{groups}\n\nKeys (key=value):\n{lines}{more}\n{_FOOTER}"


def _overrides(arguments: Sequence[str]) -> list[str]:
    """The settings among the words, and where ``--config-dir`` finds more files."""
    told = get_args_parser().parse_known_args([word for word in arguments if not word.startswith(("--help", "-h"))])[0]
    folder = [f"hydra.searchpath=['file://{Path(told.config_dir).absolute()}']"] if told.config_dir else []
    return [*folder, *told.overrides]


def explanations() -> dict[tuple[str, str], str]:
    """(class of the schema, its key) -> the comment beside it."""
    source = inspect.getsource(schema)
    comments = {
        token.start[0]: token.string.removeprefix("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        (section.name, ast.unparse(key.target)): comments.get(line, "")
        for section in ast.parse(source).body
        if isinstance(section, ast.ClassDef)
        for key in section.body
        if isinstance(key, ast.AnnAssign)
        for line in range(key.lineno, (key.end_lineno or key.lineno) + 1)
        if line in comments or line == key.lineno
    }


def _keys(values: DictConfig, sections: Sequence[str]) -> Iterator[str]:
    """The keys outside of sections, then those of each section under its title."""
    told, kinds = explanations(), get_type_hints(Config)
    for name in map(str, values):
        if not isinstance(values._get_node(name), DictConfig):
            yield from _lines(values, name, name, Config, told)
    for section in sections:
        kind = LossConfig if section == "loss" else kinds[section]
        title = (inspect.getdoc(kind) or "").splitlines()[0].replace("``", "")
        yield f"\n{section}: {title}"
        for name in map(str, values[section]):
            yield from _lines(values[section], name, f"{section}.{name}", kind, told)


def _lines(node: DictConfig, name: str, key: str, kind: Any, told: Mapping[tuple[str, str], str]) -> Iterator[str]:
    inner = get_type_hints(kind).get(name)
    child = node._get_node(name)
    if is_dataclass(inner) and isinstance(child, DictConfig):
        for below in map(str, child):
            yield from _lines(child, below, f"{key}.{below}", inner, told)
        return
    words, choices = told.get((kind.__name__, name), ""), choices_of(kind, name)
    if not all(choice in words for choice in choices):
        words = f"{' | '.join(choices)}; {words}" if words else " | ".join(choices)
    yield f"  {f'{key}={_short(node, name)}':<58} {words}".rstrip()


def _short(node: DictConfig, name: str) -> str:
    """A value as it is typed; of a long one its beginning."""
    value = cast("dict[str, Any]", OmegaConf.to_container(node, resolve=False))[name]
    if isinstance(value, dict) and value:
        return f"{{{len(value)} entries}}"
    text = value if isinstance(value, str) else json.dumps(value)
    text = text if text.isprintable() else json.dumps(text)
    return text if len(text) <= _WIDEST_VALUE or text.startswith("${") else f"{text[: _WIDEST_VALUE - 3]}..."


def _heading(folder: Path, verb: str) -> str:
    """The comment at the top of the verb's config."""
    lines = (folder / f"{verb}.yaml").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removeprefix("# ") for line in lines if line.startswith("#"))


def _groups(folder: Path) -> list[tuple[str, list[str]]]:
    choices = {path.name: sorted(file.stem for file in path.glob("*.yaml")) for path in sorted(folder.iterdir())}
    return [(name, files) for name, files in choices.items() if files and name not in ("hydra", "local")]
