"""What the benchmarks share: clocks, what a process takes, where a record lies, and how it is written."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from one_embedder.errors import OneEmbedderError
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.tracking.machine import code_state, environment, hardware

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""Seconds: of the clock on the wall, and of this process's own work, which other work on the machine hardly changes."""


def own_record(name: str) -> Path:
    """Where a benchmark writes unless it is told otherwise, without suffix."""
    return PROJECT_ROOT / "experiments" / "own" / "bench" / name


def origin() -> dict[str, Any]:
    """The code, the versions and the machine that a record comes from."""
    return {"code": code_state(), "environment": environment(), "hardware": hardware()}


def run(
    parser: ArgumentParser, bench: Callable[[Namespace], dict[str, Any]], rendered: Callable[[dict[str, Any]], str]
) -> None:
    """A benchmark's command: measure as asked and write the record, or say in one line why nothing is recorded."""
    arguments = parser.parse_args()
    try:
        record = bench(arguments)
    except OneEmbedderError as error:
        sys.exit(f"error: {error}")
    write_record(arguments.record, record, rendered(record))


def write_record(path: Path, record: dict[str, Any], text: str) -> None:
    """Write ``path``.json, and ``text``, the record for readers, as ``path``.md and to standard output."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def of_process(command: Sequence[str]) -> tuple[str, dict[str, float]]:
    """What a command printed, and what it took: ``wall_s``, ``cpu_s`` and ``peak_mb``, resident.

    To Linux a process has had what its parent had when it was started: ``peak_mb`` is never less than that.

    Raises:
        OneEmbedderError: it failed; why is what it wrote to standard error.
    """
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        line = " ".join(shlex.join(command).split())
        raise OneEmbedderError(f"{line:.120} ended with {os.waitstatus_to_exitcode(status)}")
    wall, cpu = time.monotonic() - began, usage.ru_utime + usage.ru_stime
    return said, {"wall_s": wall, "cpu_s": cpu, "peak_mb": _mb(usage)}


def peak_mb() -> float:
    """The most memory that this process has had so far, MB."""
    return _mb(resource.getrusage(resource.RUSAGE_SELF))


def _mb(usage: resource.struct_rusage) -> float:
    """Peak memory; macOS counts bytes, Linux KiB."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
