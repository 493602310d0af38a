"""Hydra's and OmegaConf's errors, told as: which key or choice, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import yaml
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from one_embedder.config.overrides import explain_override
from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError
from one_embedder.files.location import CONF

_PLACES = {
    "encoder": "encoder.name_or_path",
    "medi": "medi=file medi.path",
    "benchmark": "benchmark=folder benchmark.root",
    "prompt_retrieval": "prompt_retrieval=language_model prompt_retrieval.model.name_or_path",
}
"""Groups that are easily taken for a path, and what takes one."""


@contextmanager
def as_config_errors() -> Iterator[None]:
    """Turn whatever goes wrong while composing into a ``ConfigError`` with a remedy."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise ConfigError(explain(error)) from error


def explain(error: Exception) -> str:
    """One message for one configuration error."""
    if isinstance(error, MissingConfigException):
        return _missing_choice(error)
    refused = explain_override(error)
    if refused is not None:
        return refused
    for cause in _causes(error):
        if isinstance(cause, (ConfigKeyError, ConfigAttributeError)) and cause.full_key:
            return f"{_place(error)}unknown key {cause.full_key!r}: {suggestion(str(cause.full_key))}"
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            return f"{_place(error)}{cause.full_key}: {_first_line(cause)}"
    if isinstance(error, yaml.YAMLError):
        return f"not valid YAML: {error}"
    return f"{_place(error)}{error}"


def refuse_flags(arguments: Sequence[str]) -> None:
    """Refuse settings typed as ``--key value``.

    Raises:
        ConfigError: for a word with dashes that Hydra does not know, with the setting that was probably meant.
    """
    known = tuple(get_args_parser()._option_string_actions)
    for place, word in enumerate(arguments):
        flag, sign, value = word.partition("=")
        if not word.startswith("--") or any(option.startswith(flag) for option in known):
            continue
        if not sign and place + 1 < len(arguments) and not re.search("^-|=", arguments[place + 1]):
            value = arguments[place + 1]
        key = flag.lstrip("-").replace("-", "_")
        known_names = known_keys()
        meant = [key] if key in known_names else [name for name in known_names if name.endswith(f".{key}")]
        typed = " or ".join(f"{name}={value or 'VALUE'}" for name in meant)
        raise ConfigError(f"{flag}: settings have no dashes; " + (f"type {typed}" if typed else suggestion(key)))


def refuse_no_choice(arguments: Sequence[str]) -> None:
    """Refuse ``group=null``, which Hydra takes for a mistake of its own.

    Raises:
        ConfigError: for a group of ``conf`` that is given no file, with those that it has.
    """
    for word in arguments:
        group, sign, value = word.lstrip("+").partition("=")
        name = group.partition("@")[0]
        if sign and value.lower() == "null" and name in _groups():
            files = ", ".join(sorted(path.stem for path in (CONF / name).glob("*.yaml")))
            raise ConfigError(f"{word} names no file: leave {name} out, or choose one of {files}")


def suggestion(key: str) -> str:
    """The nearest valid key, or the valid keys beside it."""
    known = [candidate for candidate in known_keys() if not key.startswith(f"{candidate}.")]
    same_leaf = [candidate for candidate in known if candidate.rpartition(".")[2] == key.rpartition(".")[2]]
    close = same_leaf or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not close:
        leaves = {candidate.rpartition(".")[2]: candidate for candidate in known}
        close = [leaves[leaf] for leaf in difflib.get_close_matches(key.rpartition(".")[2], leaves, n=1, cutoff=0.6)]
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    parent = key.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == parent] or [n for n in known if "." not in n]
    return "valid keys here: " + ", ".join(siblings)


def nearest(value: str, choices: tuple[str, ...]) -> str:
    """The valid values of a key that takes one of a few, the nearest first."""
    close = difflib.get_close_matches(value, choices, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"one of {', '.join(choices)}{hint}"


def known_keys() -> list[str]:
    """Every key of the schema, dotted, and the names of the config groups."""
    keys = list(_walk(OmegaConf.structured(Config), ""))
    return keys + [group for group in _groups() if group not in keys]


def _groups() -> list[str]:
    return [path.name for path in sorted(CONF.iterdir()) if path.is_dir()] if CONF.is_dir() else []


def _walk(node: DictConfig, prefix: str) -> Iterator[str]:
    for key in map(str, node):
        yield f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            yield from _walk(child, f"{prefix}{key}.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _place(error: Exception) -> str:
    """``conf/loss/released.yaml: `` where Hydra says which file it was reading, else nothing."""
    match = re.match(r"In '(?P<file>[^']+)'", str(error))
    return f"conf/{match['file']}.yaml: " if match else ""


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _missing_choice(error: MissingConfigException) -> str:
    """Hydra lists the options of the group; the search path after it helps nobody here."""
    match = re.search(r"Could not find '(?P<asked>[^']+)'", str(error))
    if match is None or not error.options:
        return _first_line(error)
    group, _, choice = match["asked"].partition("/") if "/" in match["asked"] else ("", "", match["asked"])
    if group in _PLACES and ("/" in choice or choice.startswith((".", "~"))):
        return f"unknown {group} {choice!r}: a folder or a hub id is given with {_PLACES[group]}={choice}"
    return f"unknown {group or 'config'} {choice!r}: {nearest(choice, tuple(sorted(error.options)))}"
