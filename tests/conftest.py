"""What every test shares: quiet threads, no network, and the optional reference data beside the checkout."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

# Before any test imports torch: the suite's tensors are tiny, and more threads only fight each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ["WANDB_MODE"] = "disabled"

import pytest

from one_embedder.files.location import PROJECT_ROOT
from tests.hub import StandInHub


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout."""
    return PROJECT_ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data that is not part of the project: ``$ONE_EMBEDDER_SHARED`` or ``../shared``; skips without it."""
    folder = Path(os.environ.get("ONE_EMBEDDER_SHARED", PROJECT_ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference data in {folder} (set ONE_EMBEDDER_SHARED to its folder)")
    return folder


@pytest.fixture
def children_seconds() -> Callable[[], float]:
    """Processor time of child processes that have ended: a clock would also measure what else the machine does."""
    return lambda: os.times().children_user + os.times().children_system


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a network, and nothing that keeps libraries from trying it."""

    def refuse(*address: object, **_: object) -> None:
        raise OSError(f"a connection to {address} was tried")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """A stand-in hub that huggingface_hub asks in place of the real one, with an empty cache and nobody logged in.

    huggingface_hub reads the environment once, when it is imported; here its constants are changed instead. Its waits
    between two tries take no time.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with StandInHub() as stand_in:
        monkeypatch.setattr(constants, "ENDPOINT", stand_in.url)
        template = stand_in.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        close_session()  # the client of an earlier test knows the proxies of its time
        yield stand_in
        close_session()
