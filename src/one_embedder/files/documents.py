"""JSON and YAML files that are read whole: records, settings, a model's description.

The parsers have many ways to fail, and one of YAML's ends the process where brackets stand deep in each other. Here
every way is one: a ``ValueError`` with a short reason, for the caller to name the file and the remedy.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Hashable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

_SHOWN = 200
_DEEPEST = 200
_BRACKETS = re.compile(r"[\[{\]}]")
_IN_ONE_LINE = re.compile(rf"(?:[-?:][ \t]+){{{_DEEPEST}}}")  # lists of lists, each begun by a dash


def read_json(path: Path) -> Any:
    """The JSON value in a UTF-8 file.

    Raises:
        ValueError: if it is not UTF-8 or not JSON, is nested too deeply, has a number that Python does not read, or a
            key twice in one object.
        OSError: if it cannot be read.
    """
    return parse_json(decoded_utf8(path.read_bytes()))


def parse_json(text: str) -> Any:
    """As ``read_json``, of a text."""
    try:
        return json.loads(text, object_pairs_hook=without_repeated_keys)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_yaml(path: Path) -> Any:
    """The YAML value in a UTF-8 file; raises as ``read_json``."""
    import yaml

    text = decoded_utf8(path.read_bytes())
    _require_shallow(text)
    try:
        return yaml.load(text, _loader())  # noqa: S506  # a safe loader, which also refuses a key that is there twice
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    # The last three are of values that name another type than they are.
    except (yaml.YAMLError, AttributeError, TypeError, OverflowError) as error:
        raise ValueError(f"not YAML: {error!s:.{_SHOWN}}") from error


def decoded_utf8(content: bytes) -> str:
    """A file's text, without the byte order mark that some editors put before it.

    Raises:
        ValueError: if it is not UTF-8.
    """
    require_not_wide(content[:4])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:  # its own message would hold the whole file
        raise ValueError(f"not UTF-8: {error.reason} at byte {error.start}") from error


def require_not_wide(start: bytes) -> None:
    """Refuse UTF-16 and UTF-32 by a file's first four bytes.

    Raises:
        ValueError: naming how to convert it.
    """
    marks = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
    letter = len(start) == 4 and 0 < start.count(b"\0") < 4 and start.strip(b"\0").isascii()
    if start.startswith(marks) or letter:
        raise ValueError("UTF-16 or UTF-32, not UTF-8; convert it, as with `iconv -f UTF-16 -t UTF-8`")


def without_repeated_keys(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """One object of a JSON text.

    Raises:
        ValueError: if a key is there twice: JSON's readers take the last one and say nothing.
    """
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r:.60} is there twice")
    return found


@cache
def _loader() -> Any:
    """libyaml where it is there, ten times faster."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc, valid-type]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
            _require_unique(node)
            return dict(super().construct_mapping(node, deep=deep))

    return Loader


def _require_shallow(text: str) -> None:
    """Libyaml's reader is recursive, and at some depth ends the process; Python's is quadratic in it."""
    depths = itertools.accumulate(1 if sign in "[{" else -1 for sign in _BRACKETS.findall(text))
    if max(depths, default=0) > _DEEPEST or _IN_ONE_LINE.search(text):
        raise ValueError("nested too deeply")


def _require_unique(node: Any) -> None:
    keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    if len(set(map(str, keys))) < len(keys):
        repeated = next(key for key in keys if list(map(str, keys)).count(str(key)) > 1)
        raise ValueError(f"the key {repeated!r:.60} is there twice")
