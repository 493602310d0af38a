"""The ``build_medi`` verb: a source -> MEDI on disk."""

from __future__ import annotations

from pathlib import Path

from one_embedder.config.relations import require_buildable
from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError, DataError
from one_embedder.files.lock import holding
from one_embedder.files.swap import standing


def build(cfg: Config) -> Path:
    """Build the training data that ``cfg.medi`` describes; nothing is done when they are there already.

    Returns:
        The folder: ``medi/`` (Arrow and manifest), whatever else the source gives, and, written last, ``build.json``.

    Raises:
        ConfigError: if the source is unknown, settings contradict each other, or the folder holds data that were built
            with other settings.
        DataError: if the source cannot be read or the disk is full.
    """
    require_buildable(cfg)
    folder = Path(cfg.output or cfg.medi.folder)
    try:
        return _build_from(cfg, folder)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot write the training data ({error}); free disk space or choose output=FOLDER, then rerun"
        ) from error


def _build_from(cfg: Config, folder: Path) -> Path:
    if cfg.medi.source == "file" and cfg.medi.path is None:  # the user's own, built elsewhere
        from one_embedder.medi.store import load_medi

        if not standing(folder / "medi").exists():
            raise ConfigError(
                f"medi.path is not given, and {folder} holds no training data: name a file of MEDI "
                "(medi.path=FILE) or a folder that build_medi made (medi.folder=FOLDER); your own pairs are read by "
                "profile=own medi.path=FILE"
            )
        load_medi(folder / "medi")
        return folder
    with holding(folder, wait=True):  # whoever waited finds it built
        return _build_alone(cfg, folder)


def _build_alone(cfg: Config, folder: Path) -> Path:
    match cfg.medi.source:
        case "documentation":
            from one_embedder.medi.sources.documentation.build import build_documentation

            return build_documentation(cfg, folder)
        case "super_ni" | "mixture":
            from one_embedder.medi.sources.mixture import build_mixture

            return build_mixture(cfg, folder)
        case "full":
            from one_embedder.medi.sources.hub.build import build_full

            return build_full(cfg, folder)
        case "own":
            from one_embedder.medi.sources.own.build import build_own

            return build_own(cfg, folder)
        case "file":
            from one_embedder.medi.sources.file.build import build_file

            return build_file(cfg, folder)
        case unknown:
            raise ConfigError(
                f"medi.source={unknown!r} is unknown; the sources are documentation, own, file, super_ni, mixture "
                "and full"
            )
