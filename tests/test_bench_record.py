"""What a process of a benchmark takes, and what is told where it fails."""

from __future__ import annotations

import sys

import pytest

from one_embedder.errors import OneEmbedderError
from scripts.bench_record import of_process, peak_mb

PROGRAM = "import sys; held = b'x' * 60_000_000; print('done'); sys.exit(int(sys.argv[1]))"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_what_a_process_printed_and_took_in_units_of_the_platform(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, here = of_process([sys.executable, "-c", PROGRAM, "0"])
    assert said == "done\n" and here["wall_s"] > 0 and here["cpu_s"] > 0
    assert 60 < here["peak_mb"] < 60 + 2 * peak_mb()
    monkeypatch.setattr(sys, "platform", platform)
    assert of_process([sys.executable, "-c", PROGRAM, "0"])[1]["peak_mb"] == pytest.approx(
        here["peak_mb"] / (1024 if platform == "darwin" else 1), rel=0.1
    )


def test_why_a_process_failed_stays_to_be_read(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OneEmbedderError, match="ended with 3"):
        of_process([sys.executable, "-c", "import sys; sys.stderr.write('no data'); sys.exit(3)"])
    assert capfd.readouterr().err == "no data"
