"""InstructionEmbedder.encode."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from one_embedder.embedding import batches
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.backbone import beyond_weights
from one_embedder.encoder.checkpoint import save_encoder, weights_sha256
from one_embedder.encoder.dense import Dense
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import CheckpointError, ConfigError, DataError, OneEmbedderError
from one_embedder.instructions.template import Instruction

INSTRUCTION = "represent the question for retrieval: "
TEXTS = ["the cats", "", "dog", "cats and dogs? " * 20, "a document", "dog", "   "]
pytestmark = pytest.mark.filterwarnings("ignore::one_embedder.encoder.truncation.TruncationWarning")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(["", INSTRUCTION, "the "]), st.text("cats dog?", max_size=90)), min_size=1
    ),
    batch_size=st.integers(1, 5),
    budget=st.integers(1, 200),
    seed=st.integers(0, 99),
)
def test_an_embedding_depends_neither_on_its_batch_mates_nor_on_their_order_nor_on_padding(
    embedder: InstructionEmbedder, pairs: list[tuple[str, str]], batch_size: int, budget: int, seed: int
) -> None:
    alone = np.concatenate([embedder.encode(text, instruction) for instruction, text in pairs])
    order = np.random.default_rng(seed).permutation(len(pairs))
    together = embedder.encode([pairs[row] for row in order], batch_size=batch_size, max_tokens_per_batch=budget)
    np.testing.assert_allclose(together, alone[order], atol=1e-6)


def test_every_form_of_the_same_call_gives_the_same_embeddings(embedder: InstructionEmbedder) -> None:
    expected = embedder.encode(TEXTS, INSTRUCTION)
    as_object = Instruction.parse(INSTRUCTION)
    capital = embedder.encode(TEXTS, "Represent the question for retrieval: ")
    for other in (
        embedder.encode([[INSTRUCTION, text] for text in TEXTS]),
        embedder.encode([(INSTRUCTION, text) for text in TEXTS], batch_size=2),
        embedder.encode(tuple(TEXTS), [INSTRUCTION] * len(TEXTS)),
    ):
        np.testing.assert_allclose(other, expected, atol=1e-6)
    np.testing.assert_allclose(embedder.encode(TEXTS, as_object), capital, atol=1e-6)
    np.testing.assert_allclose(embedder.encode(TEXTS, [as_object] * len(TEXTS)), capital, atol=1e-6)


def test_no_instruction_is_the_empty_instruction(embedder: InstructionEmbedder) -> None:
    np.testing.assert_array_equal(embedder.encode(TEXTS), embedder.encode(TEXTS, ""))


def test_embeddings_are_float32_rows(embedder: InstructionEmbedder) -> None:
    assert embedder.encode(TEXTS).shape == (len(TEXTS), 24)
    assert embedder.encode(TEXTS).dtype == np.float32
    assert embedder.encode("one text").shape == (1, 24)
    assert embedder.encode([]).shape == (0, 24)
    assert embedder.encode([], INSTRUCTION).shape == (0, 24)


def test_more_texts_than_one_window_come_back_in_order(
    embedder: InstructionEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = embedder.encode(TEXTS * 3)
    monkeypatch.setattr(batches, "WINDOW_BATCHES", 2)
    np.testing.assert_allclose(embedder.encode(TEXTS * 3, batch_size=2), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("sentences", "instruction", "message"),
    [
        (["a", None, "b"], None, r"sentences\[1\] is None \(NoneType\), not a string"),
        (["a", "b", 3.5], INSTRUCTION, r"sentences\[2\] is 3.5 \(float\)"),
        (["a", ["i", "b"]], None, r"sentences\[1\] is"),
        ([["i", "a"], "b"], None, r"sentences\[1\] is 'b' \(str\), not an \[instruction, text\] pair"),
        ([["i", "a"], ["i", "b", 0]], None, r"sentences\[1\]"),
        ([["i", "a"], ["i", None]], None, r"sentences\[1\]\[1\]"),
        ([[None, "a"]], None, r"sentences\[0\]\[0\]"),
        ([["i", "a"]], INSTRUCTION, "pass no other instruction"),
        (["a", "b"], ["i"], "1 instructions for 2 texts"),
        (["a", "b"], ["i", 7], r"instruction\[1\] is 7"),
    ],
)
def test_wrong_input_is_named_by_its_index(
    embedder: InstructionEmbedder, sentences: list[object], instruction: object, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        embedder.encode(sentences, instruction)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 2.0, "2", None])
def test_a_batch_size_that_is_no_number_of_texts_is_refused(embedder: InstructionEmbedder, size: Any) -> None:
    with pytest.raises(ConfigError, match=f"batch_size={size!r} must be a whole number, at least 1"):
        embedder.encode(TEXTS, batch_size=size)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "", 99, -1, False, True, 0.0, torch.device("cuda:99")])
def test_a_device_that_is_not_there_is_refused(tiny: InstructionEncoder, device: Any) -> None:
    told = repr(str(device) if isinstance(device, torch.device) else device).strip("'")
    with pytest.raises(ConfigError, match=f"device='?{re.escape(told)}'? cannot be used: ."):
        InstructionEmbedder(tiny, device=device)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a device 0")
def test_device_0_is_the_first_gpu_and_never_the_cpu(tiny: InstructionEncoder) -> None:
    with pytest.raises(ConfigError, match="device=0 cannot be used"):
        InstructionEmbedder(tiny, device=0)
    with pytest.raises(ConfigError, match=r"devices=\[0\] must be torch devices of this machine"):
        InstructionEmbedder(tiny, device="cpu").start_pool([0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_device_0_is_cuda_0(make_encoder: Callable[..., InstructionEncoder]) -> None:
    embedder = InstructionEmbedder(make_encoder(), device=0)
    assert embedder.device == torch.device("cuda:0") == next(embedder.encoder.parameters()).device


@pytest.mark.parametrize("wrong", [{"device": "gpu"}, {"dtype": "float8"}])
def test_a_device_or_dtype_that_there_is_not_is_told_before_anything_is_loaded(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        InstructionEmbedder("no/such/folder", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [{"dtype": "int8"}, {"joining": "head"}, {"max_length": 8}, {"revision": "main"}])
def test_arguments_that_a_loaded_encoder_cannot_obey_are_refused(
    tiny: InstructionEncoder, arguments: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        InstructionEmbedder(tiny, **arguments)  # type: ignore[arg-type]


def test_an_embedding_that_is_not_finite_is_an_error_with_a_remedy(make_encoder: object) -> None:
    encoder = make_encoder()  # type: ignore[operator]
    encoder.backbone.shared.weight.data[4] = float("inf")
    with pytest.raises(OneEmbedderError, match="the first of text 1, in float32"):
        InstructionEmbedder(encoder, device="cpu").encode(["dog", "the cats"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near_float32_and_still_returned_as_float32(make_encoder: object, dtype: str) -> None:
    layer = Dense(16, 24, bias=False, activation="torch.nn.modules.linear.Identity")
    encoder = make_encoder(layer)  # type: ignore[operator]
    exact = InstructionEmbedder(encoder, device="cpu").encode(TEXTS)
    rough = InstructionEmbedder(encoder, device="cpu", dtype=dtype).encode(TEXTS)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max()
    assert (rough * exact).sum(axis=1).min() > 0.99


@pytest.fixture(scope="module", params=["tiny", "minilm"])
def exact(request: pytest.FixtureRequest) -> InstructionEmbedder:
    """A float64 copy of a T5 with a dense layer and of a BERT without one."""
    return InstructionEmbedder(deepcopy(request.getfixturevalue(request.param)), device="cpu", dtype="float64")


def test_float64_embeddings_are_those_of_float32_without_its_rounding(
    exact: InstructionEmbedder, tiny: InstructionEncoder, minilm: InstructionEncoder
) -> None:
    single = InstructionEmbedder(tiny if exact.dimension == tiny.dimension else minilm, device="cpu")
    rounded = exact.encode(TEXTS, INSTRUCTION)
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - single.encode(TEXTS, INSTRUCTION)).max() < 1e-6
    with torch.inference_mode():
        double = exact.encoder(exact.encoder.tokenizer([INSTRUCTION] * len(TEXTS), TEXTS))
    assert double.dtype == torch.float64
    np.testing.assert_array_equal(rounded, double.numpy().astype(np.float32))


def test_float64_embeddings_are_the_same_to_the_bit_in_any_batch_and_with_any_threads(
    exact: InstructionEmbedder,
) -> None:
    expected, threads = exact.encode(TEXTS, INSTRUCTION), torch.get_num_threads()
    order = np.random.default_rng(0).permutation(len(TEXTS))
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            for batch_size in (1, 3, 32):
                again = exact.encode([TEXTS[row] for row in order], INSTRUCTION, batch_size=batch_size)
                np.testing.assert_array_equal(again, expected[order])
    finally:
        torch.set_num_threads(threads)


def test_an_encoder_that_was_cast_to_float64_comes_back_to_float32(make_encoder: object) -> None:
    encoder = make_encoder(Dense(16, 24, bias=False, activation="torch.nn.modules.linear.Identity"))  # type: ignore[operator]
    before = InstructionEmbedder(encoder, device="cpu").encode(TEXTS)
    InstructionEmbedder(encoder, device="cpu", dtype="float64")
    np.testing.assert_array_equal(InstructionEmbedder(encoder, device="cpu").encode(TEXTS), before)


def test_the_progress_bar_shows_when_asked_and_not_otherwise(
    embedder: InstructionEmbedder, capfd: pytest.CaptureFixture[str]
) -> None:
    embedder.encode(TEXTS)
    embedder.encode(TEXTS, show_progress_bar=False)
    assert capfd.readouterr().err == ""
    embedder.encode(TEXTS, show_progress_bar=True)
    assert f"{len(TEXTS)}/{len(TEXTS)}" in capfd.readouterr().err


def test_the_revision_changes_with_whatever_changes_the_embeddings(
    tiny: InstructionEncoder, make_encoder: object
) -> None:
    revision = InstructionEmbedder(tiny, device="cpu").revision
    twin = make_encoder(Dense(16, 24, bias=False, activation="torch.nn.modules.linear.Identity"))  # type: ignore[operator]
    assert InstructionEmbedder(twin, device="cpu").revision == revision
    twin.tokenizer = tiny.tokenizer.with_max_length(8)
    assert InstructionEmbedder(twin, device="cpu").revision != revision
    assert weights_sha256(twin) == weights_sha256(tiny)
    twin.tokenizer = tiny.tokenizer
    twin.dense[0].linear.weight.data[0, 0] += 1
    assert InstructionEmbedder(twin, device="cpu").revision != revision
    assert weights_sha256(twin) != weights_sha256(tiny)


def test_the_revision_changes_with_a_weight_that_is_changed_in_place(make_encoder: object) -> None:
    embedder = InstructionEmbedder(make_encoder(), device="cpu")  # type: ignore[operator]
    revision = embedder.revision
    embedder.encoder.backbone.shared.weight.data[0, 0] += 1
    assert embedder.revision != revision
    embedder.encoder.backbone.shared.weight.data[0, 0] -= 1
    assert embedder.revision == revision


@pytest.mark.parametrize(
    ("name", "value", "counts"),
    [
        ("num_heads", 4, True),
        ("dense_act_fn", "gelu", True),
        ("layer_norm_epsilon", 1e-3, True),
        ("relative_attention_max_distance", 64, True),
        ("dropout_rate", 0.3, False),
        ("_name_or_path", "elsewhere", False),
        ("dtype", "bfloat16", False),
        ("known_to_no_class", 1, False),
    ],
)
def test_the_revision_changes_with_settings_that_change_embeddings_and_weights_do_not_show(
    make_encoder: object, name: str, value: object, counts: bool
) -> None:
    embedder = InstructionEmbedder(make_encoder(), device="cpu")  # type: ignore[operator]
    revision = embedder.revision
    setattr(embedder.encoder.backbone.config, name, value)
    assert (embedder.revision != revision) == counts


def test_settings_that_are_their_classs_defaults_add_nothing_to_a_revision(minilm: InstructionEncoder) -> None:
    assert beyond_weights(minilm.backbone.config) == {}


@pytest.mark.filterwarnings("ignore:torch:DeprecationWarning", "ignore:torch:UserWarning")
def test_a_quantised_encoder_embeds_and_has_a_revision_of_its_own(tiny: InstructionEncoder, tmp_path: Path) -> None:
    def quantised() -> InstructionEncoder:
        from torch.ao.quantization import quantize_dynamic

        return quantize_dynamic(deepcopy(tiny), {torch.nn.Linear}, dtype=torch.qint8)

    exact, rough, again = (InstructionEmbedder(encoder, device="cpu") for encoder in (tiny, quantised(), quantised()))
    embeddings = rough.encode(TEXTS, INSTRUCTION)
    assert 0 < np.abs(embeddings - exact.encode(TEXTS, INSTRUCTION)).max() < 0.1
    assert rough.revision == again.revision != exact.revision
    other = quantised()
    weight = other.dense[0].linear.weight()
    other.dense[0].linear.set_weight_bias(
        torch.quantize_per_tensor(weight.dequantize() * 2, 0.01, 0, torch.qint8), None
    )
    assert InstructionEmbedder(other, device="cpu").revision != rough.revision
    with pytest.raises(ConfigError, match="dtype='bfloat16': the encoder is quantised"):
        InstructionEmbedder(other, device="cpu", dtype="bfloat16")
    with pytest.raises(CheckpointError, match="save the encoder before it is quantised"):
        save_encoder(other, tmp_path / "model")
    assert not list(tmp_path.iterdir())
