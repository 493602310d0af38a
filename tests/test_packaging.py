from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from one_embedder.__main__ import VERBS
from scripts import make_environment
from scripts.make_environment import BEGUN, STAMP, SetupError, diagnose, fingerprint, prepare


@pytest.fixture(scope="module")
def pyproject(project_root: Path) -> dict[str, Any]:
    return tomllib.loads((project_root / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def lock(project_root: Path) -> dict[str, str]:
    lines = (project_root / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}


@pytest.fixture(scope="module")
def wanted(pyproject: dict[str, Any]) -> list[Requirement]:
    """Of the core and of all extras."""
    project = pyproject["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [requirement for requirement in map(Requirement, lines) if requirement.name != "one-embedder"]


def test_the_lock_names_one_exact_version_of_everything(lock: dict[str, str]) -> None:
    assert len(lock) > 100
    assert {name: pin for name, pin in lock.items() if not re.fullmatch(r"==[0-9][0-9a-z.]*", pin)} == {}


def test_the_lock_satisfies_every_requirement(lock: dict[str, str], wanted: list[Requirement]) -> None:
    for requirement in wanted:
        pin = lock[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin.removeprefix("==")), f"{requirement} but the lock says {pin}"


def test_the_lock_is_what_runs_these_tests(lock: dict[str, str], wanted: list[Requirement]) -> None:
    for requirement in wanted:
        installed = importlib.metadata.version(requirement.name).partition("+")[0]
        assert f"=={installed}" == lock[canonicalize_name(requirement.name)], requirement.name


def test_everything_the_requirements_need_is_locked_too(lock: dict[str, str], wanted: list[Requirement]) -> None:
    todo, needed = list(wanted), set[str]()
    while todo:
        requirement = todo.pop()
        if (name := canonicalize_name(requirement.name)) in needed:
            continue
        needed.add(name)
        lines = importlib.metadata.requires(name) or []
        todo += [line for line in map(Requirement, lines) if line.marker is None or line.marker.evaluate({"extra": ""})]
    assert needed - set(lock) <= {name for name in needed if name.startswith(("nvidia-", "triton", "cuda-"))}


def test_environment_yml_takes_the_locks_versions_and_a_python_the_project_allows(
    project_root: Path, pyproject: dict[str, Any]
) -> None:
    environment = yaml.safe_load((project_root / "environment.yml").read_text())
    (python,) = (line for line in environment["dependencies"] if str(line).startswith("python="))
    assert SpecifierSet(pyproject["project"]["requires-python"]).contains(python.removeprefix("python="))
    (through_pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert through_pip == ["-r requirements.lock", "-e ."]
    beside = {line for line in environment["dependencies"] if isinstance(line, str)} - {python, "pip"}
    assert not beside, "a package named here would get a version that the lock does not know"


def test_all_extras_together_are_the_extra_all(pyproject: dict[str, Any]) -> None:
    extras = pyproject["project"]["optional-dependencies"]
    assert set(extras) == {"train", "evaluate", "reproduce", "dev", "all"}
    assert extras["all"] == ["one-embedder[reproduce,dev]"]
    assert extras["reproduce"][0] == "one-embedder[train,evaluate]"


def test_tools_are_pinned_exactly_because_their_verdicts_change(wanted: list[Requirement]) -> None:
    pins = {requirement.name: str(requirement.specifier) for requirement in wanted}
    assert all(pins[name].startswith("==") for name in ("ruff", "mypy", "torch"))


def test_one_command_has_every_verb_and_puts_no_other_name_into_the_path(
    pyproject: dict[str, Any], project_root: Path
) -> None:
    assert pyproject["project"]["scripts"] == {"one-embedder": "one_embedder.__main__:main"}
    own_main = [
        path.stem for path in (project_root / "src/one_embedder").glob("[!_]*.py") if "def main" in path.read_text()
    ]
    assert sorted(VERBS) == sorted(own_main)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 0, "reproduce"),
        (["train", "--help"], 0, "temperature"),
        (["encode", "--help"], 0, "--instruction"),
        (["trian"], 2, "did you mean 'train'?"),
        (["train", "loss.temperatur=1"], 2, "did you mean 'loss.temperature'?"),
    ],
)
def test_the_command_hands_on_what_a_verb_is_told(arguments: list[str], code: int, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "one_embedder", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert told in done.stdout + done.stderr


@pytest.mark.slow
def test_a_wheel_works_outside_of_the_checkout(project_root: Path, tmp_path: Path) -> None:
    copy, wheels, installed, place = (tmp_path / name for name in ("copy", "wheels", "installed", "place"))
    shutil.copytree(project_root / "src", copy / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    shutil.copytree(project_root / "conf", copy / "conf")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(project_root / name, copy)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(wheels)]
    subprocess.run([*build, str(copy)], check=True, capture_output=True)
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    assert (installed / "one_embedder" / "py.typed").is_file()
    place.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    def one_embedder(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "one_embedder", *arguments]
        return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)

    (place / "in.txt").write_text("a cat\n")
    model = project_root / "tests" / "parity" / "tiny_instructor"
    encoded = one_embedder("encode", "in.txt", "out.npy", "--encoder", str(model), "--device", "cpu")
    assert (encoded.returncode, (place / "out.npy").is_file()) == (0, True), encoded.stderr
    composed = one_embedder("train", "profile=local")
    assert composed.returncode == 2
    assert str(place / "data" / "local" / "medi") in composed.stderr, "data lies where the command is typed"
    refused = one_embedder("reproduce")
    assert refused.returncode == 2
    assert "reproduce reads recorded results that only a clone of the repository has" in refused.stderr


def test_the_licence_is_the_one_that_is_declared(project_root: Path, pyproject: dict[str, Any]) -> None:
    assert pyproject["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (project_root / "LICENSE").read_text()


def test_an_interrupted_setup_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = recorded(monkeypatch)
    half = half_made(tmp_path)
    (half / "leftover").touch()
    prepare(half)
    assert not (half / "leftover").exists() and not (half / STAMP).exists()
    assert [command[1:3] for command in commands] == [["-m", "venv"]]


def test_an_environment_of_another_python_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = recorded(monkeypatch)
    ours = half_made(tmp_path)
    for lib, venvs in ((f"python{sys.version_info.major}.{sys.version_info.minor}", 0), ("python3.9", 1)):
        shutil.rmtree(ours / "lib", ignore_errors=True)
        (ours / "lib" / lib).mkdir(parents=True)
        (ours / STAMP).write_text("of an older lock")
        prepare(ours)
        assert len(commands) == venvs and (ours / "lib").exists() is (venvs == 0)


def test_what_a_command_says_in_another_encoding_is_told_all_the_same(tmp_path: Path) -> None:
    program = "import sys; sys.stdout.buffer.write(b'caf\\xe9: No space left on device'); sys.exit(1)"
    with pytest.raises(SetupError, match="the disk is full"):
        make_environment.run(tmp_path, [sys.executable, "-c", program])


def test_an_environment_of_the_users_own_is_never_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = recorded(monkeypatch)
    own = half_made(tmp_path)
    (own / BEGUN).unlink()
    (own / "leftover").touch()
    prepare(own)
    assert (own / "leftover").exists() and commands == []


def test_a_setup_that_fails_midway_leaves_no_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(folder: Path, command: list[str]) -> None:
        if "-r" in command:
            raise SetupError("no network")

    folder = half_made(tmp_path)
    (folder / STAMP).write_text("of an older lock")
    monkeypatch.setattr(make_environment, "run", fails)
    with pytest.raises(SetupError):
        make_environment.make_environment(folder)
    assert not (folder / STAMP).exists()


def test_a_complete_environment_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = recorded(monkeypatch)
    folder = half_made(tmp_path)
    (folder / STAMP).write_text(fingerprint())
    make_environment.make_environment(folder)
    assert commands == []


def half_made(parent: Path) -> Path:
    folder = parent / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    (folder / BEGUN).touch()
    return folder


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []
    monkeypatch.setattr(make_environment, "run", lambda folder, command: commands.append(command))
    return commands


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)': /simple/torch/\n"
            "ERROR: No matching distribution found for torch==2.13.0",
            "no package index could be reached",
        ),
        ("ERROR: No matching distribution found for torch==2.13.0", "lacks a locked version"),
        ("The virtual environment was not created: ensurepip is not available.", "python3-venv"),
        ("something else", "a step failed"),
    ],
)
def test_a_failed_setup_says_what_to_do(output: str, remedy: str) -> None:
    assert remedy in diagnose(output)
    assert output.splitlines()[-1] in diagnose(output)


def test_a_disk_without_room_is_refused_before_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_environment, "NEEDED_GIB", 1e9)
    with pytest.raises(SetupError, match=r"GiB free.*VENV="):
        prepare(tmp_path / "venv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_setup_without_network_ends_with_a_message(project_root: Path, tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    command = [sys.executable, "scripts/make_environment.py", str(tmp_path / "venv")]
    done = subprocess.run(command, cwd=project_root, env=kept | nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no package index could be reached" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "venv" / STAMP).exists()


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "VENV", "ARGS")}
    root = Path(make_environment.ROOT)
    return subprocess.run(["make", *arguments], cwd=root, env=kept, capture_output=True, text=True, check=False)


def test_a_missing_python_is_named_with_the_remedy(tmp_path: Path) -> None:
    done = make("setup", f"VENV={tmp_path / 'venv'}", "PYTHON=/no/such/python")
    assert done.returncode == 2
    assert "no Python 3.11, 3.12 or 3.13 found under the name /no/such/python" in done.stderr


def test_a_foreign_python_is_named_with_its_version(tmp_path: Path) -> None:
    foreign = tmp_path / "python"
    foreign.write_text("#!/bin/sh\nprintf 3.9.18\nexit 1\n")
    foreign.chmod(0o755)
    done = make("test", f"VENV={tmp_path / 'venv'}", f"PYTHON={foreign}")
    assert done.returncode == 2
    assert f"{foreign} is Python 3.9.18, this project needs 3.11, 3.12 or 3.13" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_make_alone_lists_every_target(project_root: Path) -> None:
    makefile = (project_root / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z0-9%-]*):", makefile, flags=re.MULTILINE))
    listed = set(re.findall(r"^  (\S+)  +\S", make().stdout, flags=re.MULTILINE))
    assert targets == listed
    assert targets >= {"setup", "test", "lint", "type", "reproduce-table1", "ablation-%", "notebooks", "help"}


def test_every_target_that_runs_python_sets_up_first(project_root: Path) -> None:
    makefile = (project_root / "Makefile").read_text()
    rules = re.findall(r"^([a-z][a-z0-9%-]*):([^#\n]*).*\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)
    assert {name for name, needs, recipe in rules if "$(BIN)" in recipe and "$(READY)" not in needs} == set()


@pytest.mark.parametrize("target", ["reproduce-table1", "ablation-with_without_instructions", "test", "lint", "type"])
def test_a_dry_run_prints_commands_and_runs_none(target: str, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    done = make(target, "DRY_RUN=1", f"VENV={venv}", "ARGS=seed=5")
    assert done.returncode == 0, done.stderr
    assert f'"{venv / "bin"}"/' in done.stdout
    assert not venv.exists()


def test_an_environment_whose_path_has_spaces_is_used(tmp_path: Path) -> None:
    venv = tmp_path / "a folder" / "my venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "ruff").write_text('#!/bin/sh\necho "ran with $1"\n')
    (venv / "bin" / "ruff").chmod(0o755)
    (venv / STAMP).touch()
    done = make("lint", f"VENV={venv}")
    assert (done.returncode, "ran with check" in done.stdout) == (0, True), done.stdout + done.stderr


def test_profile_and_overrides_reach_the_verb(tmp_path: Path) -> None:
    done = make("reproduce-table1", "DRY_RUN=1", f"VENV={tmp_path}", "PROFILE=local", "ARGS=seed=5")
    assert "-m one_embedder.reproduce profile=local seed=5" in done.stdout


def test_nothing_of_one_machine_is_in_the_makefile_or_ci(project_root: Path) -> None:
    for name in ("Makefile", ".ci/run", "scripts/make_environment.py", "environment.yml", "requirements.lock"):
        text = (project_root / name).read_text()
        assert not re.search(r"/(home|root|opt|work)/|file://|\+cpu", text), name
