"""Typed settings of training data that were built with others: the training would run on what is there, not on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError
from one_embedder.medi.sources.assembly import DONE


def require_built_with(cfg: Config, overrides: Iterable[str]) -> None:
    """Refuse a typed ``medi.KEY=VALUE`` that the data of ``medi.folder`` were not built with.

    Args:
        cfg: the configuration.
        overrides: what was typed, ``key=value`` each. What files of ``conf`` say is not asked.

    Raises:
        ConfigError: naming the setting, what the data were built with, and both remedies.
    """
    built = Path(cfg.medi.folder) / DONE
    if not built.is_file():  # data from before this record, from elsewhere, or none at all
        return
    then = dict(_flat(json.loads(built.read_text(encoding="utf-8")).get("settings", {})))
    for override in overrides:
        key = override.lstrip("+").partition("=")[0]
        if not key.startswith("medi.") or key not in then:
            continue
        if then[key] != (now := reduce(getattr, key.split("."), cfg)):
            raise ConfigError(
                f"{key}={now!r} would change nothing: the data in {cfg.medi.folder} were built with {then[key]!r}. "
                "Leave it out, or run build_medi with it and another medi.folder, and name that folder here too"
            )


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted key -> value, also of the keys within ``medi.mining``."""
    for key, value in settings.items():
        yield key, value
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
