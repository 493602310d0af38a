"""``--multirun``: whatever launches the jobs, each leaves word of how it ended, and the exit code tells the worst.

Hydra hands results of jobs back as far as its launchers do: not the exit codes of worker processes, one error of
several, and nothing of what the others did when a worker is killed. So a job writes its ending to a file.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten

from hydra.core.hydra_config import HydraConfig

from one_embedder.ending import EXIT_BUG, Ending, JobsFailed, ending_of
from one_embedder.files.disk import writing
from one_embedder.interruption import EXIT_TERMINATED, Terminated, termination_raises

ENDINGS = "endings"
"""Folder below the sweep's: a file ``<sweeping process>-<job>-<hex>.json`` for each process of a job."""

log = logging.getLogger(__name__)

_LINE = 240  # characters of a message that the summary shows; the whole was told when the job ended

_NOT_BEGUN = Ending(EXIT_TERMINATED, "not begun, since SIGTERM came")
_told_to_end = False  # of a worker process: what it has not begun by then, it leaves


def run_job(run: Callable[[], int], sweeping: int) -> None:
    """Run a job of a sweep and leave word of how it ended. Errors are told here and stop no other job.

    Args:
        run: does the job and gives its exit code.
        sweeping: the process that sweeps. In that one an interruption goes on, and ends the sweep.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.sweep.dir) / ENDINGS
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{sweeping}-{hydra.job.num}-{uuid.uuid4().hex[:8]}.json"
    try:
        with termination_raises():
            ending = _NOT_BEGUN if _told_to_end else Ending(run())
    except Exception as error:
        ending = ending_of(error) or Ending(EXIT_BUG, f"{type(error).__name__}: {error}")
        log.error("%s", ending.message, exc_info=ending.code == EXIT_BUG)
    except Terminated:
        if os.getpid() == sweeping:
            raise
        ending = _leave()
    partial = file.with_suffix(".partial")
    with writing(file):  # on a full disk no half a word is left, and this ends the sweep
        partial.write_text(json.dumps(asdict(ending)), encoding="utf-8")
        partial.replace(file)


def _leave() -> Ending:
    global _told_to_end
    _told_to_end = True
    return Ending(EXIT_TERMINATED, "terminated by SIGTERM")


def forget(folder: Path) -> None:
    """Remove the word of an earlier sweep in the same folder whose process had this one's number."""
    for file in (folder / ENDINGS).glob(f"{os.getpid()}-*.json"):
        file.unlink()


def require_all_well(jobs: Mapping[int, Sequence[str]], folder: Path, reasons: Sequence[str] = ()) -> None:
    """Read how the jobs of this process's sweep ended.

    Args:
        jobs: number of each job -> its overrides.
        folder: the sweep's.
        reasons: errors of the launcher, which may have left jobs without a word.

    Raises:
        JobsFailed: one or more ended with another exit code than 0; the message has a line for each.
    """
    because = f" ({'; '.join(reasons)})" if reasons else ""
    silent = Ending(EXIT_BUG, f"no word from it: killed, or not at its end{because}")
    endings = {job: _ending(folder / ENDINGS, job) or silent for job in jobs}
    failed = {job: ending for job, ending in endings.items() if ending.code}
    if failed:
        lines = [f"{len(failed)} of {len(jobs)} jobs did not end well:"]
        lines += [f"  job {job} ({_own(jobs, job)}): {_in_a_line(ending)}" for job, ending in failed.items()]
        raise JobsFailed("\n".join(lines), max(ending.code for ending in failed.values()))


def _ending(folder: Path, job: int) -> Ending | None:
    """The worst of a job's processes; None if none left word."""
    found = [
        Ending(**json.loads(file.read_text(encoding="utf-8"))) for file in folder.glob(f"{os.getpid()}-{job}-*.json")
    ]
    return max(found, key=lambda ending: ending.code, default=None)


def _own(jobs: Mapping[int, Sequence[str]], job: int) -> str:
    """What tells a job from the others."""
    common = set.intersection(*map(set, jobs.values())) if len(jobs) > 1 else set()
    return " ".join(override for override in jobs[job] if override not in common)


def _in_a_line(ending: Ending) -> str:
    message = shorten(ending.message.removeprefix("error: "), _LINE, placeholder=" ...")
    return f"exit code {ending.code}" + (f", {message}" if message else "")
