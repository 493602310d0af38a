"""Encoders of every family, and folders laid out as the published ones: tiny random weights, no network."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
)

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import load_encoder, save_encoder
from one_embedder.errors import CheckpointError, ConfigError
from tests.encoder.conftest import tiny_tokenizer
from tests.reference.published_encoder import published_embedding

WIDTH = 16
INSTRUCTION = "represent the question for retrieval: "
TEXTS = ["the cats", "", "dog", "cats and dogs? " * 9, "a document", "dog"]
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def bert() -> PreTrainedModel:
    """BERT with its pooler, which is not wanted; 40 positions."""
    return BertModel(BertConfig(vocab_size=64, **SIZES, **NO_DROPOUT, max_position_embeddings=40))


def mpnet() -> PreTrainedModel:
    """MPNet; of its 42 positions, two lie before the first token's."""
    return MPNetModel(MPNetConfig(vocab_size=64, **SIZES, **NO_DROPOUT, max_position_embeddings=42, pad_token_id=1))


def modernbert() -> PreTrainedModel:
    """ModernBERT: rotary positions, global attention in one layer and a window of 8 tokens in the other."""
    special = dict.fromkeys(("cls_token_id", "bos_token_id"), 2) | dict.fromkeys(("sep_token_id", "eos_token_id"), 1)
    sizes = SIZES | {"global_attn_every_n_layers": 2, "local_attention": 8, "max_position_embeddings": 40}
    return ModernBertModel(ModernBertConfig(vocab_size=64, **sizes, **special, pad_token_id=0))


def t5() -> PreTrainedModel:
    """T5's encoder: relative positions, no end."""
    return T5EncoderModel(t5_config())


def whole_t5() -> PreTrainedModel:
    """Encoder and decoder, as google-t5/t5-base holds them."""
    return T5ForConditionalGeneration(t5_config())


def t5_config() -> T5Config:
    return T5Config(vocab_size=64, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=2, num_heads=2, dropout_rate=0.0)


def bert_tokenizer(pad: int) -> PreTrainedTokenizerFast:
    """Words between ``<s>`` and ``</s>``; the padding token has the id that the model expects."""
    words = ["</s>", "<s>", "<unk>", *"represent the question document for retrieval : cats and dogs ? a dog".split()]
    words.insert(pad, "<pad>")
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [(word, words.index(word)) for word in ("<s>", "</s>")]
    backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=special)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=10**30
    )


def boundless_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny tokenizer, stating no maximum length."""
    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = 10**30
    return tokenizer


# Family -> model, tokenizer, most tokens a text: the positions there are, else what the tokenizer states, else 512.
FAMILIES: dict[str, tuple[Callable[[], PreTrainedModel], Callable[[], PreTrainedTokenizerFast], int]] = {
    "bert": (bert, lambda: bert_tokenizer(0), 40),
    "mpnet": (mpnet, lambda: bert_tokenizer(1), 40),
    "modernbert": (modernbert, lambda: bert_tokenizer(0), 40),
    "t5 encoder": (t5, tiny_tokenizer, 32),
    "t5 with its decoder": (whole_t5, tiny_tokenizer, 32),
    "t5 encoder, no length stated": (t5, boundless_tokenizer, 512),
}


def bare_folder(family: str, folder: Path) -> Path:
    """What ``save_pretrained`` writes of a model with random weights and its tokenizer."""
    make_model, make_tokenizer, _ = FAMILIES[family]
    torch.manual_seed(0)
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """Each family's name."""
    return str(request.param)


@pytest.fixture(scope="module")
def embedder(family: str, tmp_path_factory: pytest.TempPathFactory) -> InstructionEmbedder:
    """A tiny random model of the family, from its folder."""
    return InstructionEmbedder(bare_folder(family, tmp_path_factory.mktemp("family") / "model"), device="cpu")


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_every_family_is_embedded_by_the_same_rules_in_any_batch(embedder: InstructionEmbedder, attention: str) -> None:
    embedder.encoder.backbone.set_attn_implementation(attention)
    literal = [published_embedding(embedder.encoder, INSTRUCTION, text, joining="pypi") for text in TEXTS]
    for batch_size in (1, 4, 32):
        ours = embedder.encode(TEXTS, INSTRUCTION, batch_size=batch_size)
        np.testing.assert_allclose(ours, torch.stack(literal), atol=1e-6, rtol=0)
    assert ours.shape == (len(TEXTS), WIDTH)
    assert np.abs(ours[0] - ours[2]).max() > 1e-3


def test_every_familys_instruction_counts_and_is_not_pooled(embedder: InstructionEmbedder) -> None:
    batch = embedder.encoder.tokenizer([INSTRUCTION], ["dog"])
    pooled = batch.input_ids[0][batch.pooling_mask[0].bool()].tolist()
    words = embedder.encoder.tokenizer.tokenizer.convert_ids_to_tokens(pooled)
    assert [word.strip("▁") for word in words] == ["dog", "</s>"]
    assert np.abs(embedder.encode("dog", INSTRUCTION) - embedder.encode("dog")).max() > 1e-3


def test_every_family_has_the_length_that_its_model_can_take(embedder: InstructionEmbedder, family: str) -> None:
    expected = FAMILIES[family][2]
    assert embedder.encoder.tokenizer.max_length == expected
    assert embedder.encoder.tokenizer([""], ["dog " * 600]).input_ids.shape == (1, expected)
    assert np.isfinite(embedder.encode("dog " * 600)).all()


@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert"])
def test_more_tokens_than_there_are_positions_are_refused_and_relative_ones_have_no_end(
    family: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="max_length=41 is more than the 40 tokens"):
        load_encoder(bare_folder(family, tmp_path / "model"), max_length=41)
    t5_folder = bare_folder("t5 encoder", tmp_path / "t5")
    assert load_encoder(t5_folder, max_length=600).tokenizer.max_length == 600


def test_every_family_survives_saving_and_is_the_same_in_sentence_transformers(
    embedder: InstructionEmbedder, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    assert not [name for name, _ in embedder.encoder.named_parameters() if "pooler" in name or "decoder" in name]
    save_encoder(embedder.encoder, tmp_path / "model")
    again = InstructionEmbedder(tmp_path / "model", device="cpu")
    assert again.revision == embedder.revision
    np.testing.assert_allclose(again.encode(TEXTS, INSTRUCTION), embedder.encode(TEXTS, INSTRUCTION), atol=1e-6)
    texts, prompt = ["the cats", "a document", "dog"], INSTRUCTION.strip()
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert not [name for name, _ in theirs.named_parameters() if "pooler" in name]
    np.testing.assert_allclose(embedder.encode(texts, prompt), theirs.encode(texts, prompt=prompt), atol=1e-6)


# Layout of a folder on the hub -> the transformer's place, the types in modules.json, the maximum length.
PUBLISHED = [f"sentence_transformers.models.{kind}" for kind in ("Transformer", "Pooling", "Dense", "Normalize")]
OLDER = ["InstructorEmbedding.instructor"] * 2 + PUBLISHED[2:]
LATER = [f"InstructorEmbedding.instructor.INSTRUCTOR{kind}" for kind in ("Transformer", "Pooling")] + PUBLISHED[2:]
LAYOUTS: dict[str, tuple[str, list[str], int]] = {
    "gtr-t5": ("", PUBLISHED, 24),
    "sentence-t5": ("", PUBLISHED, 16),
    "instructor, saved by its package": ("", OLDER, 24),
    "instructor, saved by its later package": ("", LATER, 24),
    "a transformer in a folder of its own": ("0_Transformer", PUBLISHED, 24),
}


def published_folder(layout: str, folder: Path, *, pickled: bool) -> Path:
    """A tiny T5 with a dense layer without bias to 24 dimensions, as the hub's folders hold it."""
    place, types, max_length = LAYOUTS[layout]
    torch.manual_seed(1)
    transformer = folder / place
    t5().save_pretrained(transformer)
    tiny_tokenizer().save_pretrained(transformer)
    write(transformer / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    parts = [place, "1_Pooling", "2_Dense", "3_Normalize"]
    for part in parts[1:]:
        (folder / part).mkdir()
    modes = {f"pooling_mode_{mode}": mode == "mean_tokens" for mode in ("cls_token", "mean_tokens", "max_tokens")}
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH} | modes)
    identity = "torch.nn.modules.linear.Identity"
    dense = {"in_features": WIDTH, "out_features": 24, "bias": False, "activation_function": identity}
    write(folder / "2_Dense" / "config.json", dense)
    torch.save({"linear.weight": torch.randn(24, WIDTH)}, folder / "2_Dense" / "pytorch_model.bin")
    modules = [{"idx": n, "name": str(n), "path": part, "type": types[n]} for n, part in enumerate(parts)]
    write(folder / "modules.json", modules)
    if pickled:
        pickle_weights(transformer)
    return folder


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def pickle_weights(folder: Path) -> None:
    """Replace the safetensors file by ``pytorch_model.bin``, which is what older folders hold."""
    from safetensors.torch import load_file

    safe = folder / "model.safetensors"
    torch.save(load_file(safe), folder / "pytorch_model.bin")
    safe.unlink()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_layouts_load_with_their_dense_layer_and_maximum_length(layout: str, tmp_path: Path) -> None:
    embedder = InstructionEmbedder(published_folder(layout, tmp_path / "model", pickled=True), device="cpu")
    assert embedder.dimension == 24
    assert embedder.encoder.tokenizer.max_length == LAYOUTS[layout][2]
    literal = [published_embedding(embedder.encoder, INSTRUCTION, text, joining="pypi") for text in TEXTS]
    np.testing.assert_allclose(embedder.encode(TEXTS, INSTRUCTION), torch.stack(literal), atol=1e-6, rtol=0)


def test_pickled_and_safe_weights_give_the_same_embeddings(tmp_path: Path) -> None:
    pickled = InstructionEmbedder(published_folder("gtr-t5", tmp_path / "old", pickled=True), device="cpu")
    safe = InstructionEmbedder(published_folder("gtr-t5", tmp_path / "new", pickled=False), device="cpu")
    np.testing.assert_array_equal(pickled.encode(TEXTS, INSTRUCTION), safe.encode(TEXTS, INSTRUCTION))


def test_a_gtr_folder_is_what_sentence_transformers_makes_of_it(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = published_folder("gtr-t5", tmp_path / "model", pickled=False)
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(InstructionEmbedder(folder, device="cpu").encode(TEXTS), theirs, atol=1e-6, rtol=0)


class Malicious:
    """Pickled, it makes whoever unpickles it create a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("part", ["", "2_Dense"])
@pytest.mark.parametrize("archive", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(part: str, archive: bool, tmp_path: Path) -> None:
    folder = published_folder("gtr-t5", tmp_path / "model", pickled=True)
    trace, weights = tmp_path / "was-here", folder / part / "pytorch_model.bin"
    if archive:
        torch.save({"linear.weight": Malicious(trace)}, weights)
    else:
        weights.write_bytes(pickle.dumps(Malicious(trace)))
    with pytest.raises(CheckpointError, match=str(folder / part)):
        load_encoder(folder)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Malicious(trace)))
    assert trace.exists(), "the pickle has to be one that would have run"
