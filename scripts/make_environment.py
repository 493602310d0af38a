"""Make the project's virtual environment; `make setup` calls this. Standard library only: nothing is installed yet.

A setup that was interrupted is never taken for whole: the stamp is removed first and written last, and an environment
that this script began but did not finish is made anew.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INPUTS = (ROOT / "requirements.lock", ROOT / "pyproject.toml")
STAMP = ".complete"
BEGUN = ".begun"
LOG = "setup.log"
NEEDED_GIB = 3.0  # installed size with a CPU build of torch, and room to unpack

_REMEDIES = {
    r"No space left on device|Errno 28|Disk quota exceeded": (
        "the disk is full: free some space and run `make setup` again"
    ),
    r"Max retries exceeded|NewConnectionError|Name or service not known|name resolution|Network is unreachable"
    r"|Connection refused|ConnectTimeout|Read timed out|Retrying \(Retry|ProxyError|SSLError": (
        "no package index could be reached: connect to a network, or name an index with PIP_INDEX_URL or a folder of "
        "wheels with PIP_FIND_LINKS, and run `make setup` again"
    ),
    r"No matching distribution found": (
        "the package index lacks a locked version: is it complete, with wheels for this Python and platform?"
    ),
    r"ensurepip": "this Python cannot make environments: install its venv package (Debian: apt install python3-venv)",
}


class SetupError(Exception):
    """The environment could not be made; the message says what to do."""


def main() -> int:
    """Parse the command line, make the environment, tell what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("venv", type=Path, help="folder of the environment")
    parser.add_argument("--torch-index", default="", help="extra package index for torch, such as PyTorch's CPU builds")
    arguments = parser.parse_args()
    try:
        make_environment(arguments.venv.expanduser().absolute(), arguments.torch_index)
    except SetupError as error:
        sys.stderr.write(f"setup: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("setup: interrupted; `make setup` starts over\n")
        return 130
    return 0


def make_environment(folder: Path, torch_index: str = "") -> None:
    """Create or update the environment in ``folder`` and stamp it when all of it is there.

    Raises:
        SetupError: no network, no space, no venv module, or a pip failure.
    """
    stamp, wanted = folder / STAMP, fingerprint()
    if stamp.is_file() and stamp.read_text() == wanted:
        stamp.touch()  # a file was touched, not changed
        return
    prepare(folder)
    python = folder / "bin" / "python"
    lock = str(INPUTS[0])
    torch = next(line for line in INPUTS[0].read_text().splitlines() if line.startswith("torch=="))
    extra = ["--extra-index-url", torch_index] if torch_index else []
    tell(f"2/4 {torch}, the largest part (log: {folder / LOG})")
    pip(folder, [str(python), "-m", "pip", "install", *extra, torch])
    tell("3/4 everything else in requirements.lock")
    pip(folder, [str(python), "-m", "pip", "install", "-r", lock])
    tell("4/4 this package, editable")
    pip(folder, [str(python), "-m", "pip", "install", "--no-deps", "--no-build-isolation", "-e", str(ROOT)])
    stamp.write_text(wanted)
    tell(f"done: {folder}")


def fingerprint() -> str:
    """Of what determines the environment."""
    content = b"\0".join(path.read_bytes() for path in INPUTS)
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def prepare(folder: Path) -> None:
    """An environment to install into: the existing one, or a new one where there is none or half of one."""
    half_made = (folder / BEGUN).is_file() and not (folder / STAMP).is_file()
    (folder / STAMP).unlink(missing_ok=True)
    if (folder / "bin" / "python").exists() and not half_made:  # complete but outdated, or the user's own
        tell(f"1/4 {folder} exists, bringing it up to date")
        return
    check_space(folder)
    tell(f"1/4 new environment in {folder} with Python {sys.version.split()[0]}")
    if half_made:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BEGUN).touch()
    run(folder, [sys.executable, "-m", "venv", str(folder)])


def check_space(folder: Path) -> None:
    """Refuse before the download rather than in its middle."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1024**3
    if free < NEEDED_GIB:
        raise SetupError(
            f"{existing} has {free:.1f} GiB free, the environment takes about {NEEDED_GIB:.0f}: free some space, "
            "or put it elsewhere with VENV=/path"
        )


def pip(folder: Path, command: list[str]) -> None:
    """Run pip; questions are not asked, its own update is not advertised."""
    run(folder, [*command, "--no-input", "--disable-pip-version-check"])


def run(folder: Path, command: list[str]) -> None:
    """Run a command with its output in the log.

    Raises:
        SetupError: if it fails, with the likely remedy and the log's end.
    """
    with (folder / LOG).open("a+", encoding="utf-8") as log:
        start = log.tell()
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, check=False).returncode
        log.seek(start)
        output = log.read()
    if code != 0:
        raise SetupError(diagnose(output))


def diagnose(output: str) -> str:
    """What to do about a failed command, from what it said."""
    last = "\n".join(output.strip().splitlines()[-6:])
    remedy = next((text for pattern, text in _REMEDIES.items() if re.search(pattern, output)), "a step failed")
    return f"{remedy}\n--- last lines ---\n{last}"


def tell(message: str) -> None:
    """Progress, for the person at the terminal."""
    sys.stderr.write(f"setup: {message}\n")


if __name__ == "__main__":
    sys.exit(main())
