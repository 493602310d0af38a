from __future__ import annotations

import pytest

from one_embedder.config.schema import Config
from one_embedder.medi.batches.strategies import TaskShare
from one_embedder.training.plan import batch_facts, start_report


def config(**loss: object) -> Config:
    cfg = Config()
    cfg.sampler.global_batch_size = 8
    for key, value in loss.items():
        setattr(cfg.loss, key, value)
    return cfg


@pytest.mark.parametrize(
    ("loss", "negatives", "candidates", "queries"),
    [
        ({}, 1, 5, 4),
        ({"gather_negatives": True}, 1, 9, 8),
        ({"spelling": "paper"}, 1, 8, 4),
        ({"spelling": "paper", "gather_negatives": True}, 1, 16, 8),
        ({"spelling": "paper", "gather_negatives": True, "bidirectional": False}, 3, 32, 0),
        ({"bidirectional": False}, 3, 13, 0),
    ],
)
def test_facts_count_candidates_by_spelling_direction_negatives_and_devices(
    loss: dict[str, object], negatives: int, candidates: int, queries: int
) -> None:
    facts = batch_facts(config(**loss), 2, negatives)
    assert (facts["global"], facts["per_device"]) == (8, 4)
    assert (facts["candidates_per_query"], facts["queries_per_positive"]) == (candidates, queries)


def test_the_plan_tells_chunks_accumulation_direction_and_what_learns() -> None:
    cfg = config(bidirectional=False, learn_temperature=True, gather_negatives=True)
    cfg.trainer.mini_batch_size, cfg.trainer.accumulate_grad_batches, cfg.trainer.max_steps = 2, 4, 10
    shares = [TaskShare(task_id=1, rows=42, batches=5, left_out=2)]
    plan = start_report(cfg, shares, {1: "toy"}, facts=batch_facts(cfg, 2), world_size=2)
    assert "9 candidates per query, one direction only (loss released, temperature 0.01, learned)" in plan
    assert "2 texts embedded at a time" in plan
    assert "steps: 10 x 4 batches a step = 8.00 epochs of 5 batches" in plan
