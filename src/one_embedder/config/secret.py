"""Secrets stay in the environment: configurations are written to run folders, logs and W&B."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from one_embedder.errors import ConfigError

_SECRET = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|KEY|CREDENTIALS)(_|$)", re.IGNORECASE)
_SHORTEST = 8  # characters; a shorter value, such as a 1, also stands in texts that have nothing to do with it


def require_no_secrets(values: Mapping[str, Any] | list[str]) -> None:
    """Refuse values that hold what an environment variable named like a secret holds.

    Args:
        values: a configuration with every ``${...}`` filled in, or words of a command line.

    Raises:
        ConfigError: naming key and variable, never the value.
    """
    secrets = {
        value: name for name, value in os.environ.items() if _SECRET.search(name) and len(value.strip()) >= _SHORTEST
    }
    for key, text in _texts(values, ""):
        for secret, name in secrets.items():
            if secret in text:
                raise ConfigError(
                    f"{key} holds the value of {name}, which would be written to disk: leave it out. Libraries read "
                    "HF_TOKEN and WANDB_API_KEY from the environment themselves"
                )


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every text with its dotted key; of a word of a command line what stands before its sign =."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)
    elif isinstance(value, str):
        yield key or value.partition("=")[0].partition("/")[0], value
