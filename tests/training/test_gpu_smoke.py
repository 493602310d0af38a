"""The smoke test for GPUs runs on a CPU in small, measures, and notices where a device computes something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from one_embedder.encoder.checkpoint import save_encoder
from scripts import gpu_smoke, shapes
from scripts.gpu_smoke import COMPARED_ROWS, TOLERANCES, batch_of, comparisons, told
from scripts.shapes import GTR, Step, estimates, kept_bytes, matrix_parameters, operations, shaped
from tests.medi.toy import instruction_tokenizer
from tests.training.tiny import tiny_encoder


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:  # type: ignore[type-arg]
    save_encoder(tiny_encoder("bert"), tmp_path / "tiny")
    monkeypatch.setitem(gpu_smoke.SIZES, "cpu", {"rows": 4, "steps": 1, "matrix": 64})
    path = tmp_path / "bench" / "record.json"
    command = ["gpu_smoke", "--encoder", tmp_path / "tiny", "--device", "cpu", "--length", "16", "--record", path]
    monkeypatch.setattr("sys.argv", [str(word) for word in command])
    with pytest.raises(SystemExit) as ended:
        gpu_smoke.main()
    assert ended.value.code == 0
    return json.loads(path.read_text())


def test_on_a_cpu_all_is_measured_and_recorded_as_a_comparison_with_itself(record: dict) -> None:  # type: ignore[type-arg]
    assert record["compares_cpu_with_itself"] and "compared with itself" in told(record)
    assert record["comparisons"].keys() == TOLERANCES.keys() and record["outside"] == []
    assert record["comparisons"]["gradient_distance"] == 0.0 and 0.98 < record["comparisons"]["bf16_cosine"] < 1
    speed = record["speed"]
    assert speed["precision"] == "32-true" and speed["peak_gpu_gib"] is None and speed["peak_memory_gib"] > 0
    assert min(speed["training_tokens_per_s"], speed["encoding_tokens_per_s"], speed["training_mfu"]) > 0
    assert record["code"].keys() >= {"commit"} and record["environment"]["torch"] and record["hardware"]["cores"]


def test_tokens_are_counted_without_padding() -> None:
    batch = batch_of(instruction_tokenizer(), 12)
    sides = (batch.query, batch.positive, batch.negative)
    assert batch.tokens == sum(int(side.attention_mask.sum()) for side in sides)
    assert len(batch) == 12 and COMPARED_ROWS < 12


def test_a_device_that_computes_something_else_is_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    from one_embedder.config.schema import Config, OptimizerConfig
    from one_embedder.training.module import InstructorModule

    module = InstructorModule(tiny_encoder("bert"), Config(optimizer=OptimizerConfig(dropout=False)))
    other = InstructorModule(tiny_encoder("bert"), Config(optimizer=OptimizerConfig(dropout=False)))
    with torch.no_grad():
        next(p for name, p in other.named_parameters() if "layer.1.output.dense.weight" in name).mul_(1.5)
    monkeypatch.setattr(gpu_smoke, "deepcopy", lambda _: other)
    compared = comparisons(module, batch_of(instruction_tokenizer(), 8), torch.device("cpu"))
    assert not any(gpu_smoke._is_within(name, value) for name, value in compared.items() if name != "bf16_cosine")
    assert not gpu_smoke._is_within("bf16_cosine", 0.9) and not gpu_smoke._is_within("loss_difference", float("nan"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_from_shapes_is_the_memory_of_numbers(dtype: torch.dtype) -> None:
    small = {"d_model": 64, "d_ff": 128, "d_kv": 16, "num_heads": 4, "num_layers": 2, "vocab_size": 100}
    meta, real = (kept_bytes(shaped("base", device, **small).to(dtype), 3, 32) for device in ("meta", "cpu"))
    assert meta == pytest.approx(real, rel=0.25), "the CPU fuses attention"
    assert kept_bytes(shaped("base", **small), 6, 32) > 1.9 * kept_bytes(shaped("base", **small), 3, 32)


def test_operations_count_every_matrix_and_no_embedding() -> None:
    backbone = shaped("base", num_layers=1)
    attention, feed_forward, norms = 4 * 768 * 768, 2 * 768 * 3072, 3 * 768
    assert matrix_parameters(backbone) == attention + feed_forward + norms
    assert operations(backbone, 10) == 60 * matrix_parameters(backbone)


def test_the_documented_estimates_are_what_the_script_prints(project_root: Path) -> None:
    page = (project_root / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert estimates(Step(rows=4, length=512), steps=20000).markdown() in page
    assert f"{shapes.ACHIEVED / 1e12:.0f} TFLOP/s" in page and set(GTR) == {"base", "large", "xl"}


@pytest.mark.parametrize(("device", "waits"), [("cpu", 0), ("cuda", 1), ("mps", 1)])
def test_a_clock_waits_for_every_device_that_computes_on_its_own(
    device: str, waits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    gpu_smoke._wait(torch.device(device))
    assert waited == [torch.device(device)] * waits
