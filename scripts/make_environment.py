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
SYSTEM_TORCH = ".system_torch"  # the environment takes torch from the Python that made it, now and when it is updated
OLDEST_TORCH = (2, 6)  # the oldest that transformers takes
WHEELS, SUMS = "wheels", "SHA256SUMS"  # in a wheelhouse
LOG = "setup.log"
NEEDED_GIB = 3.0  # installed size with a CPU build of torch, and room to unpack

_REMEDIES = {
    r"No space left on device|Errno 28|Disk quota exceeded": (
        "the disk is full: free some space and run the same command again"
    ),
    r"Max retries exceeded|NewConnectionError|Name or service not known|name resolution|Network is unreachable"
    r"|Connection refused|ConnectTimeout|Read timed out|Retrying \(Retry|ProxyError|SSLError": (
        "no package index could be reached: connect to a network, or name an index with PIP_INDEX_URL or a folder of "
        "wheels with PIP_FIND_LINKS, or one that `make wheelhouse` made (WHEELHOUSE=FOLDER), and run the same command "
        "again"
    ),
    r"No matching distribution found": (
        "the package index, or the wheelhouse, lacks a locked version: is it complete, and made for this Python, this "
        "platform and this requirements.lock?"
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
    parser.add_argument("--wheelhouse", default="", help="folder that `make wheelhouse` made; no index is asked")
    parser.add_argument(
        "--system-torch", action="store_true", help="take torch from this Python, and do not install it"
    )
    arguments = parser.parse_args()
    wheelhouse = Path(arguments.wheelhouse).expanduser().absolute() if arguments.wheelhouse else None
    try:
        make_environment(
            arguments.venv.expanduser().absolute(), arguments.torch_index, wheelhouse, arguments.system_torch
        )
    except SetupError as error:
        sys.stderr.write(f"setup: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("setup: interrupted; `make setup` starts over\n")
        return 130
    return 0


def make_environment(
    folder: Path, torch_index: str = "", wheelhouse: Path | None = None, system_torch: bool = False
) -> None:
    """Create or update the environment in ``folder`` and stamp it when all of it is there.

    Args:
        folder: of the environment.
        torch_index: asked for torch, beside the index that pip knows.
        wheelhouse: asked instead of any index.
        system_torch: torch, and the CUDA that comes with it, are those of the Python that runs this.

    Raises:
        SetupError: no network, no space, no venv module, a pip failure, a broken wheelhouse, or no usable torch.
    """
    stamp, wanted = folder / STAMP, fingerprint()
    if stamp.is_file() and stamp.read_text() == wanted:
        stamp.touch()  # a file was touched, not changed
        return
    if wheelhouse is not None:
        check_wheelhouse(wheelhouse)
    system_torch = system_torch or (folder / SYSTEM_TORCH).is_file()
    prepare(folder, system_torch)
    # Bytecode is made when a module is first imported; of all modules, tests of packages included, it takes a minute.
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-compile"]
    if wheelhouse is not None:
        install += ["--no-index", "--find-links", str(wheelhouse / WHEELS)]
    if system_torch:
        tell(f"2/4 torch {usable_torch(folder)} is the machine's own")
        tell("3/4 everything else in requirements.lock")
        pip(folder, [*install, "--no-deps", *pins(with_torch=False)])
    else:
        torch = next(line for line in pins() if line.startswith("torch=="))
        tell(f"2/4 {torch}, the largest part (log: {folder / LOG})")
        pip(folder, [*install, *(["--extra-index-url", torch_index] if torch_index else []), torch])
        tell("3/4 everything else in requirements.lock")
        pip(folder, [*install, "-r", str(INPUTS[0])])
    tell("4/4 this package, editable")
    pip(folder, [*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT)])
    stamp.write_text(wanted)
    tell(f"done: {folder}")


def pins(with_torch: bool = True) -> list[str]:
    """What requirements.lock pins; without torch also without the packages that torch's CUDA builds bring."""
    lines = [line for line in INPUTS[0].read_text().splitlines() if line and not line.startswith("#")]
    return lines if with_torch else [line for line in lines if not re.match(r"(torch|triton|(nvidia|cuda)-.*)==", line)]


def check_wheelhouse(wheelhouse: Path) -> None:
    """Refuse a wheelhouse that was copied in part.

    Raises:
        SetupError: if the list of its files, or a wheel, is missing or is not what was collected.
    """
    sums = wheelhouse / SUMS
    if not sums.is_file():
        raise SetupError(
            f"{wheelhouse} is no wheelhouse, it has no {SUMS}: make one with make wheelhouse WHEELHOUSE=FOLDER"
        )
    for line in sums.read_text().splitlines():
        wanted, _, name = line.partition("  ")
        if name.startswith(f"{WHEELS}/") and sha256(wheelhouse / name) != wanted:
            raise SetupError(f"{wheelhouse / name} is missing or damaged: copy the wheelhouse again")


def sha256(path: Path) -> str:
    """Of a file; empty where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def usable_torch(folder: Path) -> str:
    """The version of the torch that the environment finds in the machine's Python.

    Raises:
        SetupError: if it finds none, or one that is too old.
    """
    command = [str(folder / "bin" / "python"), "-c", "import torch; print(torch.__version__)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    remedy = "load the module or name the Python that has it (make setup SYSTEM_TORCH=1 PYTHON=/path/to/python)"
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:]
        raise SetupError(f"SYSTEM_TORCH: {sys.executable} has no torch that can be imported {said}: {remedy}")
    version = done.stdout.split()[-1]
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise SetupError(f"SYSTEM_TORCH: torch {version} is too old, {oldest} is needed: {remedy}")
    return version


def fingerprint() -> str:
    """Of what determines the environment."""
    content = b"\0".join(path.read_bytes() for path in INPUTS)
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def prepare(folder: Path, system_torch: bool = False) -> None:
    """An environment to install into: the existing one, or a new one for none, half of one, or another Python's."""
    whole = (folder / STAMP).is_file() and _is_of_this_python(folder)
    to_be_removed = (folder / BEGUN).is_file() and not whole
    (folder / STAMP).unlink(missing_ok=True)
    if (folder / "bin" / "python").exists() and not to_be_removed:  # complete but outdated, or the user's own
        if system_torch and not sees_the_system(folder):
            raise SetupError(f"{folder} does not see the machine's torch: remove it, or make another with VENV=/path")
        tell(f"1/4 {folder} exists, bringing it up to date")
        return
    check_space(folder)
    tell(f"1/4 new environment in {folder} with Python {sys.version.split()[0]}")
    if to_be_removed:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BEGUN).touch()
    if system_torch:
        (folder / SYSTEM_TORCH).touch()
    run(folder, [sys.executable, "-m", "venv", *(["--system-site-packages"] if system_torch else []), str(folder)])


def _is_of_this_python(folder: Path) -> bool:
    """Whether an environment's packages are where the Python that runs this looks for them."""
    return (folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}").is_dir()


def sees_the_system(folder: Path) -> bool:
    """Whether an environment shows the packages of the Python that made it."""
    settings = folder / "pyvenv.cfg"
    return settings.is_file() and "include-system-site-packages = true" in settings.read_text()


def check_space(folder: Path, setting: str = "VENV") -> None:
    """Refuse before the download rather than in its middle; the setting is make's for the folder."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1024**3
    if free < NEEDED_GIB:
        raise SetupError(
            f"{existing} has {free:.1f} GiB free, the environment takes about {NEEDED_GIB:.0f}: free some space, "
            f"or put it elsewhere with {setting}=/path"
        )


def pip(folder: Path, command: list[str]) -> None:
    """Run pip; questions are not asked, its own update is not advertised."""
    run(folder, [*command, "--no-input", "--disable-pip-version-check"])


def run(folder: Path, command: list[str]) -> None:
    """Run a command with its output in the log.

    Raises:
        SetupError: if it fails, with the likely remedy and the log's end.
    """
    with (folder / LOG).open("a+", encoding="utf-8", errors="replace") as log:
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
