"""Where the project lies on disk: in its checkout, or wherever an installed wheel is used."""

from __future__ import annotations

from pathlib import Path

from one_embedder.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKOUT = _PACKAGE.parents[1]
IN_CHECKOUT = (_CHECKOUT / "conf" / "base.yaml").is_file()
"""Whether the package runs from a clone, where recorded results, data and configuration lie beside ``src``."""
PROJECT_ROOT = _CHECKOUT if IN_CHECKOUT else Path.cwd()
"""Where ``data`` and ``experiments`` are: the clone, or the folder in which an installed package was started."""
CONF = (PROJECT_ROOT if IN_CHECKOUT else _PACKAGE) / "conf"
"""The Hydra configs; a wheel carries them along."""
LOCK = PROJECT_ROOT / "requirements.lock"


def inside_project(path: Path | str) -> str:
    """A path as a record keeps it: relative to the project's root where it lies there, so that records can travel."""
    path = Path(path)
    return path.relative_to(PROJECT_ROOT).as_posix() if path.is_relative_to(PROJECT_ROOT) else str(path)


def need_checkout(what: str, in_checkout: bool = IN_CHECKOUT) -> None:
    """Refuse what reads files that only a clone has.

    Raises:
        ConfigError: the package was installed away from its clone.
    """
    if not in_checkout:
        raise ConfigError(f"{what} reads recorded results that only a clone of the repository has: run it there")
