"""One case: damage one file of a surface, read it, and say whether that went as promised."""

from __future__ import annotations

import contextlib
import gzip
import random
import re
import signal
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from one_embedder.errors import OneEmbedderError
from tests.torture.damage import BYTES, LONG, Place, with_odd_value, written
from tests.torture.surface import Surface

SECONDS = 20
"""Of processor time. What takes longer is a hang: the files hold a few rows, and a first import is in it."""


@dataclass(frozen=True)
class Verdict:
    """What came of one case.

    Attributes:
        surface: what was read.
        seed: of the case; with the surface it gives the same case again.
        damage: what was done.
        outcome: taken, refused, or fault.
        told: the message, or what the fault is.
    """

    surface: str
    seed: int
    damage: str
    outcome: str
    told: str

    def to_json(self) -> dict[str, Any]:
        """For a line of the record."""
        return asdict(self)


class Hang(BaseException):
    """The time is over; no library takes this for an error of its own."""


def judge(surface: Surface, seed: int) -> Verdict:
    """Run the case of that seed."""
    rng = random.Random(f"{surface.name} {seed}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "input"
        folder.mkdir()
        surface.write(folder)
        file, damage, place = _damage(rng, surface, folder)
        outcome, told = _read(surface, folder, file, place)
    return Verdict(surface.name, seed, f"{file}: {damage}", outcome, told.replace(name, ""))


def _damage(rng: random.Random, surface: Surface, folder: Path) -> tuple[str, str, Place | None]:
    file = rng.choice(sorted(surface.files))
    content = surface.files[file]
    if isinstance(content, bytes) or rng.random() < 0.4:
        kind = rng.choice(sorted(BYTES))
        inside = file.endswith(".gz") and rng.random() < 0.5
        plain = (folder / file).read_bytes()
        plain = gzip.decompress(plain) if inside else plain
        damaged = BYTES[kind](rng, plain)
        (folder / file).write_bytes(gzip.compress(damaged, mtime=0) if inside else damaged)
        return file, f"{kind}{' inside' * inside}", None
    place, tree = with_odd_value(rng, content)
    (folder / file).write_bytes(surface.encoded(file, tree, written))
    return file, f"{'/'.join(map(str, place.path))} = {place.value!r:.60}", place


def _read(surface: Surface, folder: Path, file: str, place: Place | None) -> tuple[str, str]:
    try:
        with _limited():
            found = surface.read(folder)
    except OneEmbedderError as error:
        return _refusal(str(error), file)
    except Hang:
        return "fault", f"not done after {SECONDS} seconds"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "fault", f"{type(error).__name__}: {error!s:.200} ({Path(where.filename).name}:{where.lineno})"
    set_aside = surface.whole is not None and len(found) < surface.whole
    if place is not None and not set_aside and not _may_stand(surface, place):
        return "fault", "accepted, although such a value may not stand there"
    return "taken", ""


def _refusal(message: str, file: str) -> tuple[str, str]:
    """A message has to name the file, or its folder, and to be short enough to be read."""
    names = [re.escape(part) for part in {file, *Path(file).parts, Path(file).name.split(".")[0]}]
    if not re.search("|".join(names), message):
        return "fault", f"a message that does not name the file: {message:.300}"
    if len(message) > 2000:
        return "fault", f"a message of {len(message)} characters: {message:.200}"
    return "refused", message


def _may_stand(surface: Surface, place: Place) -> bool:
    field = next((part for part in reversed(place.path) if isinstance(part, str)), "")
    allowed = surface.may_hold.get(field if place.path[-1] == field else f"{field}[]")
    return allowed is None or (
        place.value != LONG and allowed(place.value)
    )  # no predicate takes ``Gone``, but where a key may be gone


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def over(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
