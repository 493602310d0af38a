"""Caches on machines whose home cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from one_embedder import convert, demo, encode, push
from one_embedder.config.caches import settle_caches
from one_embedder.errors import ConfigError, OneEmbedderError
from tests.evaluation.conftest import write_benchmark

VARIABLES = (
    "MTEB_CACHE",
    "HF_HUB_CACHE",
    "HF_XET_CACHE",
    "HF_DATASETS_CACHE",
    "HF_MODULES_CACHE",
    "MPLCONFIGDIR",
    "WANDB_CACHE_DIR",
    "WANDB_DATA_DIR",
)
OTHERS = ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "HOME", "TMPDIR")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files; no variable is set but HOME, which can be written."""
    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if k not in VARIABLES + OTHERS})
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    os.environ["HOME"] = str(tmp_path / "home")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def spare(temporary: Path) -> Path:
    return temporary / f"one-embedder-caches-{os.getuid()}"


def a_file(path: Path) -> str:
    """Where no folder can be made, not even by root."""
    path.touch()
    return str(path)


def forbid(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Nothing below can be written, by root neither."""
    allowed = os.access

    def access(path: str | Path, mode: int) -> bool:
        return allowed(path, mode) and not (mode & os.W_OK and Path(path).is_relative_to(folder))

    monkeypatch.setattr(os, "access", access)


def test_caches_stay_where_they_can_be_written(temporary: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = dict(os.environ)
    settle_caches()
    assert os.environ == before | {"MTEB_CACHE": f"{before['HOME']}/.cache/mteb"}
    assert not caplog.records and not list(temporary.iterdir()) and not list(Path(before["HOME"]).iterdir())


def test_mteb_follows_the_users_place_of_caches_too(temporary: Path, tmp_path: Path) -> None:
    os.environ |= {"HOME": a_file(tmp_path / "file"), "XDG_CACHE_HOME": str(tmp_path / "caches")}
    settle_caches()
    assert os.environ["MTEB_CACHE"] == str(tmp_path / "caches" / "mteb")
    assert {name for name in VARIABLES if name in os.environ} == {"MTEB_CACHE", "WANDB_DATA_DIR"}


@pytest.mark.parametrize("kind", ["a file", "read only", "hidden", "none"])
def test_without_a_home_to_write_every_cache_is_temporary_and_one_line_says_so(
    kind: str, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "a file":
        os.environ["HOME"] = a_file(tmp_path / "file")
    elif kind == "read only":
        forbid(monkeypatch, tmp_path / "home")
    elif kind == "hidden":
        forbid(monkeypatch, tmp_path / "home")
        seen = Path.exists

        def exists(path: Path) -> bool:
            if path.is_relative_to(tmp_path / "home") and path != tmp_path / "home":
                raise PermissionError(13, "Permission denied", str(path))
            return seen(path)

        monkeypatch.setattr(Path, "exists", exists)
    else:
        del os.environ["HOME"]
        monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])  # what a user without an entry gets
    settle_caches()
    if kind == "none":
        assert os.environ["HOME"] == str(spare(temporary))
    else:
        assert {name: os.environ[name] for name in VARIABLES} == {
            name: str(spare(temporary) / name.lower()) for name in VARIABLES
        }
    (line,) = caplog.messages
    assert line.startswith(f"caches go to {spare(temporary)}, because their usual places cannot be written; set ")
    settle_caches()
    assert len(caplog.records) == 1, "a second job of a sweep has nothing to tell"


@pytest.mark.parametrize("variable", [*VARIABLES, "HF_HOME", "XDG_CACHE_HOME"])
def test_a_place_that_the_user_chose_and_that_cannot_be_written_is_named(
    variable: str, temporary: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.environ[variable] = a_file(tmp_path / "file") + "/below"
    settle_caches()
    moved = {name for name in VARIABLES if os.environ.get(name, "").startswith(str(temporary))}
    of_hf = {name for name in VARIABLES if name.startswith("HF_")}
    of_xdg = set(VARIABLES) - {"WANDB_DATA_DIR"}
    assert moved == {"HF_HOME": of_hf, "XDG_CACHE_HOME": of_xdg}.get(variable, {variable})
    assert all(name in caplog.messages[0] for name in moved)


def test_models_of_a_cache_that_can_only_be_read_are_still_read(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home" / ".cache" / "huggingface" / "hub").mkdir(parents=True)
    forbid(monkeypatch, tmp_path / "home")
    settle_caches()
    assert "HF_HUB_CACHE" not in os.environ
    assert os.environ["HF_DATASETS_CACHE"] == str(spare(temporary) / "hf_datasets_cache")


@pytest.mark.parametrize("squatter", ["file", "link", "another user's"])
def test_a_temporary_folder_that_is_not_ours_is_not_used(
    squatter: str, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.environ["HOME"] = a_file(tmp_path / "file")
    taken = spare(temporary)
    if squatter == "file":
        taken.touch()
    elif squatter == "link":
        taken.symlink_to(tmp_path / "home")
    else:
        other = os.getuid() + 1
        monkeypatch.setattr(os, "getuid", lambda: other)
        taken = spare(temporary)
        taken.mkdir()
    settle_caches()
    (own,) = [path for path in temporary.iterdir() if path != taken]
    assert own.name.startswith(taken.name) and Path(os.environ["MTEB_CACHE"]).parent == own
    assert not list((tmp_path / "home").iterdir())


def test_a_temporary_folder_that_python_passes_over_is_named(
    temporary: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.environ["TMPDIR"] = a_file(tmp_path / "file")
    settle_caches()
    assert os.environ["TMPDIR"] == str(temporary)
    assert caplog.messages == [f"TMPDIR={tmp_path}/file cannot be written: temporary files go to {temporary}"]


def test_without_any_place_for_temporary_files_the_remedy_is_told(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/work']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(ConfigError, match=r"no temporary file can be written \(No usable .*\); set TMPDIR to a folder"):
        settle_caches()


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        (convert, ["no/such", "out"]),
        (demo, ["./none"]),
        (push, ["none", "owner/name"]),
        (encode, ["none.txt", "out.npy"]),
    ],
)
def test_verbs_that_may_ask_the_hub_settle_their_caches_first(
    verb: ModuleType, arguments: list[str], temporary: Path, tmp_path: Path
) -> None:
    os.environ["HOME"] = a_file(tmp_path / "file")
    with pytest.raises(OneEmbedderError):
        verb.work(verb.parser().parse_args(arguments))
    assert os.environ["HF_HUB_CACHE"] == str(spare(temporary) / "hf_hub_cache")


@pytest.mark.slow
def test_evaluate_runs_with_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "benchmark")
    (tmp_path / "temporary").mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES + OTHERS}
    environment |= {"HOME": a_file(tmp_path / "file"), "TMPDIR": str(tmp_path / "temporary"), "WANDB_MODE": "offline"}
    chosen = ["benchmark=folder", f"benchmark.root={tmp_path}/benchmark", "benchmark.tasks=[TinySTS]"]
    places = [f"output={tmp_path}/out", f"paths.experiments={tmp_path}/experiments", "tracking.wandb=offline"]
    done = subprocess.run(
        [sys.executable, "-m", "one_embedder.evaluate", *chosen, *places, "instructions=none"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "results" / "TinySTS.json").is_file()
    told = [line for line in done.stderr.splitlines() if line and "evaluate:" not in line]
    assert len(told) == 2 and "caches go to" in told[0] and "1 task, points: STS" in told[1], done.stderr
    assert list((tmp_path / "out" / "wandb").glob("offline-run-*/*.wandb"))
