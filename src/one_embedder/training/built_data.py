"""Typed settings of training data that were built with others: the training would run on what is there, not on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError
from one_embedder.medi.sources.assembly import built_record, flat, settings_of


def require_built_with(cfg: Config, overrides: Iterable[str]) -> None:
    """Refuse a typed ``medi.KEY=VALUE`` that the data of ``medi.folder`` were not built with.

    Args:
        cfg: the configuration.
        overrides: what was typed, ``key=value`` each. What files of ``conf`` say is not asked.

    Raises:
        ConfigError: naming the setting, what the data were built with, and both remedies.
        DataError: the record of the build cannot be read.
    """
    done = built_record(Path(cfg.medi.folder)) or {}  # data from before there were any, from elsewhere, or none at all
    settings = done.get("settings", {})
    for override in overrides:
        key = override.lstrip("+").partition("=")[0]
        recorded = [name for name in settings if f"{key}.".startswith(f"{name}.")]
        if not key.startswith("medi.") or not recorded:
            continue
        then, now = (_at(key, of) for of in (settings, settings_of(cfg, *recorded)))
        if then != now:
            raise ConfigError(
                f"{key}={now!r} would change nothing: the data in {cfg.medi.folder} were built with {then!r}. "
                "Leave it out, or run build_medi with it and another medi.folder, and name that folder here too"
            )


def _at(key: str, settings: Mapping[str, Any]) -> Any:
    """The value of a dotted key, which may lead into a setting that has keys of its own; None if it has not this."""
    return {**dict(flat(settings)), **settings}.get(key)
