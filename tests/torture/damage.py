"""Ways in which a file can be wrong, drawn from a seed: its bytes, or one value in it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

LONG = "@a number of five thousand digits@"
"""Stands for a number that ``json.dumps`` cannot write."""

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 3.5, 2**63, 2**70, 1e308, float("nan"), float("inf"), "", " \n", "\0", "\ud800", "x" * 5000,
    "../../outside", "/etc/hostname", [], {}, [[]], [None], ["a", 3], {"a": {}}, LONG,
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a value was changed.

    Attributes:
        path: keys and indices from the top.
        value: what stands there now; ``Gone`` where the key was removed.
    """

    path: tuple[Any, ...]
    value: Any


class Gone:
    """The value of a key that was removed."""


def written(tree: Any) -> bytes:
    """JSON, nan and infinity included as Python writes them."""
    return json.dumps(tree).replace(f'"{LONG}"', "9" * 5000).encode()


def with_odd_value(rng: random.Random, tree: Any) -> tuple[Place, Any]:
    """A copy of a JSON value in which one key is gone, or one value is another."""
    changed = deepcopy(tree)
    path = rng.choice(list(_paths(changed)))
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    if isinstance(parent, dict) and rng.random() < 0.2:
        del parent[path[-1]]
        return Place(path, Gone), changed
    parent[path[-1]] = deepcopy(rng.choice(ODD))
    return Place(path, parent[path[-1]]), changed


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _paths(value, (*path, key))


def _cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content))]


def _flipped(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _zeros(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    length = min(rng.choice((1, 16, 4096)), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def _lost(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.randrange(1, 40) :]


def _twice(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start : start + rng.randrange(1, 40)] + content[start:]


def _noise(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + rng.randbytes(rng.choice((1, 30))) + content[start:]


def _other(rng: random.Random, content: bytes) -> bytes:
    return rng.choice((b"", b" \n", b"PK\x03\x04" + rng.randbytes(60), b"null", b"3", b"[" * 100_000, b"\x1f\x8b\x08"))


def _in_utf16(rng: random.Random, content: bytes) -> bytes:
    return content.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32")))


BYTES: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "cut": _cut,
    "flipped": _flipped,
    "zeros": _zeros,
    "lost": _lost,
    "twice": _twice,
    "noise": _noise,
    "other": _other,
    "utf16": _in_utf16,
    "mark": lambda rng, content: b"\xef\xbb\xbf" + content,
}
"""Name -> the damage; each takes the generator and a file's bytes, at least one."""
