"""A tiny T5 with a tiny tokenizer, made here: no file, no network, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import load_encoder, save_encoder
from one_embedder.encoder.dense import Dense
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.tokenize import InstructionTokenizer

IDENTITY = "torch.nn.modules.linear.Identity"
WORDS = ["▁represent", "▁the", "▁question", "▁document", "▁for", "▁retriev", "ing", "al", "▁cat", "▁dog", "s", ":"]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Unigram pieces with T5's special tokens: ``<pad>`` 0, ``</s>`` 1 (appended), ``<unk>`` 2."""
    letters = [letter for letter in "▁abcdefghijklmnopqrstuvwxyz.,;?" if letter not in WORDS]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary += [(word, -2.0) for word in WORDS] + [(letter, -6.0) for letter in letters]
    backend = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=32
    )


def tiny_encoder(*dense: Dense) -> InstructionEncoder:
    """Two layers of width 16. The weights are a fixed formula's: neither generator nor torch version matters."""
    config = T5Config(
        vocab_size=64, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, pad_token_id=0, eos_token_id=1
    )
    encoder = InstructionEncoder(T5EncoderModel(config), InstructionTokenizer(tiny_tokenizer(), 32), dense).eval()
    start = 0
    with torch.no_grad():
        for weight in encoder.parameters():
            place = torch.arange(start, start + weight.numel(), dtype=torch.float64)
            wave = 0.3 * torch.sin(0.37 * place**2)
            weight.copy_(wave.reshape(weight.shape))
            start += weight.numel()
    return encoder


@pytest.fixture
def tokenizer() -> InstructionTokenizer:
    """The tiny tokenizer, 32 tokens, joining as InstructorEmbedding 1.0.1 does."""
    return InstructionTokenizer(tiny_tokenizer(), 32)


@pytest.fixture
def make_encoder() -> Callable[..., InstructionEncoder]:
    """Builds the tiny encoder with the given dense layers."""
    return tiny_encoder


@pytest.fixture(scope="session")
def tiny() -> InstructionEncoder:
    """The tiny encoder with one dense layer to 24 dimensions; not to be changed."""
    return tiny_encoder(Dense(16, 24, bias=False, activation=IDENTITY))


@pytest.fixture(scope="module")
def embedder(tiny: InstructionEncoder) -> InstructionEmbedder:
    """The tiny encoder's embedder."""
    return InstructionEmbedder(tiny, device="cpu")


@pytest.fixture(scope="session")
def minilm() -> InstructionEncoder:
    """all-MiniLM-L6-v2 from its wheel; not to be changed."""
    return load_encoder("minilm")


@pytest.fixture
def saved(tmp_path: Path, tiny: InstructionEncoder) -> Path:
    """The tiny encoder's folder, for damaging."""
    save_encoder(tiny, tmp_path / "model")
    return tmp_path / "model"
