"""How fast a long job goes, how long it will take and how much it writes, in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_TELL_SECONDS = 10.0


class Pace:
    """Tells how fast it goes and how long it will take: after the first chunk, then now and then.

    Args:
        rows: done before.
        total: to be done in all.
        say: what tells it.
        units: what is counted, and what of it is done in a second.
    """

    def __init__(
        self, rows: int, total: int, say: Callable[[str], Any], units: tuple[str, str] = ("rows", "texts/s")
    ) -> None:
        self._first, self._total, self._say, self._units = rows, total, say, units
        self._began = time.monotonic()
        self._told = -_TELL_SECONDS

    def tell(self, rows: int) -> None:
        """Say it, if it is time to; ``rows`` are done by now. Past a total that was only guessed nothing is said."""
        passed = time.monotonic() - self._began
        if passed - self._told < _TELL_SECONDS or not self._first < rows < self._total:
            return
        self._told = passed
        rate = (rows - self._first) / max(passed, 1e-9)
        left = _duration((self._total - rows) / rate)
        counted, speed = self._units
        self._say(f"{rows:,} of {self._total:,} {counted}, {rate:,.4g} {speed}, about {left} left")


def size(count: float) -> str:
    """A number of bytes, rounded."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
