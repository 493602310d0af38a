"""The cases of a long torture, a line each: interrupted, the same command goes on where it stopped."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from one_embedder.tracking.machine import code_state
from one_embedder.tracking.manifest import write_atomically

Case = Mapping[str, Any]


def judged(
    cases: Mapping[Hashable, Callable[[], Case]],
    log: Path,
    identity: Callable[[Case], Hashable],
    seconds: float = math.inf,
) -> list[Case]:
    """The verdicts, those of an earlier try included.

    Args:
        cases: identity -> judges the case.
        log: JSON lines; without a clean commit nobody could say what earlier cases were of, and it begins anew.
        identity: of a verdict.
        seconds: after which no case is begun.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if code_state()["dirty"]:
        log.unlink(missing_ok=True)
    known = {identity(line): line for line in whole_lines(log)}
    ends = time.monotonic() + seconds
    with log.open("a", encoding="utf-8") as file:
        for name, judge in tqdm(cases.items(), unit="case"):
            if name not in known and time.monotonic() < ends:
                known[name] = judge()
                file.write(json.dumps(known[name]) + "\n")
                file.flush()
    return [known[name] for name in cases if name in known]


def whole_lines(log: Path) -> list[dict[str, Any]]:
    """The cases that an earlier try has done; the one that it was writing when it was cut off is done again."""
    if not log.is_file():
        return []
    whole = log.read_text(encoding="utf-8").rpartition("\n")[0]
    log.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def write_record(path: Path, content: Mapping[str, Any], kinds: Mapping[str, Mapping[str, int]]) -> None:
    """Write what a table is made of, and of which code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: code_state()[key] for key in ("commit", "dirty")}
    write_atomically(path, json.dumps({**state, **content, "kinds": kinds}, indent=1) + "\n")


def faults(verdicts: Sequence[Case]) -> list[Case]:
    """Those that went wrong."""
    return [verdict for verdict in verdicts if verdict["outcome"] == "fault"]
