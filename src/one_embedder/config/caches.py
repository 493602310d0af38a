"""Where libraries keep what they can make or fetch again: where the user's environment says, if that can be written.

On a cluster the home is often read-only, or there is none. mteb then ends its own import in a traceback, and others
fail later; their caches go to a temporary folder instead, which is the user's own and stays for the next run.
"""

from __future__ import annotations

import logging
import os
import tempfile
from functools import cache
from pathlib import Path

from one_embedder.errors import ConfigError

log = logging.getLogger(__name__)


def settle_caches() -> None:
    """Point every cache to a place that can be written, before the libraries are imported; one warning if any moves.

    A cache of the hub that is there and cannot be written stays, because models are read from it all the same.

    Raises:
        ConfigError: if not even a temporary file can be written.
    """
    _settle_temporary()
    spare, moved = cache(_spare), list[str]()
    if os.path.expanduser("~") == "~":  # noqa: PTH111 - Path raises here: no HOME, and a user without an entry
        os.environ["HOME"] = str(spare())
        moved.append("HOME")
    for variable, usual in _usual_places().items():
        place = Path(os.environ.get(variable) or usual).expanduser()
        if not _is_writable(place) and not (variable == "HF_HUB_CACHE" and _is_readable(place)):
            os.environ[variable] = str(spare() / variable.lower())
            moved.append(variable)
    # mteb does not follow XDG_CACHE_HOME.
    os.environ.setdefault("MTEB_CACHE", str(_usual_places()["MTEB_CACHE"].expanduser()))
    if moved:
        told = "caches go to %s, because their usual places cannot be written; set %s to choose others"
        log.warning(told, spare(), ", ".join(moved))


def _usual_places() -> dict[str, Path]:
    """Variable -> where the library's files go while it is not set."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    hugging_face = Path(os.environ.get("HF_HOME") or caches / "huggingface")
    return {
        "MTEB_CACHE": caches / "mteb",
        "HF_HUB_CACHE": Path(os.environ.get("HUGGINGFACE_HUB_CACHE") or hugging_face / "hub"),
        "HF_XET_CACHE": hugging_face / "xet",
        "HF_DATASETS_CACHE": hugging_face / "datasets",
        "HF_MODULES_CACHE": hugging_face / "modules",
        "MPLCONFIGDIR": caches / "matplotlib",
        "WANDB_CACHE_DIR": caches / "wandb",
        "WANDB_DATA_DIR": Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "wandb",
    }


def _is_writable(place: Path) -> bool:
    """Whether the folder can be written to or, if it is not there, be made."""
    try:
        nearest = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    except PermissionError:  # below a folder that is not this user's to look into
        return False
    return os.access(nearest, os.W_OK | os.X_OK) and nearest.is_dir()


def _is_readable(place: Path) -> bool:
    return os.access(place, os.R_OK | os.X_OK) and place.is_dir()


def _settle_temporary() -> None:
    """Make TMPDIR the folder that Python takes: it passes over one that cannot be written, other programs do not."""
    asked = os.environ.get("TMPDIR")
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise ConfigError(f"no temporary file can be written ({error.strerror}); set TMPDIR to a folder") from error
    if asked and Path(asked).absolute() != Path(folder):
        log.warning("TMPDIR=%s cannot be written: temporary files go to %s", asked, folder)
        os.environ["TMPDIR"] = folder


def _spare() -> Path:
    """A folder that is this user's alone; the same in every run, unless somebody else took its name."""
    folder = Path(tempfile.gettempdir()) / f"one-embedder-caches-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        is_own = not folder.is_symlink() and folder.stat().st_uid == os.getuid()
    except FileExistsError:
        is_own = False
    return folder if is_own else Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
