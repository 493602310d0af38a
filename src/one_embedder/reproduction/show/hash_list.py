"""``experiments/sha256.txt``: the hash of every recorded file, as ``sha256sum --check`` reads it.

A record checks what of its numbers follows from others; this finds a change of any other. ``make readme`` writes the
list, so a change that was made on purpose shows in git as a changed hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from one_embedder.files.hashes import file_sha256
from one_embedder.tracking.manifest import write_atomically

HASHES = "sha256.txt"
FOLDERS = ("ablations", "bench", "expected", "folder", "harness", "table1", "torture", "views")
"""Of ``experiments``: what is recorded, and published numbers."""


def write_hashes(experiments: Path) -> None:
    """Write the list anew."""
    lines = [f"{sha256}  {name}\n" for name, sha256 in _hashes(experiments).items()]
    write_atomically(experiments / HASHES, "".join(lines))


def changed_files(experiments: Path) -> Iterator[str]:
    """A sentence for each file that is not as it was when the list was written."""
    path = experiments / HASHES
    listed = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    then = {name: sha256 for sha256, _, name in (line.partition("  ") for line in listed)}
    now = _hashes(experiments)
    for name in sorted(then.keys() | now.keys()):
        if name not in now:
            yield f"{experiments / name}: is gone; restore it (git checkout), or run `make readme`"
        elif name not in then:
            yield f"{experiments / name}: is not in {HASHES}; run `make readme`"
        elif now[name] != then[name]:
            yield (
                f"{experiments / name}: was changed since {HASHES} was written; restore it (git checkout), or run "
                "`make readme` if it was recorded anew"
            )


def _is_kept(path: Path) -> bool:
    """Whether git keeps it: a manifest's settings are not kept, its command gives them again."""
    return not path.name.startswith(".") and path.name != "config.yaml"


def _hashes(experiments: Path) -> dict[str, str]:
    """Path below ``experiments`` -> sha256 (hex), in order."""
    files = (path for folder in FOLDERS for path in (experiments / folder).rglob("*") if path.is_file())
    names = sorted(path.relative_to(experiments).as_posix() for path in files if _is_kept(path))
    return {name: file_sha256(experiments / name) for name in names}
