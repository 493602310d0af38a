"""Folders that we write, loaded by plain sentence-transformers: the same embeddings, with and without a prompt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import load_encoder, save_encoder
from one_embedder.encoder.locate import locate
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import InstructionTokenizer
from tests.encoder.conftest import tiny_encoder

pytestmark = pytest.mark.filterwarnings("ignore::one_embedder.encoder.truncation.TruncationWarning")

INSTRUCTION = "Represent the Wikipedia question for retrieving supporting documents: "
TEXTS = [
    "who wrote the play Hamlet and when was it performed",
    "Return the cumulative sum of the elements along a given axis.",
    "cat",
    "Naïve café, 12 µm; e.g. `numpy.cumsum(a, axis=None)`",
    "A long text about nothing in particular, told again and again. " * 30,
    "one line\nand another",
]


def sentence_transformer(folder: Path):
    """Plain sentence-transformers, imported late: it takes seconds."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(params=["minilm", "parity"])
def name(request: pytest.FixtureRequest) -> str:
    """A BERT without dense layer, and INSTRUCTOR's own kind: a T5 with one."""
    if request.param == "minilm":
        return "minilm"
    folder = request.getfixturevalue("shared") / "parity"
    if not folder.is_dir():
        pytest.skip(f"no parity data in {folder}")
    return str(folder)


@pytest.mark.parametrize("max_length", [None, 48])
def test_a_saved_folder_gives_sentence_transformers_our_embeddings(
    name: str, max_length: int | None, tmp_path: Path
) -> None:
    ours = InstructionEmbedder(name, device="cpu", max_length=max_length)
    save_encoder(ours.encoder, tmp_path / "model", prompts={"question": INSTRUCTION})
    theirs = sentence_transformer(tmp_path / "model")
    np.testing.assert_allclose(theirs.encode(TEXTS), ours.encode(TEXTS), atol=1e-5, rtol=0)
    for prompt in ({"prompt": INSTRUCTION}, {"prompt_name": "question"}):
        np.testing.assert_allclose(theirs.encode(TEXTS, **prompt), ours.encode(TEXTS, INSTRUCTION), atol=1e-5, rtol=0)
    assert np.abs(ours.encode(TEXTS, INSTRUCTION) - ours.encode(TEXTS)).max() > 1e-2


def test_minilm_without_instruction_is_plain_all_minilm() -> None:
    theirs = sentence_transformer(locate("minilm")).encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(InstructionEmbedder("minilm", device="cpu").encode(TEXTS), theirs, atol=1e-6, rtol=0)


def test_a_folder_that_sentence_transformers_saved_loads_here(name: str, tmp_path: Path) -> None:
    theirs = sentence_transformer(locate(name))
    theirs.set_pooling_include_prompt(False)
    theirs.save(str(tmp_path / "model"), create_model_card=False)
    ours = InstructionEmbedder(tmp_path / "model", device="cpu")
    assert ours.encoder.tokenizer.max_length == load_encoder(name).tokenizer.max_length
    np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-5, rtol=0)
    expected = theirs.encode(TEXTS, prompt=INSTRUCTION)
    np.testing.assert_allclose(ours.encode(TEXTS, INSTRUCTION), expected, atol=1e-5, rtol=0)


def byte_level_encoder() -> InstructionEncoder:
    """A tiny encoder whose every character is a token, white space too: what RoBERTa and ModernBERT do, made plain."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    vocabulary = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({token: number for number, token in enumerate(vocabulary)}, [], unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=64
    )
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    backbone = BertModel(config, add_pooling_layer=False).eval()
    return InstructionEncoder(backbone, InstructionTokenizer(tokenizer, 64)).eval()


STRIPPED = ["cats run", "s", "", "the documents, and more of them. " * 9 + "end", "one line\nand another"]
SPACED_BEHIND = ["cats run  ", "cats\xa0", "cats\n", "   "]
SPACED_BEFORE = [" cats run", "\tcats run", "\n\ncats", "\u3000cats"]
CLOSED = ["Represent the question: ", "Represent the question:\n", " Represent the question:  ", "the question of all "]
OPEN = ["Represent the question", "Represent the dog", "the: the dog"]
SINGLE, BLANK = ["the", "the "], [" ", "\n"]
MAKERS = {
    "minilm": lambda joining: load_encoder("minilm", joining=joining),
    "t5": lambda joining: joined(tiny_encoder(), joining),
    "byte level": lambda joining: joined(byte_level_encoder(), joining),
}


def joined(encoder: InstructionEncoder, joining: str) -> InstructionEncoder:
    encoder.tokenizer = InstructionTokenizer(encoder.tokenizer.tokenizer, encoder.tokenizer.max_length, joining)
    return encoder


def distances(name: str, joining: str, folder: Path, instructions: list[str], texts: list[str]) -> np.ndarray:
    """Between our embeddings and plain sentence-transformers', (instructions, texts)."""
    ours = InstructionEmbedder(MAKERS[name](joining), device="cpu")
    prompts = {str(number): instruction for number, instruction in enumerate(instructions)}
    save_encoder(ours.encoder, folder / "model", prompts)
    theirs = sentence_transformer(folder / "model")
    found = [
        np.abs(ours.encode(texts, instruction) - theirs.encode(texts, prompt_name=key)).max(axis=1)
        for key, instruction in prompts.items()
    ]
    return np.stack(found)


@pytest.mark.parametrize("joining", ["pypi", "head"])
@pytest.mark.parametrize("name", MAKERS)
def test_plain_sentence_transformers_agrees_on_stripped_texts_under_any_prompt_of_two_tokens(
    name: str, joining: str, tmp_path: Path
) -> None:
    prompts = ["", *CLOSED, *OPEN] + (SINGLE if joining == "head" or name != "t5" else [])
    assert distances(name, joining, tmp_path, prompts, STRIPPED + SPACED_BEHIND).max() < 1e-5


@pytest.mark.parametrize("name", MAKERS)
def test_plain_sentence_transformers_agrees_on_texts_that_begin_with_white_space_where_it_makes_no_token(
    name: str, tmp_path: Path
) -> None:
    prompts = ["", *(CLOSED if name == "minilm" else [])]
    assert distances(name, "pypi", tmp_path, prompts, SPACED_BEFORE).max() < 1e-5


@pytest.mark.parametrize(
    ("name", "joining", "prompts", "texts"),
    [
        ("minilm", "pypi", OPEN, SPACED_BEFORE),
        ("minilm", "head", OPEN, SPACED_BEFORE),
        ("t5", "pypi", OPEN, SPACED_BEFORE[:1]),
        ("byte level", "pypi", OPEN + CLOSED[:1], SPACED_BEFORE),
        ("t5", "pypi", SINGLE, STRIPPED),
        ("minilm", "pypi", BLANK, STRIPPED),
        ("byte level", "pypi", BLANK, STRIPPED),
    ],
)
def test_plain_sentence_transformers_differs_exactly_where_the_card_says_so(
    name: str, joining: str, prompts: list[str], texts: list[str], tmp_path: Path
) -> None:
    found = distances(name, joining, tmp_path, prompts, texts)
    assert found.min() > 1e-3, "it agrees by now: say so in the card, the README and save_encoder"


def test_where_prompt_and_text_merge_into_nothing_more_we_pool_the_end_token_and_they_nothing(tmp_path: Path) -> None:
    assert distances("t5", "pypi", tmp_path, ["retrie"], ["ving"]).min() > 0.1
    theirs = sentence_transformer(tmp_path / "model").encode(["ving"], prompt="retrie")
    np.testing.assert_array_equal(theirs, np.zeros_like(theirs))
