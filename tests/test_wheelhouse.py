"""A wheelhouse holds what the lock pins and the models of the settings, and setup takes nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from one_embedder.config.schema import Config
from scripts import make_environment, make_wheelhouse
from scripts.make_environment import STAMP, SUMS, SYSTEM_TORCH, WHEELS, SetupError, check_wheelhouse, pins, usable_torch
from scripts.make_wheelhouse import HUB, README, collect, hub_models

Commands = list[list[str]]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """What would run: pip's downloads become empty wheels, a new environment an empty folder."""
    ran: Commands = []

    def run(folder: Path, command: list[str]) -> None:
        ran.append(command)
        if "wheel" in command:
            for pin in command:
                if "==" in pin:
                    (folder / WHEELS / f"{pin.replace('==', '-')}-py3-none-any.whl").write_text(pin)

    monkeypatch.setattr(make_environment, "run", run)
    return ran


@pytest.fixture
def wheelhouse(tmp_path: Path, commands: Commands) -> Path:
    collect(tmp_path / "house", Config())
    commands.clear()
    return tmp_path / "house"


def names(command: list[str]) -> list[str]:
    return [word for word in command if "==" in word]


def test_what_is_collected_is_what_the_lock_pins_with_a_hash_of_each(tmp_path: Path, commands: Commands) -> None:
    collect(tmp_path, Config(), torch_index="http://index")
    (command,) = commands
    assert names(command) == pins() and len(pins()) > 100
    assert command[1:4] == ["-m", "pip", "wheel"] and command[command.index("--extra-index-url") + 1] == "http://index"
    sums = (tmp_path / SUMS).read_text()
    assert len(re.findall(r"^[0-9a-f]{64}  wheels/\S+\.whl$", sums, flags=re.MULTILINE)) == len(pins())
    assert "make setup WHEELHOUSE=FOLDER`" in (tmp_path / README).read_text()
    assert subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=tmp_path, check=False).returncode == 0


def test_a_full_disk_is_told_with_the_setting_of_the_folder(
    tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_environment, "NEEDED_GIB", 1e9)
    with pytest.raises(SetupError, match=r"GiB free.* WHEELHOUSE=/path"):
        collect(tmp_path / "house", Config())
    assert commands == [] and not (tmp_path / "house").exists()


def test_without_torch_nothing_that_torch_brings_is_collected(
    tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("# a comment\nnumpy==2\nnvidia-cublas==13\ntorch==2.13.0\ntorchmetrics==1.9.0\ntriton==3\n")
    monkeypatch.setattr(make_environment, "INPUTS", (lock, lock))
    collect(tmp_path / "house", Config(), system_torch=True)
    (command,) = commands
    assert names(command) == ["numpy==2", "torchmetrics==1.9.0"]
    assert "--no-deps" in command, "else pip would fetch torch for those that need it"
    assert "SYSTEM_TORCH=1" in (tmp_path / "house" / README).read_text()


def test_a_setup_from_a_wheelhouse_asks_no_index(tmp_path: Path, wheelhouse: Path, commands: Commands) -> None:
    make_environment.make_environment(tmp_path / "venv", wheelhouse=wheelhouse)
    installs = [command for command in commands if "install" in command]
    assert len(installs) == 3
    for command in installs:
        assert "--no-index" in command and command[command.index("--find-links") + 1] == str(wheelhouse / WHEELS)
    assert (tmp_path / "venv" / STAMP).is_file()


@pytest.mark.parametrize("damage", [Path.unlink, lambda wheel: wheel.write_text("half of it")])
def test_a_wheelhouse_that_was_copied_in_part_is_refused(tmp_path: Path, wheelhouse: Path, damage: object) -> None:
    wheel = next((wheelhouse / WHEELS).glob("scipy-*"))
    damage(wheel)  # type: ignore[operator]
    with pytest.raises(SetupError, match=rf"{wheel.name} is missing or damaged: copy the wheelhouse again"):
        make_environment.make_environment(tmp_path / "venv", wheelhouse=wheelhouse)
    assert not (tmp_path / "venv").exists()


def test_another_folder_is_no_wheelhouse(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=f"no wheelhouse, it has no {SUMS}: make one with make wheelhouse"):
        check_wheelhouse(tmp_path)


def test_the_machines_torch_is_neither_installed_nor_replaced_also_by_a_later_setup(
    tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_environment, "usable_torch", lambda folder: "2.9.0")
    folder = tmp_path / "venv"
    for system_torch in (True, False):
        make_environment.make_environment(folder, system_torch=system_torch)
        (folder / STAMP).unlink()  # as if the lock had changed
        _, everything, _ = (command for command in (["x"], *[c for c in commands if "install" in c]))
        assert names(everything) == pins(with_torch=False) and "--no-deps" in everything
        assert "--system-site-packages" in commands[0]
        commands.clear()


def test_an_environment_that_cannot_see_the_machines_torch_is_refused(tmp_path: Path, commands: Commands) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    with pytest.raises(SetupError, match=r"does not see the machine's torch.*VENV="):
        make_environment.make_environment(tmp_path, system_torch=True)
    assert commands == [] and not (tmp_path / SYSTEM_TORCH).exists()


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("raise ImportError('libcudart.so.13 is missing')", r"no torch that can be imported .*libcudart.*PYTHON="),
        ("__version__ = '2.5.1+cu121'", r"torch 2\.5\.1\+cu121 is too old, 2\.6 is needed.*PYTHON="),
        ("__version__ = '2.6.0a0+ecf3bae40a.nv25.01'", None),
        ("__version__ = '2.13.0'", None),
    ],
)
def test_the_machines_torch_is_looked_at_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, told: str | None
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "torch.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if told is None:
        assert usable_torch(tmp_path) in module
    else:
        with pytest.raises(SetupError, match=told):
            usable_torch(tmp_path)


def test_models_are_collected_where_a_wheel_or_a_folder_does_not_have_them(
    tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = Config()
    assert hub_models(cfg) == []
    cfg.encoder.name_or_path = str(tmp_path)
    assert hub_models(cfg) == []
    cfg.encoder.name_or_path, cfg.encoder.revision = "owner/name", "v1"
    cfg.prompt_retrieval.learner = "model"
    assert hub_models(cfg) == [("owner/name", "v1")], "there are no tasks that a language model would answer"
    cfg.benchmark.root = str(tmp_path)
    assert [name for name, _ in hub_models(cfg)] == ["owner/name", cfg.prompt_retrieval.model.name_or_path]

    asked = []
    monkeypatch.setattr(make_wheelhouse, "locate", lambda *what, cache_folder: asked.append((*what, cache_folder)))
    collect(tmp_path / "house", cfg)
    assert asked[0] == ("owner/name", "v1", tmp_path / "house" / HUB) and len(asked) == 2
    assert f"HF_HUB_CACHE=FOLDER/{HUB}" in (tmp_path / "house" / README).read_text()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(3600)
def test_a_machine_without_index_is_set_up_from_a_wheelhouse(project_root: Path, tmp_path: Path) -> None:
    house, venv = tmp_path / "house", tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "scripts.make_wheelhouse", str(house)], cwd=project_root, check=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHONPATH"))}
    offline = kept | {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    command = [sys.executable, "scripts/make_environment.py", str(venv), "--wheelhouse", str(house)]
    subprocess.run(command, cwd=project_root, env=offline, check=True)
    program = (
        "from one_embedder import InstructionEmbedder as E; print(E('minilm').encode('a cat', 'Represent: ').shape)"
    )
    done = subprocess.run(
        [str(venv / "bin" / "python"), "-c", program],
        cwd=tmp_path, env=offline, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "384" in done.stdout, done.stderr
