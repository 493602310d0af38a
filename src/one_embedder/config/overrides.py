"""Values on the command line that Hydra's grammar cannot read: what is wrong with one, and how to type it."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.base import Node
from omegaconf.nodes import StringNode

from one_embedder.config.schema import Config

_OVERRIDE = re.compile(r"(?P<key>[+~]{0,2}[\w$][\w.$@:/-]*)=(?P<value>.*)", re.DOTALL)
_SEVERAL = re.compile(r"Ambiguous value for argument '(?P<override>.*)'\n1\. ", re.DOTALL)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_/\\.$%*@?|+: \t-]")


def explain_override(error: Exception) -> str | None:
    """Key, what of the value Hydra stumbled over, and the whole as it has to be typed in a shell.

    Args:
        error: of an override that cannot be read, or is several values where one is wanted; others give None.
    """
    several = _SEVERAL.search(str(error))
    if several is None and not isinstance(error, OverrideParseException):
        return None
    override = str(getattr(error, "override", "")) if several is None else several["override"]
    parts = _OVERRIDE.fullmatch(override)
    if parts is None:
        return (
            f"{override!r:.200} is not key=value: a key has letters, digits and dots, and = follows it without a space"
        )
    each = "" if several is None else "; to run each value by itself, add --multirun"
    return f"{_explained(parts['key'], parts['value'])}{each}"


def _explained(key: str, value: str) -> str:
    node, told = _node(key.lstrip("+~")), f"{key}: the value {value}"
    if isinstance(node, ListConfig):
        return f"{key} is a list; type {shlex.quote(f'{key}={_list(value)}')}"
    if not isinstance(node, StringNode | None):
        return f"{told} is no such value"
    signs = " ".join(dict.fromkeys(ascii(sign)[1:-1] if sign.isspace() else sign for sign in _NOT_PLAIN.findall(value)))
    # A shell leaves the ~ of key=~/folder alone, and quotes would keep it.
    plain = str(Path(value).expanduser()) if value.startswith("~/") else value
    typed = shlex.quote(f"{key}={plain if _is_readable(plain) else _quoted(plain)}")
    return f"{told} has {signs} in it, which Hydra reads as more than text; type {typed}"


def _list(value: str) -> str:
    """A list whose elements are quoted where they have to be."""
    inner = value.removeprefix("[").removesuffix("]")
    elements = [element.strip() for element in inner.split(",")]
    return f"[{','.join(element if _is_readable(element) else _quoted(element) for element in elements)}]"


def _quoted(text: str) -> str:
    """A text between quotes that Hydra reads back as it is; of the two kinds the one that it does not hold."""
    return str(QuotedString(text, Quote.single if '"' in text else Quote.double).with_quotes())


def _is_readable(value: str) -> bool:
    """Whether Hydra reads it as one value without quotes."""
    try:
        override = OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return False
    return value != "" and not override.is_sweep_override()


def _node(key: str) -> Node | None:
    """The schema's node of a dotted key; None for one that it does not know."""
    node: Node | None = _schema()
    for name in key.split("."):
        node = node._get_node(name) if isinstance(node, DictConfig) and name in node else None
    return node


@cache
def _schema() -> DictConfig:
    schema: DictConfig = OmegaConf.structured(Config)
    return schema
