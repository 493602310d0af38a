"""What the batch size and the number of threads do to scores: nothing in float64, rounding in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.errors import ConfigError
from one_embedder.evaluation.benchmarks import TaskScore
from one_embedder.evaluation.run import evaluate, load_embedder
from tests.composed import composed
from tests.evaluation.conftest import configured, write_benchmark
from tests.training.tiny import tiny_encoder

DISCRETE = {"Clustering", "Classification"}
"""Fitted by steps that round-off can send another way."""


def scored(folder: Path, dtype: str, batch_size: int, threads: int) -> tuple[dict[str, TaskScore], np.ndarray]:
    """Scores by category, and embeddings of some texts."""
    cfg = configured(folder / "benchmark", folder / f"{dtype}-{batch_size}-{threads}")
    cfg.evaluation.batch_size = batch_size
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        embedder = InstructionEmbedder("minilm", dtype=dtype, device="cpu")
        texts = [f"text {'and so on ' * (row % 9)}{row}" for row in range(70)]
        embeddings = embedder.encode(texts, batch_size=batch_size)
        return {score.category: score for score in evaluate(cfg, embedder)}, embeddings
    finally:
        torch.set_num_threads(before)


def test_float64_is_a_setting_of_the_encoder_and_not_of_the_language_model(tmp_path: Path) -> None:
    save_encoder(tiny_encoder(), tmp_path / "tiny")
    cfg = composed("evaluate", ["evaluation.dtype=float64", f"encoder.name_or_path={tmp_path}/tiny"])
    embedder = load_embedder(cfg)
    assert isinstance(embedder, InstructionEmbedder)
    assert {weights.dtype for weights in embedder.encoder.parameters()} == {torch.float64}
    with pytest.raises(ConfigError, match=r"prompt_retrieval\.model\.dtype"):
        composed("evaluate", ["prompt_retrieval.model.dtype=float64"])


@pytest.mark.slow
def test_float64_scores_and_items_are_the_same_to_the_bit_in_any_batch_and_with_any_threads(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "benchmark")
    one, _ = scored(tmp_path, "float64", 7, 1)
    other, _ = scored(tmp_path, "float64", 64, 2)
    assert len(one) == 9
    for category, score in one.items():
        assert score.main_score == other[category].main_score, category
        assert score.items.to_json() == other[category].items.to_json(), category


@pytest.mark.slow
def test_float32_scores_are_the_same_to_a_millionth_but_where_a_fit_can_turn(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "benchmark")
    one, embeddings = scored(tmp_path, "float32", 7, 1)
    other, others = scored(tmp_path, "float32", 64, 2)
    assert 0 < np.abs(embeddings - others).max() < 1e-6, "batches and threads do round otherwise"
    assert len(one) == 9
    for category, score in one.items():
        bound = 0.05 if category in DISCRETE else 1e-6
        assert abs(score.main_score - other[category].main_score) <= bound, category
