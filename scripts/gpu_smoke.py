"""Minutes on any GPU: does it compute what the CPU computes, and how fast? `make gpu-smoke` calls this.

    python -m scripts.gpu_smoke [--encoder minilm | --shape large] [--rows 256] [--length 64] [--steps 20]

Texts are numpy's documentation, with an instruction. Measured are: embeddings and one training step
(loss, gradient) beside the CPU's, both in float32; the cosine between bfloat16 and float32 embeddings; real tokens per
second of encoding and of training, as the profile `paper` trains on a GPU (bf16-mixed); the share of the peak that a
matrix product reaches in the same run (MFU: 6 operations a parameter and token, attention's own left out); memory.
Without a GPU the same runs on the CPU in small, which compares the CPU with itself: it tests the script, not a machine.
Writes ``experiments/own/bench/gpu_smoke.json``; exit code 1 if a comparison is outside of its tolerance.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from one_embedder.config.schema import Config, LossConfig, OptimizerConfig
from one_embedder.encoder.device import find_device
from one_embedder.encoder.tokenize import InstructionTokenizer, TokenizedBatch
from one_embedder.errors import OneEmbedderError
from one_embedder.medi.batches.collate import ContrastiveBatch, ContrastiveCollator
from one_embedder.medi.store import ARROW_SCHEMA, FURTHER_COLUMNS
from one_embedder.training.module import InstructorModule
from scripts.bench_encode import INSTRUCTION
from scripts.bench_train_step import gradient
from scripts.shapes import SHAPES, chosen_encoder, operations

RECORD = Path(__file__).parent.parent / "experiments" / "own" / "bench" / "gpu_smoke.json"
COMPARED_ROWS = 8  # the CPU computes them too
TOLERANCES = {"embedding_difference": 1e-4, "loss_difference": 1e-3, "gradient_distance": 1e-2, "bf16_cosine": 0.98}
_HEAD, _CHARACTERS = 80, 800  # what is a query, and how long a text at least is
SIZES = {"cpu": {"rows": 8, "steps": 2, "matrix": 1024}, "cuda": {"rows": 256, "steps": 20, "matrix": 8192}}


def main() -> None:
    """Measure, write the record, tell."""
    arguments = _parser().parse_args()
    try:
        record = smoke(arguments)
    except OneEmbedderError as error:
        sys.exit(f"error: {error}")
    arguments.record.parent.mkdir(parents=True, exist_ok=True)
    arguments.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(told(record))
    sys.exit(1 if record["outside"] else 0)


def smoke(arguments: argparse.Namespace) -> dict[str, Any]:
    """The record: what was measured, on what, and with what.

    Raises:
        ConfigError: if there is no such device.
        CheckpointError: if there is no such encoder.
    """
    from one_embedder.tracking.machine import code_state, environment, hardware

    device = find_device(arguments.device)
    sizes = SIZES.get(device.type, SIZES["cuda"])
    rows, steps = arguments.rows or sizes["rows"], arguments.steps or sizes["steps"]
    module = InstructorModule(
        chosen_encoder(arguments.encoder, arguments.shape),
        Config(optimizer=OptimizerConfig(dropout=False), loss=LossConfig()),
    )
    batch = batch_of(module.encoder.tokenizer.with_max_length(arguments.length), rows)
    compared = comparisons(module, _first(batch, min(rows, COMPARED_ROWS)), device)
    speed = speeds(module.to(device), batch.to(device), steps, sizes["matrix"])
    return {
        "settings": {"encoder": arguments.shape or arguments.encoder, "rows": rows, "length": arguments.length,
                     "steps": steps, "device": device.type},
        "compares_cpu_with_itself": device.type == "cpu",
        "comparisons": compared,
        "outside": [name for name, value in compared.items() if not _is_within(name, value)],
        "speed": speed,
        "code": code_state(),
        "environment": environment() | {"cuda": torch.version.cuda},
        "hardware": hardware(),
    }  # fmt: skip


def batch_of(tokenizer: InstructionTokenizer, rows: int) -> ContrastiveBatch:
    """Summaries, their details as positives and others' as negatives; repeated where there are too few."""
    texts = [text for name in sorted(dir(np)) if len(text := str(getattr(np, name).__doc__)) > _CHARACTERS]
    texts = (texts * (rows // len(texts) + 1))[:rows]
    rows_of_medi = []
    for number, text in enumerate(texts):
        sides = {"query": text[:_HEAD], "pos": text[_HEAD:], "neg": texts[number - 1][_HEAD:]}
        row: dict[str, Any] = dict.fromkeys(ARROW_SCHEMA.names) | {name: [] for name in FURTHER_COLUMNS}
        row |= {"task_id": 0, "task_name": "documentation"}
        for side, part in sides.items():
            row |= {f"{side}_text": part, f"{side}_instruction": INSTRUCTION}
        rows_of_medi.append(row)
    return ContrastiveCollator(tokenizer, True)(rows_of_medi)


def comparisons(module: InstructorModule, batch: ContrastiveBatch, device: torch.device) -> dict[str, float]:
    """The device beside the CPU, in float32, and bfloat16 beside float32 on the device; the module stays on the CPU."""
    other = deepcopy(module).to(device)
    there = batch.to(device)
    with torch.no_grad():
        own, its = module.encoder(batch.query), other.encoder(there.query)
        with _bf16(device):
            rounded = other.encoder(there.query)
    own_loss, its_loss = (
        model.measure(model.embed(part), part).loss for model, part in ((module, batch), (other, there))
    )
    own_gradient = gradient(own_loss, list(module.parameters()))
    its_gradient = gradient(its_loss, list(other.parameters())).cpu()
    return {
        "embedding_difference": float((own - its.cpu()).abs().max()),
        "loss_difference": abs(own_loss.item() - its_loss.item()),
        "gradient_distance": float((own_gradient - its_gradient).norm() / own_gradient.norm()),
        "bf16_cosine": cosine_similarity(its.double(), rounded.double()).min().item(),
    }


def speeds(module: InstructorModule, batch: ContrastiveBatch, steps: int, matrix: int) -> dict[str, float | str | None]:
    """Real tokens per second, the share of the measured peak, and the most memory."""
    device = module.encoder.device
    on_gpu = device.type != "cpu"  # a CPU without bfloat16 would take a hundred times longer
    precision: Callable[[], AbstractContextManager[Any]] = (lambda: _bf16(device)) if on_gpu else torch.enable_grad
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-6)

    def train() -> None:
        with precision():
            loss = module.measure(module.embed(batch), batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def encode() -> None:
        with torch.no_grad(), precision():
            module.encoder(TokenizedBatch.stacked(module.sides(batch)))

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    training, encoding = (batch.tokens * steps / _seconds(work, steps, device) for work in (train, encode))
    peak = peak_operations(matrix, torch.bfloat16 if on_gpu else torch.float32, device)
    per_token = operations(module.encoder.backbone, 1)
    return {
        "precision": "bf16-mixed" if on_gpu else "32-true",
        "tokens_of_a_batch": batch.tokens,
        "training_tokens_per_s": round(training, 1),
        "encoding_tokens_per_s": round(encoding, 1),
        "peak_tflops_of_a_matrix_product": round(peak / 1e12, 3),
        "training_mfu": round(training * per_token / peak, 4),
        "encoding_mfu": round(encoding * per_token / 3 / peak, 4),  # a third of the operations are the forward pass's
        **_peak_memory(device),
    }


def peak_operations(size: int, dtype: torch.dtype, device: torch.device) -> float:
    """Operations per second of a product of square matrices, the best of five."""
    one, other = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    return 2.0 * size**3 / min(_seconds(lambda: one @ other, 1, device) for _ in range(5))


def told(record: dict[str, Any]) -> str:
    """The record as lines of text."""
    place = record["hardware"]["gpu"] or record["hardware"]["cpu"]
    head = f"{place}, torch {record['environment']['torch']}, {record['settings']}"
    if record["compares_cpu_with_itself"]:
        head += "\nno GPU: the CPU is compared with itself, in small; this tests the script, not a machine"
    lines = [
        f"  {name:24} {value:.6g}" + ("" if name not in record["outside"] else f"  OUTSIDE of {TOLERANCES[name]}")
        for name, value in record["comparisons"].items()
    ]
    return "\n".join([head, *lines, *(f"  {name:32} {value}" for name, value in record["speed"].items())]) + "\n"


def _first(batch: ContrastiveBatch, rows: int) -> ContrastiveBatch:
    return ContrastiveBatch(
        **{side: getattr(batch, side)[:rows] for side in ("query", "positive", "negative", "other_query")},
        texts=type(batch.texts)(*(numbers[:rows] for numbers in batch.texts)),
        labels=type(batch.labels)(*(numbers[:rows] for numbers in batch.labels)),
        task_id=batch.task_id,
        tokens=batch.tokens,
        truncation=batch.truncation,
    )


def _seconds(work: Callable[[], object], times: int, device: torch.device) -> float:
    """Of so many calls, after one that warms up."""
    work()
    _wait(device)
    began = time.perf_counter()
    for _ in range(times):
        work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _bf16(device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _peak_memory(device: torch.device) -> dict[str, float | None]:
    from one_embedder.tracking.machine import peak_memory_gib

    on_gpu = torch.cuda.max_memory_allocated(device) / 1024**3 if device.type == "cuda" else None
    return {"peak_gpu_gib": on_gpu and round(on_gpu, 3), "peak_memory_gib": peak_memory_gib()}


def _is_within(name: str, value: float) -> bool:
    return value >= TOLERANCES[name] if name == "bf16_cosine" else value <= TOLERANCES[name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("--encoder", default="minilm", help="minilm, a local folder or a hub id [%(default)s]")
    add("--shape", choices=SHAPES, help="a random encoder of T5's shape instead")
    add("--device", help="[the GPU if there is one]")
    add("--rows", type=int, help="of a batch [256; on a CPU 8]")
    add("--length", type=int, default=64, help="tokens of a text at most [%(default)s]")
    add("--steps", type=int, help="to time [20; on a CPU 2]")
    add("--record", type=Path, default=RECORD, help="where to write [experiments/own/bench/gpu_smoke.json]")
    return parser


if __name__ == "__main__":
    main()
