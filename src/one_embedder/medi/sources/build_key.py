"""By what built data are known again: a hash of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from one_embedder.medi.store import SCHEMA_VERSION

BUILD_VERSION = 3
"""Stands for the code in every key. Raise it with each change after which some source makes other rows, or another
benchmark, of the same input: all data are then built again. Comments, messages, reports and speed leave it alone.
``tests/medi/test_build_key.py`` records what this version builds and fails where the number was forgotten."""


def build_key(source: str, **facts: Any) -> str:
    """Sha256 (hex) of the code's version and of what else the data depend on.

    Args:
        source: what is built.
        facts: JSON values.
    """
    everything = {"source": source, "version": BUILD_VERSION, "schema": SCHEMA_VERSION, "facts": facts}
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def file_states(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change (ns) of each file: cheap to learn, and different once a file is replaced."""
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
