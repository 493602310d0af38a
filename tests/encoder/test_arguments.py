"""What users of sentence-transformers and InstructorEmbedding type: the same meaning, or one error with a remedy."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from one_embedder.embedding.arguments import OF_CONSTRUCTOR, OF_ENCODE
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.truncation import Cut, cuts_kept
from one_embedder.errors import CheckpointError, ConfigError

INSTRUCTION = "represent the question for retrieval: "
TEXTS = ["the cats", "dog", "cats and dogs? " * 20]
pytestmark = pytest.mark.filterwarnings("ignore::one_embedder.encoder.truncation.TruncationWarning")


@pytest.fixture(scope="module")
def embedder(tiny: InstructionEncoder) -> InstructionEmbedder:
    """The tiny encoder's embedder."""
    return InstructionEmbedder(tiny, device="cpu", prompts={"ask": INSTRUCTION})


@pytest.fixture
def own(make_encoder: Callable[..., InstructionEncoder]) -> InstructionEmbedder:
    """An embedder to be changed."""
    return InstructionEmbedder(make_encoder(), device="cpu")


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": INSTRUCTION},
        {"prompt_name": "ask"},
        {"instruction": INSTRUCTION, "normalize_embeddings": True},
        {"instruction": INSTRUCTION, "device": "cpu"},
        {"instruction": INSTRUCTION, "device": torch.device("cpu"), "batch_size": 2},
        {"instruction": INSTRUCTION, "output_value": "sentence_embedding", "convert_to_numpy": True},
        {"instruction": INSTRUCTION, "chunk_size": None, "show_progress_bar": False, "precision": "float32"},
    ],
)
def test_the_usual_keywords_mean_what_they_do_elsewhere(
    embedder: InstructionEmbedder, arguments: dict[str, Any]
) -> None:
    expected = embedder.encode(TEXTS, INSTRUCTION)
    np.testing.assert_allclose(embedder.encode(TEXTS, **arguments), expected, atol=1e-6)
    assert np.abs(expected - embedder.encode(TEXTS)).max() > 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"normalize_embeddings": False}, "always have length 1.*leave normalize_embeddings out"),
        ({"device": "meta"}, r"this embedder is on cpu.*InstructionEmbedder\(..., device='meta'\)"),
        ({"device": "gpu"}, "device='gpu' is no torch device"),
        ({"device": ["cpu"], "devices": ["cpu"]}, "twice"),
        ({"output_value": "token_embeddings"}, "embedder.encoder.backbone"),
        ({"output_value": None}, "embedder.encoder.backbone"),
        ({"chunk_size": 100}, "follows from batch_size"),
        ({"inputs": ["a"]}, "called sentences"),
        ({"prompt": "a", "instruction": "b"}, "pass one of them"),
        ({"prompt": "a", "prompt_name": "ask"}, "pass one of them"),
        ({"prompt_name": "query"}, "there is no prompt 'query', only 'ask'; set prompts, or"),
    ],
)
def test_keywords_that_ask_for_something_else_name_what_to_use(
    embedder: InstructionEmbedder, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        embedder.encode(TEXTS, **arguments)


@pytest.mark.slow
def test_several_devices_are_processes(embedder: InstructionEmbedder) -> None:
    together = embedder.encode(TEXTS, INSTRUCTION, device=["cpu"])
    np.testing.assert_allclose(together, embedder.encode(TEXTS, INSTRUCTION), atol=1e-6)


def test_no_keyword_of_sentence_transformers_is_unknown(embedder: InstructionEmbedder) -> None:
    from sentence_transformers import SentenceTransformer

    for theirs, ours, elsewhere in (
        (SentenceTransformer.encode, InstructionEmbedder.encode, OF_ENCODE),
        (SentenceTransformer.__init__, InstructionEmbedder.__init__, OF_CONSTRUCTOR),
    ):
        names = {name for name in inspect.signature(theirs).parameters if name not in ("self", "kwargs")}
        assert len(names) > 12
        assert names <= set(inspect.signature(ours).parameters) | set(elsewhere)


def test_a_keyword_that_nobody_has_is_a_type_error_as_in_python(embedder: InstructionEmbedder) -> None:
    with pytest.raises(TypeError, match=r"encode\(\) got an unexpected keyword argument 'batchsize'"):
        embedder.encode(TEXTS, batchsize=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"InstructionEmbedder\(\) got an unexpected keyword argument 'max_len'"):
        InstructionEmbedder("no/such/folder", max_len=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trust_remote_code": True}, "no code of a model folder is run"),
        ({"use_auth_token": "secret"}, "it is called token"),
        ({"local_files_only": True}, "HF_HUB_OFFLINE=1"),
        ({"truncate_dim": 8}, "pass it to encode"),
        ({"model_kwargs": {"torch_dtype": "float16"}}, "use dtype="),
        ({"tokenizer_kwargs": {"model_max_length": 16}}, "use max_length="),
        ({"backend": "onnx"}, "torch only"),
        ({"similarity_fn_name": "dot"}, "the cosine"),
        ({"model_name_or_path": "minilm"}, "name_or_path, the first argument"),
    ],
)
def test_arguments_of_their_constructor_name_what_to_use_before_anything_is_loaded(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        InstructionEmbedder("no/such/folder", **arguments)


def test_arguments_of_their_constructor_that_ask_for_nothing_else_are_taken(tiny: InstructionEncoder) -> None:
    InstructionEmbedder(tiny, device="cpu", trust_remote_code=False, backend="torch", model_kwargs={}, token=None)
    with pytest.raises(ConfigError, match="trust_remote_code=0"):
        InstructionEmbedder(tiny, device="cpu", trust_remote_code=0)


def test_max_seq_length_may_be_set_and_cuts_from_then_on(own: InstructionEmbedder) -> None:
    before, revision = own.encode(TEXTS), own.revision
    assert own.max_seq_length == 32
    own.max_seq_length = 5
    with cuts_kept() as kept:
        shorter = own.encode(TEXTS)
    assert kept[0].tolist() == [Cut.NONE, Cut.NONE, Cut.END]
    assert own.max_seq_length == own.encoder.tokenizer.max_length == 5
    np.testing.assert_allclose(shorter[:2], before[:2], atol=1e-6)
    assert np.abs(shorter[2] - before[2]).max() > 1e-3
    assert own.revision != revision
    own.max_seq_length = 32
    assert own.revision == revision
    np.testing.assert_array_equal(own.encode(TEXTS), before)


@pytest.mark.parametrize(("length", "message"), [(1, "at least 2"), (None, "whole number"), (16.0, "whole number")])
def test_a_max_seq_length_that_cannot_be_is_refused(own: InstructionEmbedder, length: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        own.max_seq_length = length
    assert own.max_seq_length == 32


def test_a_max_seq_length_beyond_the_models_positions_is_refused(minilm: InstructionEncoder) -> None:
    with pytest.raises(ConfigError, match="513 is more than the 512"):
        InstructionEmbedder(minilm, device="cpu").max_seq_length = 513


def test_processes_that_cut_elsewhere_are_refused(own: InstructionEmbedder) -> None:
    with own.start_pool(["cpu"]) as pool:
        own.max_seq_length = 9
        with pytest.raises(ConfigError, match="another max_seq_length"):
            own.encode(TEXTS, pool=pool)


@pytest.mark.parametrize(
    "name", ["tokenizer", "device", "dtype", "encoder", "batch_size", "max_length", "truncate_dim", "revision", "any"]
)
def test_an_attribute_that_would_change_nothing_cannot_be_set(own: InstructionEmbedder, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} of an embedder cannot be set"):
        setattr(own, name, 8)


def test_a_subclass_keeps_attributes_of_its_own(tiny: InstructionEncoder) -> None:
    class Counting(InstructionEmbedder):
        calls = 0

    counting = Counting(tiny, device="cpu")
    counting.calls = counting.others = 3  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="device of an embedder"):
        counting.device = "cuda"  # type: ignore[misc, assignment]


def test_the_prompts_of_a_folder_are_known_by_name_and_its_default_is_used(
    tiny: InstructionEncoder, tmp_path: Path
) -> None:
    save_encoder(tiny, tmp_path / "model", prompts={"ask": INSTRUCTION})
    path = tmp_path / "model" / "config_sentence_transformers.json"
    plain = InstructionEmbedder(tmp_path / "model", device="cpu")
    expected = plain.encode(TEXTS, INSTRUCTION)
    np.testing.assert_array_equal(plain.encode(TEXTS, prompt_name="ask"), expected)
    path.write_text(json.dumps({"prompts": {"ask": INSTRUCTION}, "default_prompt_name": "ask"}))
    with_default = InstructionEmbedder(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(with_default.encode(TEXTS), expected)
    for without in (with_default.encode(TEXTS, ""), with_default.encode([["", text] for text in TEXTS])):
        np.testing.assert_array_equal(without, plain.encode(TEXTS))
    path.write_text(json.dumps({"prompts": {}, "default_prompt_name": "ask"}))
    with pytest.raises(CheckpointError, match="default_prompt_name 'ask' is none of its prompts"):
        InstructionEmbedder(tmp_path / "model", device="cpu")


def test_a_folders_default_prompt_goes_with_prompts_that_have_it(tiny: InstructionEncoder, tmp_path: Path) -> None:
    save_encoder(tiny, tmp_path / "model", {"ask": INSTRUCTION}, "ask")
    others = InstructionEmbedder(tmp_path / "model", device="cpu", prompts={"tell": "represent the document: "})
    assert others.default_prompt_name is None
    np.testing.assert_array_equal(others.encode(TEXTS), others.encode(TEXTS, ""))
    same = InstructionEmbedder(tmp_path / "model", device="cpu", prompts={"ask": "represent the question: "})
    np.testing.assert_array_equal(same.encode(TEXTS), same.encode(TEXTS, "represent the question: "))


def test_prompts_may_be_set(own: InstructionEmbedder) -> None:
    own.prompts = {"ask": INSTRUCTION}
    np.testing.assert_array_equal(own.encode(TEXTS, prompt_name="ask"), own.encode(TEXTS, INSTRUCTION))
    own.default_prompt_name = "tell"
    np.testing.assert_array_equal(own.encode(TEXTS, INSTRUCTION), own.encode(TEXTS, prompt_name="ask"))
    with pytest.raises(ConfigError, match="there is no prompt 'tell'"):
        own.encode(TEXTS)
