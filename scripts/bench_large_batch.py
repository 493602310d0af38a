"""Measure what a large batch costs: the loss alone, and its gradient with and without ``trainer.mini_batch_size``.

    python -m scripts.bench_large_batch [--rows 256] [--mini-batch 32] [--rounds 5]

``loss``: ours against the released script's loops over pairs, of random embeddings, forward only.
``gradient``: of the default profile's encoder and data, of all rows at once and with cached gradients. Each is computed
in a process of its own, in turn, whose peak memory is read before and after. Both have to agree.
Writes ``experiments/own/bench/large_batch.{json,md}``; ``--record experiments/bench/large_batch`` records instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from one_embedder.config.compose import load_config
from one_embedder.encoder.checkpoint import load_encoder
from one_embedder.errors import OneEmbedderError
from one_embedder.medi.batches.collate import ContrastiveBatch
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.training.grad_cache import cached_backward
from one_embedder.training.loss import Sides
from one_embedder.training.module import InstructorModule
from one_embedder.training.objective import InstructorLoss
from scripts.bench_record import of_process, origin, own_record, peak_mb, run
from tests.reference.released_loss import released_loss

DIMENSION = 384
TOLERANCE = 1e-4
WAYS = ("plain", "cached")
NAMES = {"plain": "of all rows at once", "cached": "cached, {} texts at a time"}


def main() -> None:
    """Measure and write the record, or compute one gradient for the process that does."""
    torch.set_num_threads(1)
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.way:
        sys.stdout.write(json.dumps(_one_gradient(arguments)))
    else:
        run(parser, bench, rendered)


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """The record: what was measured, on what, and with what.

    Raises:
        OneEmbedderError: if the gradients differ, or a process failed.
    """
    loss = _loss_alone(arguments.rows, arguments.rounds)
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for way in WAYS:
                rounds[way].append(_in_own_process(way, Path(folder), arguments))
        plain, cached = (torch.load(Path(folder) / f"{way}.pt", weights_only=True) for way in WAYS)
    distance = float((plain - cached).norm() / plain.norm())
    if not distance <= TOLERANCE:
        raise OneEmbedderError(f"the gradients differ by {distance:.1e} of their length: not the same work")
    ratios = [b["seconds"] / a["seconds"] for a, b in zip(rounds["plain"], rounds["cached"], strict=True)]
    return {
        "settings": {name: getattr(arguments, name) for name in ("rows", "mini_batch", "rounds", "frozen")}
        | {"threads": 1},
        "loss": loss,
        "gradient": {way: {key: _median(found, key) for key in found[0]} for way, found in rounds.items()},
        "ratios": [round(ratio, 3) for ratio in ratios],
        "gradient_distance": distance,
        **origin(),
    }


def _loss_alone(rows: int, rounds: int) -> dict[str, float]:
    """Seconds of processor time, and how far the two values differ."""
    query, positive, negative = normalize(torch.randn(3, rows, DIMENSION, generator=torch.manual_seed(0)), dim=-1)
    ours = InstructorLoss(temperature=0.05, mask_same_text=False, mask_same_label=False)
    sides = Sides(query, positive, negative)
    with torch.no_grad():
        seconds = []
        for _ in range(rounds):
            began = time.process_time()
            value = ours(sides).loss
            seconds.append(time.process_time() - began)
        began = time.process_time()
        literal = released_loss(query, positive, negative, 0.05)
        loops = time.process_time() - began
    difference = abs(float(value) - float(literal))
    return {"ours_s": statistics.median(seconds), "loops_s": loops, "difference": difference}


def _in_own_process(way: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "scripts.bench_large_batch", "--way", way, "--gradient", str(folder / f"{way}.pt")]
    for name in ("rows", "mini_batch", "frozen"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    found: dict[str, float] = json.loads(of_process(command)[0])
    return found


def _one_gradient(arguments: argparse.Namespace) -> dict[str, float]:
    """Compute and save it; seconds of processor time, and MB before and at the most."""
    module, first_rows = _prepared(arguments.frozen)
    batch = first_rows(arguments.rows)
    _backward(module, first_rows(arguments.mini_batch), None)  # pays for what only a first time costs
    module.zero_grad()
    before, began = peak_mb(), time.process_time()
    _backward(module, batch, arguments.mini_batch if arguments.way == "cached" else None)
    seconds, peak = time.process_time() - began, peak_mb()
    gradients = [weight.grad.flatten() for weight in module.parameters() if weight.grad is not None]
    torch.save(torch.cat(gradients), arguments.gradient)
    return {"seconds": seconds, "before_mb": before, "peak_mb": peak}


def _prepared(frozen: int) -> tuple[InstructorModule, Callable[[int], ContrastiveBatch]]:
    """The default profile's model with instructions, and what makes a batch of the first rows of its data."""
    settings = ["with_instructions=true", "sampler.strategy=mixed", f"optimizer.frozen_layers={frozen}"]
    cfg = load_config("train", settings)
    encoder = load_encoder(cfg.encoder.name_or_path)
    data = MediDataModule(
        Path(cfg.medi.folder) / "medi",
        encoder.tokenizer.with_max_length(int(cfg.trainer.max_length or encoder.tokenizer.max_length)),
        sampler=cfg.sampler,
        with_instructions=True,
        seed=cfg.seed,
    )
    return InstructorModule(encoder, cfg), lambda count: data.collator(list(data.medi.dataset.select(range(count))))


def _backward(module: InstructorModule, batch: ContrastiveBatch, mini_batch: int | None) -> None:
    """Add the gradient of the loss of all rows, at once or ``mini_batch`` texts at a time."""
    passes, apart = module.passes(batch)

    def loss(embeddings: Sequence[Tensor]) -> Tensor:
        return module.measure(apart(embeddings), batch).loss

    def backward(share: Tensor, _: bool = True) -> None:
        torch.autograd.backward(share)

    if mini_batch is None:
        backward(loss([module.encoder(texts) for texts in passes]))
    else:
        cached_backward(module.encoder, passes, mini_batch, loss=loss, backward=backward)


def _median(found: Sequence[dict[str, float]], key: str) -> float:
    return round(statistics.median(each[key] for each in found), 2)


def rendered(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    from one_embedder.reproduction.show.grid import Grid

    settings, environment, hardware = record["settings"], record["environment"], record["hardware"]
    loss, ratios = record["loss"], record["ratios"]
    body = []
    for way, found in record["gradient"].items():
        added = f"{found['peak_mb'] - found['before_mb']:,.0f}"
        body.append([NAMES[way].format(settings["mini_batch"]), f"{found['seconds']:.1f}", added])
    note = (
        f"{settings['rows']:,} rows of the default profile as one batch, with instructions, {settings['frozen']} "
        f"layers frozen, a repeated text embedded once; one thread, {hardware['gpu'] or hardware['cpu']}. Processor "
        f"time, and peak memory beyond that of {settings['mini_batch']} rows: medians over {settings['rounds']} rounds "
        f"in which both take turns. The gradients differ by {record['gradient_distance']:.0e} of their length. "
        f"torch {environment['torch']}, commit {str(record['code']['commit'])[:7]}. "
        "Written by scripts/bench_large_batch.py."
    )
    told = (
        f"Cached, the gradient takes {statistics.median(ratios):.2f} times as long ({min(ratios):.2f} to "
        f"{max(ratios):.2f}).\n\nThe loss alone of {settings['rows']:,} rows, without its gradient, takes "
        f"{1e3 * loss['ours_s']:.1f} ms. The released script's loops over pairs take {loss['loops_s']:,.0f} s, "
        f"{loss['loops_s'] / loss['ours_s']:,.0f} times as long, and give the same value to {loss['difference']:.0e}."
    )
    grid = Grid(["gradient", "seconds", "MB more"], body)
    return f"# A large batch\n\n{note}\n\n{grid.markdown()}\n\n{told}\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("--rows", type=int, default=256, help="of the batch [%(default)s]")
    add(
        "--mini-batch",
        type=int,
        default=32,
        help="texts of a chunk; as many rows are the memory that both begin with [%(default)s]",
    )
    add("--rounds", type=int, default=5, help="[%(default)s]")
    add("--frozen", type=int, default=0, help="lowest layers that do not learn [%(default)s]")
    add("--record", type=Path, default=own_record("large_batch"), help="where to write .json and .md [%(default)s]")
    add("--way", choices=WAYS, help=argparse.SUPPRESS)
    add("--gradient", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
