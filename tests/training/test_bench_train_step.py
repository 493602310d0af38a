"""The benchmark of a training step compares steps of equal gradients, and records what it compared."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from one_embedder.config.schema import Config, LossConfig, OptimizerConfig, SamplerConfig
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.training.module import InstructorModule
from scripts.bench_train_step import _distance, _flops, _own, _released, _sentence_transformers, rendered
from tests.medi.toy import instruction_tokenizer
from tests.training.tiny import tiny_encoder


def test_all_ways_compute_one_loss_and_those_with_our_loss_one_gradient(workplace: Path) -> None:
    settings = Config(loss=LossConfig(temperature=0.1), optimizer=OptimizerConfig(dropout=False))
    module = InstructorModule(tiny_encoder(), settings)
    data = MediDataModule(
        workplace / "data" / "medi",
        instruction_tokenizer(),
        sampler=SamplerConfig(global_batch_size=4),
        with_instructions=True,
        seed=0,
    )
    batch = data.collator([data.medi.dataset[row] for row in (0, 1, 2, 3)])
    ours, padded = (_own(module, skip_padding=skip) for skip in (True, False))
    peer, released = _sentence_transformers(module), _released(module)
    weights = list(module.parameters())
    torch.testing.assert_close(ours(batch), released(batch), rtol=1e-4, atol=1e-5)
    assert _distance(ours(batch), padded(batch), weights) < 1e-5
    assert _distance(ours(batch), peer(batch), weights) < 1e-5
    assert _distance(2 * ours(batch), padded(batch), weights) == pytest.approx(0.5, abs=1e-3)
    assert 0 < _flops(ours, batch, weights) < _flops(padded, batch, weights)


def test_the_record_is_told_as_a_table() -> None:
    row = {
        "with_instructions": True,
        "tokens": 10,
        "padded_tokens": 20,
        "seconds": {"ours": 1.0, "padded": 2.0, "sentence-transformers": 2.5, "released": 40.0},
        "ratios": {"padded": [1.9, 2.0, 2.1], "sentence-transformers": [2.4, 2.5, 2.6]},
        "released_ratio": 40.0,
        "gradient_distance": 1e-6,
        "flops": 6e10,
    }
    record = {
        "settings": {
            "shape": "small",
            "rows": 32,
            "batches": 2,
            "rounds": 3,
            "clock": "cpu",
            "threads": 1,
            "frozen_layers": 0,
        },
        "code": {"commit": "0123456789"},
        "environment": {"transformers": "5", "torch": "2", "sentence-transformers": "6"},
        "hardware": {"gpu": None, "cpu": "some CPU"},
        "peak_flops_per_s": 1e11,
        "rows": [row],
    }
    cells = "1.000 | 2.000 | 2.00 (1.90 to 2.10) | 2.500 | 2.50 (2.40 to 2.60) | 40.0 | 40 | 60 %"
    text = rendered(record)
    assert f"| with | 10 (20) | {cells} |" in text
    assert "a random encoder of T5-small's shape" in text and "2 batches of 32 rows" in text
