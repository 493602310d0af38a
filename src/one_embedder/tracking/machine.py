"""What a run ran on: code, library versions, hardware. Every value may be None, none may fail a run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from one_embedder.files.location import LOCK, PROJECT_ROOT, inside_project

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "sentence-transformers",
    "pytorch-lightning",
    "datasets",
    "mteb",
    "numpy",
    "scikit-learn",
)
_GIB = 1024**3
_CODE = ("--", ".", ":(exclude)experiments")


def command() -> list[str]:
    """What was typed; for a job of a sweep, whose process may be a launcher's own, what would run this job alone."""
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        hydra = HydraConfig.get()
        typed = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
        folders = [word for path in typed for word in ("--config-dir", inside_project(path))]
        return ["python", "-m", f"one_embedder.{hydra.job.config_name}", *folders, *hydra.overrides.task]
    return [inside_project(argument) for argument in sys.orig_argv]


def code_state(root: Path = PROJECT_ROOT) -> dict[str, Any]:
    """The commit, whether the tree differs from it, and the hash of that difference (tracked files).

    What runs write (``experiments/``) is left out: a first run must not make the code of the second look changed.
    """
    commit = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", *_CODE)
    diff = _git(root, "diff", "HEAD", *_CODE) if commit else None
    return {
        "commit": commit.decode().strip() if commit else None,
        "dirty": bool(status) if status is not None else None,
        "diff_sha256": hashlib.sha256(diff).hexdigest() if diff else None,
    }


def environment() -> dict[str, str | None]:
    """Python, the libraries that can move a score, and the hash of the lock file."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    versions.update({name: _version(name) for name in LIBRARIES})
    versions["lock_sha256"] = hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else None
    return versions


def hardware() -> dict[str, Any]:
    """CPU, memory in GiB, the GPUs that torch sees, and its arithmetic."""
    names = _gpu_names()
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1),
        "gpu": names[0] if names else None,
        "gpu_count": len(names),
        "arithmetic": arithmetic(),
    }


def arithmetic() -> str | None:
    """What fixes how floating-point numbers are summed: torch's version, and the GPUs or else CPU, SIMD and threads.

    Where it is the same, the same computation gives the same numbers. None while torch is not loaded.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    names = _gpu_names()
    cpu = f"{_cpu_name()}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    device = f"{len(names)} x {names[0]}" if names else cpu
    return f"torch {torch.__version__}, {device}"


def peak_memory_gib() -> float:
    """The most resident memory this process has had so far, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    in_bytes = peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
    return round(in_bytes / _GIB, 3)


def _git(root: Path, *arguments: str) -> bytes | None:
    """What git says; a diff has the encodings of its files. It takes no lock, which a commit of the user's may want."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _gpu_names() -> list[str]:
    torch = sys.modules.get("torch")  # a run that never loaded torch used no GPU; loading it here would cost seconds
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
