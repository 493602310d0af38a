"""Encoders and settings small enough to train in a test."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel, PreTrainedModel, T5Config, T5EncoderModel

from one_embedder.config.schema import Config
from one_embedder.encoder.model import InstructionEncoder
from tests.medi.toy import instruction_tokenizer, toy_tokenizer

WIDTH = 32
LAYERS = 3


def tiny_encoder(family: str = "t5", *, dropout: float = 0.1) -> InstructionEncoder:
    """Three layers of width 32, seeded; in evaluation mode, as ``load_encoder`` gives them."""
    torch.manual_seed(0)
    encoder = InstructionEncoder(_backbone(family, len(toy_tokenizer()), dropout), instruction_tokenizer())
    return encoder.eval()


def tiny_config(folder: Path, encoder: Path, **trainer: object) -> Config:
    """A run of 12 steps on ``<folder>/data/medi`` that logs every step."""
    cfg = Config()
    cfg.encoder.name_or_path = str(encoder)
    cfg.medi.folder = str(folder / "data")
    cfg.paths.data = str(folder / "data")
    cfg.paths.experiments = str(folder / "experiments")
    cfg.tracking.wandb = "disabled"
    cfg.sampler.global_batch_size = 4
    cfg.loss.temperature = 0.1
    cfg.optimizer.learning_rate = 5e-3
    cfg.trainer.accelerator = "cpu"
    cfg.trainer.precision = "32-true"
    cfg.trainer.max_length = 16
    cfg.trainer.max_steps = 12
    cfg.trainer.log_every_n_steps = 1
    cfg.trainer.checkpoint_every_n_steps = 5
    for key, value in trainer.items():
        setattr(cfg.trainer, key, value)
    return cfg


def _backbone(family: str, words: int, dropout: float) -> PreTrainedModel:
    sizes = {"hidden_size": WIDTH, "num_attention_heads": 2, "num_hidden_layers": LAYERS, "intermediate_size": 64}
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    if family == "bert":
        return BertModel(BertConfig(vocab_size=words, **sizes, **rates), add_pooling_layer=False)
    if family == "mpnet":
        return MPNetModel(MPNetConfig(vocab_size=words, **sizes, **rates), add_pooling_layer=False)
    t5 = T5Config(
        vocab_size=words, d_model=WIDTH, d_kv=16, d_ff=64, num_layers=LAYERS, num_heads=2, dropout_rate=dropout
    )
    return T5EncoderModel(t5)
