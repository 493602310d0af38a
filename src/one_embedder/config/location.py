"""Where the project lies on disk."""

from __future__ import annotations

from pathlib import Path

from one_embedder.errors import ConfigError

PROJECT_ROOT = Path(__file__).resolve().parents[3]
CONF = PROJECT_ROOT / "conf"
LOCK = PROJECT_ROOT / "requirements.lock"


def inside_project(path: Path | str) -> str:
    """A path as a record keeps it: relative to the project's root where it lies there, so that records can travel."""
    path = Path(path)
    return path.relative_to(PROJECT_ROOT).as_posix() if path.is_relative_to(PROJECT_ROOT) else str(path)


def conf_folder() -> Path:
    """The folder of Hydra configs beside the source.

    Raises:
        ConfigError: if the package was installed away from its checkout, where ``conf/`` does not travel along.
    """
    if not (CONF / "reproduce.yaml").is_file():
        raise ConfigError(
            f"no configuration in {CONF}: run `make setup` in a clone (an editable install), not a plain install"
        )
    return CONF
