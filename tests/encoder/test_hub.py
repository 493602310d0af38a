"""Models by hub id, fetched by the real client from a stand-in hub on loopback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import load_encoder, save_encoder
from one_embedder.encoder.dense import Dense
from one_embedder.encoder.locate import locate
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import CheckpointError
from tests.hub import StandInHub

NAME = "owner/model"
LOCATE = f"from one_embedder.encoder.locate import locate; print(locate({NAME!r}))"
WEIGHTS = "model.safetensors"


def encode(encoder: InstructionEncoder) -> np.ndarray:
    """Two texts with an instruction."""
    return InstructionEmbedder(encoder, device="cpu").encode(["the cats", "a dog"], "represent the question: ")


def message(name: str = NAME, revision: str | None = None) -> str:
    """What is said of a model that cannot be had; the model comes first, another way to it last, all on one line."""
    with pytest.raises(CheckpointError) as caught:
        load_encoder(name, revision=revision)
    said = str(caught.value)
    assert said.startswith(name) and said.endswith("or download the folder elsewhere and give its path")
    assert "\n" not in said and "Traceback" not in said
    return said


@pytest.fixture
def commit(hub: StandInHub, saved: Path) -> str:
    """The tiny encoder on the hub, on its main branch; the commit's hash."""
    return hub.commit(NAME, saved)


@pytest.fixture
def other(tmp_path: Path, make_encoder: Callable[..., InstructionEncoder]) -> Path:
    """A folder that gives other embeddings than the tiny encoder, as long."""
    layer = Dense(16, 24, bias=True, activation="torch.nn.modules.activation.Tanh")
    save_encoder(make_encoder(layer), tmp_path / "other")
    return tmp_path / "other"


def test_a_model_is_loaded_by_its_id(commit: str, tiny: InstructionEncoder) -> None:
    np.testing.assert_array_equal(encode(load_encoder(NAME)), encode(tiny))


def test_each_revision_gives_its_own_embeddings(
    hub: StandInHub, commit: str, other: Path, tiny: InstructionEncoder
) -> None:
    newest = hub.commit(NAME, other)
    changed = encode(load_encoder(other))
    assert newest != commit and np.abs(changed - encode(tiny)).max() > 0.01
    np.testing.assert_array_equal(encode(load_encoder(NAME)), changed)
    np.testing.assert_array_equal(encode(load_encoder(NAME, revision=commit)), encode(tiny))


def test_a_branch_is_followed_when_it_moves(hub: StandInHub, saved: Path, other: Path) -> None:
    hub.commit(NAME, saved, branch="dev")
    first = encode(load_encoder(NAME, revision="dev"))
    hub.commit(NAME, other, branch="dev")
    assert np.abs(encode(load_encoder(NAME, revision="dev")) - first).max() > 0.01


def test_the_second_load_fetches_nothing_and_needs_no_hub(hub: StandInHub, commit: str) -> None:
    first = locate(NAME)
    hub.requests.clear()
    assert locate(NAME) == first
    assert hub.requests and not hub.asked("/resolve/") and not hub.asked("/tree/")
    hub.stop()
    assert locate(NAME) == locate(NAME, revision=commit) == first


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_a_whole_copy_in_the_cache_does_where_the_hub_refuses(hub: StandInHub, commit: str, status: int) -> None:
    first = locate(NAME)
    hub.fault("", status=status)
    assert locate(NAME) == first


def test_offline_mode_asks_nothing(hub: StandInHub, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = locate(NAME)
    hub.requests.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert locate(NAME) == first
    assert "HF_HUB_OFFLINE is set and the cache has no whole copy; set HF_HUB_OFFLINE=0" in message("owner/unseen")
    assert not hub.requests


def test_a_fresh_process_downloads_and_then_works_offline(
    hub: StandInHub, commit: str, tmp_path: Path, tiny: InstructionEncoder
) -> None:
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    user = quiet | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    online = subprocess.run([sys.executable, "-c", LOCATE], env=user, capture_output=True, text=True, check=True)
    np.testing.assert_array_equal(encode(load_encoder(online.stdout.strip())), encode(tiny))
    hub.stop()
    user["HF_HUB_OFFLINE"] = "1"
    offline = subprocess.run([sys.executable, "-c", LOCATE], env=user, capture_output=True, text=True, check=True)
    assert offline.stdout == online.stdout and str(tmp_path / "home") in offline.stdout
    assert offline.stderr == ""


def test_a_cache_that_cannot_be_written_is_told_with_the_variable(
    hub: StandInHub, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "file"))
    assert re.search(r"the cache cannot be written \(.*/file/.*\); set HF_HUB_CACHE to a folder that can be", message())


def test_only_what_is_read_is_fetched(hub: StandInHub, saved: Path, tiny: InstructionEncoder) -> None:
    for name in ("onnx/model.onnx", "onnx/config.json", "openvino/model.bin", "tf_model.h5", "flax_model.msgpack"):
        (saved / name).parent.mkdir(exist_ok=True)
        (saved / name).touch()
    (saved / "pytorch_model.bin").touch()
    (saved / "2_Dense" / "pytorch_model.bin").touch()
    hub.commit(NAME, saved)
    np.testing.assert_array_equal(encode(load_encoder(NAME)), encode(tiny))
    fetched = {request.path.partition("/resolve/")[2].partition("/")[2] for request in hub.asked("/resolve/")}
    assert {WEIGHTS, "2_Dense/model.safetensors", "modules.json", "tokenizer.json"} <= fetched
    assert not [name for name in fetched if name.endswith((".bin", ".h5", ".msgpack")) or "onnx" in name]


def test_pickled_weights_are_fetched_where_nothing_else_is(
    hub: StandInHub, saved: Path, tiny: InstructionEncoder
) -> None:
    layer = saved / "2_Dense"
    torch.save(load_file(layer / WEIGHTS), layer / "pytorch_model.bin")
    (layer / WEIGHTS).unlink()
    (saved / "pytorch_model.bin").write_bytes(b"not read")
    hub.commit(NAME, saved)
    np.testing.assert_array_equal(encode(load_encoder(NAME)), encode(tiny))
    assert [request.path.rsplit("/", 2)[1:] for request in hub.asked(".bin", "GET")] == [
        ["2_Dense", "pytorch_model.bin"]
    ]


def test_of_weights_in_several_files_one_kind_is_fetched(
    hub: StandInHub, saved: Path, tiny: InstructionEncoder
) -> None:
    (saved / WEIGHTS).unlink()
    tiny.backbone.save_pretrained(saved, max_shard_size="8KB")
    shards = sorted(path.name for path in saved.glob("model-*-of-*.safetensors"))
    assert len(shards) > 1
    for name in [*shards, "model.safetensors.index.json"]:
        shutil.copy(saved / name, saved / f"pytorch_{name.replace('safetensors', 'bin')}")
    hub.commit(NAME, saved)
    np.testing.assert_array_equal(encode(load_encoder(NAME)), encode(tiny))
    assert sorted({request.path.rsplit("/", 1)[1] for request in hub.asked("-of-")}) == shards
    assert not hub.asked("pytorch_model")


def test_a_cache_that_an_older_client_filled_does_without_the_hub(
    hub: StandInHub, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(locate(NAME).parents[2], tmp_path / "older", symlinks=True)
    shutil.rmtree(next((tmp_path / "older").glob("*/trees")))  # the list of a commit's files
    hub.stop()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "older"))
    assert locate(NAME) == tmp_path / "older" / "models--owner--model" / "snapshots" / commit


def test_a_break_within_a_file_is_resumed_where_it_was(
    hub: StandInHub, commit: str, tiny: InstructionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # resumed at whole chunks; else 10 MiB
    hub.fault(f"/{commit}/{WEIGHTS}", method="GET", cut_at=2500, times=1)
    np.testing.assert_array_equal(encode(load_encoder(NAME)), encode(tiny))
    assert [request.range for request in hub.asked(f"/{commit}/{WEIGHTS}", "GET")] == [None, "bytes=2000-"]


@pytest.mark.parametrize("fault", ["cut_at", "shorten_to"])
def test_a_failed_download_is_told_and_the_next_call_fetches_the_rest(
    hub: StandInHub, commit: str, tiny: InstructionEncoder, fault: str
) -> None:
    hub.fault(f"/{commit}/{WEIGHTS}", method="GET", **{fault: 2500})
    assert "run the same again: files that arrived whole are kept" in message()
    whole = {request.path for request in hub.asked("/resolve/", "GET") if f"/{commit}/{WEIGHTS}" not in request.path}
    hub.heal()
    hub.requests.clear()
    np.testing.assert_array_equal(encode(load_encoder(NAME)), encode(tiny))
    again = {request.path for request in hub.asked("/resolve/")}
    assert f"/{NAME}/resolve/{commit}/{WEIGHTS}" in again and f"/{NAME}/resolve/{commit}/config.json" in whole
    assert not again & whole


@pytest.mark.parametrize(
    ("part", "fault", "said"),
    [
        ("/api/", {"status": 500}, r"the hub has trouble of its own \(HTTP 500\); try again later"),
        ("/tree/", {"status": 503}, r"the hub has trouble of its own \(HTTP 503\); try again later"),
        (WEIGHTS, {"status": 502}, r"the hub has trouble of its own \(HTTP 502\); try again later"),
        (WEIGHTS, {"status": 504, "method": "GET"}, r"trouble of its own \(HTTP 504\)"),
        ("/api/", {"status": 401}, r"refuses access \(HTTP 401\); run 'hf auth login' or set HF_TOKEN, and accept"),
        ("/resolve/", {"status": 403}, r"refuses access \(HTTP 403\); run 'hf auth login' or set HF_TOKEN, and accept"),
        (
            "/resolve/",
            {"status": 401, "error_code": "GatedRepo"},
            r"granted first \(HTTP 401\); accept the licence at http\S+/owner/model, then run 'hf auth login' or set",
        ),
        ("/api/", {"status": 429}, r"fewer requests \(HTTP 429\); try again in some minutes"),
        (
            WEIGHTS,
            {"status": 404, "error_code": "EntryNotFound"},
            r"hub refuses the request \(HTTP 404\); see http",
        ),
    ],
)
def test_a_refusal_is_told_with_its_status_and_what_helps(
    hub: StandInHub, commit: str, part: str, fault: dict[str, object], said: str
) -> None:
    hub.fault(part, **fault)
    assert re.search(said, message())


def test_a_model_that_the_hub_does_not_have_is_told(hub: StandInHub) -> None:
    assert "the hub shows no such model (HTTP 404); check the name" in message("owner/typo")


def test_a_revision_that_the_model_does_not_have_is_told(hub: StandInHub, commit: str) -> None:
    said = message(revision="typo")
    assert said.startswith(f"{NAME} at revision typo ")
    assert f"has the model but not this revision (HTTP 404); take a branch, tag or commit listed at {hub.url}" in said
    assert "not this revision (HTTP 404)" in message(revision="0" * 40)


def test_a_private_model_is_told_and_the_remedy_helps(
    hub: StandInHub, saved: Path, tiny: InstructionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(NAME, saved, token="hf_secret")
    assert "no such model (HTTP 401); check the name or, if it is private, run 'hf auth login' or set HF_T" in message()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    np.testing.assert_array_equal(encode(load_encoder(NAME)), encode(tiny))


@pytest.mark.parametrize(("part", "method"), [("/api/", None), (WEIGHTS, "GET")])
def test_a_hub_that_does_not_answer_is_told_with_the_settings_for_more_patience(
    hub: StandInHub, commit: str, monkeypatch: pytest.MonkeyPatch, part: str, method: str | None
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.2)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.fault(part, method=method, delay=30)
    assert re.search(r"did not answer in time; .* HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT to more", message())


def test_a_hub_that_cannot_be_reached_is_told_with_its_address(hub: StandInHub, commit: str) -> None:
    hub.stop()
    assert f"{hub.url} cannot be reached (ConnectError: " in message()
    assert "; check the network, the proxy and HF_ENDPOINT" in message()


def test_a_name_that_no_hub_takes_is_told(hub: StandInHub) -> None:
    assert "HFValidationError: Cannot have -- or .. in repo_id" in message("owner/a--b")
    assert not hub.requests
