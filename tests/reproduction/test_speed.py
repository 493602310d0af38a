"""What pages say of speed is what the records beside them hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from one_embedder.errors import DataError
from one_embedder.reproduction.show.speed import recorded_speed, recorded_takes

HARDWARE = {"cpu": "some CPU", "cores": 2, "arithmetic": "torch 2, some CPU, AVX2, 1 threads"}
STEP = {
    "with_instructions": True,
    "ratios": {"padded": [1.5, 2.0, 1.8], "sentence-transformers": [1.9, 2.1, 2.0]},
    "released_ratio": 31.6,
}
RECORDS: dict[str, dict[str, Any]] = {
    "train_step_t5_small": {"settings": {"shape": "small"}, "rows": [STEP]},
    "encode": {  # as they were before other backends
        "settings": {"encoder": "minilm"},
        "rows": [{"texts": "short", "dtype": "float32", "ratio": 1.2, "ratio_least": 1.1, "ratio_most": 1.3}],
    },
    "large_batch": {
        "settings": {"rows": 1024},
        "loss": {"ours_s": 0.01, "loops_s": 20.0},
        "ratios": [1.25, 1.6, 1.0],
    },
}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    for name, record in RECORDS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record | {"hardware": HARDWARE}))
    return tmp_path


def test_every_comparison_is_a_line_with_the_range_of_its_rounds(records: Path) -> None:
    step = "| a training step, T5-small's shape, with instructions |"
    end = "| some CPU, AVX2, 1 thread |"
    assert recorded_speed(records).splitlines()[2:] == [
        f"{step} a plain transformers loop | 1.80 (1.50 to 2.00) {end} [train_step_t5_small](train_step_t5_small.md) |",
        f"{step} sentence-transformers' modules | 2.00 (1.90 to 2.10) {end} "
        "[train_step_t5_small](train_step_t5_small.md) |",
        f"{step} the released script's arithmetic | 32 {end} [train_step_t5_small](train_step_t5_small.md) |",
        "| `encode`, minilm, short texts, float32 | sentence-transformers, torch, float32 | 1.20 (1.10 to 1.30) "
        f"{end} [encode](encode.md) |",
        f"| the loss of 1,024 rows | the released script's loops | 2,000 {end} [large_batch](large_batch.md) |",
        "| the gradient of 1,024 rows, in chunks | at once | 0.80 (0.62 to 1.00) "
        f"{end} [large_batch](large_batch.md) |",
    ]


def test_a_record_that_cannot_be_read_is_named(records: Path) -> None:
    (records / "encode_onnx.json").write_text("{")
    with pytest.raises(DataError, match=r"encode_onnx.json: not a record of speed"):
        recorded_speed(records)


def test_what_a_fresh_clone_took_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "fresh_clone.json"
    assert recorded_takes(path) == "Not run."
    seconds = {"make setup": 150.0, "make reproduce-table1": 1530.0, "make reproduce-table1, again": 12.4}
    stages = {
        "data and benchmark": 150.0,
        "evaluate: a": 30.0,
        "train: b": 1000.0,
        "train: c": 280.0,
        "evaluate: b": 36.0,
    }
    path.write_text(json.dumps({"seconds": seconds, "stages": stages, "hardware": HARDWARE}))
    told = recorded_takes(path)
    assert "28 minutes after `git clone`" in told
    assert (
        "installation 2.5 minutes, the data 2.5, four evaluations 1.1, two trainings 21" in told
        and "12 seconds" in told
    )
