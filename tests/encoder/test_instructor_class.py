"""INSTRUCTOR, the class of the package InstructorEmbedding: what its users wrote works, with its numbers."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import one_embedder
from one_embedder import INSTRUCTOR
from one_embedder.embedding.arguments import OF_CONSTRUCTOR
from one_embedder.encoder.checkpoint import load_encoder, save_encoder
from one_embedder.errors import CheckpointError, ConfigError, DataError
from tests.hub import StandInHub

FOLDER = Path(__file__).parents[1] / "parity" / "tiny_instructor"
PAIRS: list[list[str]] = json.loads((FOLDER / "pairs.json").read_text(encoding="utf-8"))
EXPECTED: np.ndarray = np.load(FOLDER / "reference_embeddings.npy")


@pytest.fixture(scope="module")
def model() -> INSTRUCTOR:
    return INSTRUCTOR(str(FOLDER), device="cpu")


@pytest.mark.parametrize("form", [list, lambda pair: [*pair, 0], tuple])
def test_pairs_and_triples_have_the_reference_embeddings(model: INSTRUCTOR, form: Any) -> None:
    made = model.encode([form(pair) for pair in PAIRS], batch_size=5, normalize_embeddings=True)
    np.testing.assert_allclose(made, EXPECTED, atol=1e-6, rtol=0)


def test_the_published_packages_own_embeddings_come_out(shared: Path) -> None:
    folder = shared / "parity"
    if not (folder / "pairs.json").is_file():
        pytest.skip(f"no parity data in {folder}")
    pairs = json.loads((folder / "pairs.json").read_text(encoding="utf-8"))
    model = INSTRUCTOR(str(folder), device="cpu")
    with np.load(folder / "reference_embeddings.npz") as published:
        np.testing.assert_allclose(model.encode(pairs), published["embeddings"], atol=1e-6, rtol=0)
        texts = model.encode([text for _, text in pairs])
        np.testing.assert_allclose(texts, published["plain_string_embeddings"], atol=1e-6, rtol=0)


def test_each_form_of_the_result_is_what_the_package_gave(model: INSTRUCTOR) -> None:
    array = model.encode(PAIRS[:3])
    assert isinstance(array, np.ndarray) and array.shape == (3, 24) and array.dtype == np.float32
    tensor = model.encode(PAIRS[:3], convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor)
    rows = model.encode(PAIRS[:3], convert_to_numpy=False)
    assert isinstance(rows, list) and isinstance(rows[0], torch.Tensor)
    for made in (tensor, torch.stack(rows)):
        np.testing.assert_array_equal(made.numpy(), array)


def test_one_text_is_one_vector(model: INSTRUCTOR) -> None:
    one = model.encode("a cat")
    assert one.shape == (24,)
    np.testing.assert_array_equal(one, model.encode(["a cat"])[0])
    assert model.encode("a cat", convert_to_tensor=True).shape == (24,)


def test_arguments_stand_where_they_stood() -> None:
    """By place: INSTRUCTOR of 1.0.1 on sentence-transformers 2.2.2."""
    constructor = ["model_name_or_path", "modules", "device", "cache_folder", "use_auth_token"]
    assert list(inspect.signature(INSTRUCTOR).parameters)[:5] == constructor
    encode = {
        "sentences": inspect.Parameter.empty,
        "batch_size": 32,
        "show_progress_bar": None,
        "output_value": "sentence_embedding",
        "convert_to_numpy": True,
        "convert_to_tensor": False,
        "device": None,
        "normalize_embeddings": False,
    }
    parameters = inspect.signature(INSTRUCTOR.encode).parameters
    assert {name: each.default for name, each in parameters.items() if name != "self"} == encode


def test_what_is_not_done_is_refused_with_a_remedy(model: INSTRUCTOR) -> None:
    with pytest.raises(ConfigError, match=r"embedder\.encoder\.backbone"):
        model.encode(["a"], output_value="token_embeddings")
    with pytest.raises(ConfigError, match=r"^modules=.*" + OF_CONSTRUCTOR["modules"].instead):
        INSTRUCTOR(str(FOLDER), modules=[])  # type: ignore[arg-type]
    for triple in (["a: ", "b", 1], ["a: ", "b", "c"]):
        with pytest.raises(DataError, match=r"sentences\[0\]"):
            model.encode([triple])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (pd.DataFrame({"instruction": ["Represent: "], "text": ["a cat"]}), "is a table"),
        ({"a cat": 1}, "ordered collection"),
        ({"a cat", "a dog"}, "ordered collection"),
        (None, "is None"),
    ],
    ids=["table", "dictionary", "set", "nothing"],
)
def test_what_is_no_column_of_texts_is_refused_as_by_the_embedder(model: INSTRUCTOR, given: Any, told: str) -> None:
    for encode in (model.encode, model.embedder.encode):
        with pytest.raises(DataError, match=rf"^sentences .*{told}"):
            encode(given)


def test_an_array_of_pairs_is_pairs(model: INSTRUCTOR) -> None:
    np.testing.assert_array_equal(model.encode(np.array(PAIRS[:3])), model.encode(PAIRS[:3]))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 99])
def test_a_device_that_is_not_there_is_refused(model: INSTRUCTOR, device: Any) -> None:
    for move in (model.to, lambda to: model.encode("a cat", device=to)):
        with pytest.raises(ConfigError, match=f"device='?{device}'? cannot be used"):
            move(device)
    assert model.device == torch.device("cpu")


def test_a_progress_bar_is_shown_only_on_demand(model: INSTRUCTOR, capfd: pytest.CaptureFixture[str]) -> None:
    model.encode(PAIRS[:2])
    assert capfd.readouterr().err == ""
    model.encode(PAIRS[:2], show_progress_bar=True)
    assert "2/2" in capfd.readouterr().err


def test_length_and_dimension_have_their_old_names_and_moving_keeps_the_model() -> None:
    model = INSTRUCTOR(str(FOLDER), device="cpu", dtype="bfloat16")
    before = model.encode(PAIRS)
    assert model.to("cpu") is model and model.device == torch.device("cpu")
    np.testing.assert_array_equal(model.encode(PAIRS, device="cpu"), before)
    assert model.get_sentence_embedding_dimension() == 24
    model.max_seq_length = 8
    assert model.max_seq_length == model.embedder.encoder.tokenizer.max_length == 8
    moved = INSTRUCTOR(str(FOLDER), device="cpu", dtype="bfloat16").to("meta")  # a device that every machine has
    assert moved.device == torch.device("meta") and moved.embedder.dtype == "bfloat16"


def test_moving_keeps_the_prompts_and_the_default_one() -> None:
    prompts = {"ask": "Represent the question: "}
    moved = INSTRUCTOR(str(FOLDER), device="cpu", prompts=prompts, default_prompt_name="ask").to("meta")
    assert moved.device == torch.device("meta")
    assert (moved.embedder.prompts, moved.embedder.default_prompt_name) == (prompts, "ask")


def test_texts_without_instructions_get_none_though_the_folder_names_a_default(tmp_path: Path) -> None:
    save_encoder(load_encoder(FOLDER), tmp_path / "model", {"ask": "Represent the question: "}, "ask")
    model = INSTRUCTOR(str(tmp_path / "model"), device="cpu")
    np.testing.assert_array_equal(model.encode(["a cat"]), model.encode([["", "a cat"]]))
    asked = INSTRUCTOR(str(tmp_path / "model"), device="cpu", default_prompt_name="ask").encode(["a cat"])
    np.testing.assert_array_equal(asked, model.encode([["Represent the question: ", "a cat"]]))


def test_code_that_imports_the_old_package_can_be_given_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "InstructorEmbedding", one_embedder)
    from InstructorEmbedding import INSTRUCTOR as imported

    assert imported is INSTRUCTOR


def test_a_private_model_is_fetched_with_the_token_into_the_cache_folder_that_is_named(
    hub: StandInHub, tmp_path: Path
) -> None:
    hub.commit("own/tiny", FOLDER, token="secret")
    cache = tmp_path / "cache"
    with pytest.raises(CheckpointError, match="own/tiny"):
        INSTRUCTOR("own/tiny", device="cpu", cache_folder=str(cache))
    made = INSTRUCTOR("own/tiny", device="cpu", cache_folder=str(cache), use_auth_token="secret").encode(PAIRS[:2])
    np.testing.assert_allclose(made, EXPECTED[:2], atol=1e-6, rtol=0)
    assert (cache / "models--own--tiny").is_dir()
    assert not (tmp_path / "hub-cache" / "models--own--tiny").exists()
    hub.stop()
    assert INSTRUCTOR("own/tiny", device="cpu", cache_folder=str(cache)).encode("a cat").shape == (24,), "from there"


@pytest.mark.parametrize("name", ["half", "cuda", "encode_multi_process"])
def test_what_the_old_class_has_besides_is_told_with_what_there_is(model: INSTRUCTOR, name: str) -> None:
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=f"INSTRUCTOR has no '{name}', only encode, to"):
        getattr(model, name)
