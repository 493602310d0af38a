"""Measure the default profile's training step against the same step as others compute it.

    python -m scripts.bench_train_step [--shape small] [--rows 32] [--threads 1 --clock cpu] [--rounds 5]

One step is forward, loss and backward on one batch of the data that the profile trains on, with its frozen layers and
without dropout, of its encoder or of a random one of T5's shape. ``padded``: a plain transformers loop, one pass a
side, each padded to its own longest text, with this project's loss.
``sentence-transformers``: the same with that package's modules, called as its trainer calls them.
``released``: every text padded to 512 tokens and the loss in Python loops, as the published script does it (measured on
one batch). All take turns in one process. In float64 the gradients have to agree, else nothing is recorded.
The arithmetic of our step is counted too, and set against what a large matrix product reaches in the same run.
Writes ``experiments/own/bench/train_step.{json,md}``; ``--record experiments/bench/train_step`` records instead.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from one_embedder.config.compose import load_config
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.encoder.tokenize import TokenizedBatch
from one_embedder.errors import OneEmbedderError
from one_embedder.medi.batches.collate import ContrastiveBatch
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.training.module import InstructorModule
from scripts.bench_record import CLOCKS, origin, own_record, run
from scripts.shapes import SHAPES, chosen_encoder
from tests.reference.released_loss import released_loss

TOLERANCE = 1e-5
RELEASED_LENGTH = 512
PEAK_SIZE = 2048  # of the square matrices whose product stands for the peak

Loss = Callable[[ContrastiveBatch], Tensor]


def main() -> None:
    """Measure and write the record."""
    run(_parser(), bench, rendered)


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """The record: what was measured, on what, and with what."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows = [_row(with_instructions, arguments) for with_instructions in (True, False)]
    settings = {name: getattr(arguments, name) for name in ("shape", "batches", "rounds", "clock")}
    profile = load_config("train", _settings(arguments))
    settings |= {"rows": profile.sampler.global_batch_size, "frozen_layers": profile.optimizer.frozen_layers}
    return {
        "settings": settings | {"threads": torch.get_num_threads()},
        "peak_flops_per_s": round(_peak(CLOCKS[arguments.clock])),
        **origin(),
        "rows": rows,
    }


def _row(with_instructions: bool, arguments: argparse.Namespace) -> dict[str, Any]:
    cfg = load_config("train", [f"with_instructions={with_instructions}".lower(), *_settings(arguments)])
    encoder = chosen_encoder(cfg.encoder.name_or_path, arguments.shape)
    module = InstructorModule(encoder, cfg)
    data = MediDataModule(
        Path(cfg.medi.folder) / "medi",
        encoder.tokenizer.with_max_length(int(cfg.trainer.max_length or encoder.tokenizer.max_length)),
        sampler=cfg.sampler,
        with_instructions=with_instructions,
        seed=cfg.seed,
        instruction_detail=cfg.instruction_detail,
    )
    drawn = list(islice(iter(data.sampler()), arguments.batches))
    batches = [data.collator([data.medi.dataset[row] for row in rows]) for rows in drawn]
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    ours, padded = (_own(module, skip_padding=skip) for skip in (True, False))
    ways = {"ours": ours, "padded": padded, "sentence-transformers": _sentence_transformers(module)}
    module.double()  # in float32 rounding alone turns a unit on or off now and then, and with it a gradient
    distance = max(_distance(ours(batch), way(batch), weights) for way in ways.values() for batch in batches)
    module.float()
    if not distance <= TOLERANCE:
        raise OneEmbedderError(f"the gradients differ by {distance:.1e} of their length: not the same work")
    seconds = _seconds(ways, batches, weights, arguments.rounds, CLOCKS[arguments.clock])
    released = _seconds({"released": _released(module)}, batches[:1], weights, 1, CLOCKS[arguments.clock])
    sides = [side for batch in batches for side in (batch.query, batch.positive, batch.negative)]
    return {
        "with_instructions": with_instructions,
        "tokens": round(statistics.mean(batch.tokens for batch in batches)),
        "padded_tokens": round(sum(side.input_ids.numel() for side in sides) / len(batches)),
        "seconds": {name: round(statistics.median(each), 4) for name, each in (seconds | released).items()},
        "ratios": {
            name: [round(a / b, 3) for a, b in zip(seconds[name], seconds["ours"], strict=True)]
            for name in ways
            if name != "ours"
        },
        "released_ratio": round(released["released"][0] / seconds["ours"][0], 1),
        "gradient_distance": distance,
        "flops": round(statistics.mean(_flops(ours, batch, weights) for batch in batches)),
    }


def _settings(arguments: argparse.Namespace) -> list[str]:
    return [f"sampler.global_batch_size={arguments.rows}"] if arguments.rows else []


def _flops(way: Loss, batch: ContrastiveBatch, weights: list[Tensor]) -> int:
    """Multiplications and additions of a step's matrix products, as torch counts them: on a CPU without attention."""
    with FlopCounterMode(display=False) as counter:
        gradient(way(batch), weights)
    return counter.get_total_flops()


def _peak(clock: Callable[[], float], times: int = 5) -> float:
    """Operations a second of the fastest of some large matrix products."""
    one, other = torch.rand(2, PEAK_SIZE, PEAK_SIZE)
    seconds = []
    for _ in range(times):
        began = clock()
        torch.mm(one, other)
        seconds.append(clock() - began)
    return float(2 * PEAK_SIZE**3 / min(seconds))


def _seconds(
    ways: dict[str, Loss],
    batches: list[ContrastiveBatch],
    weights: list[Tensor],
    rounds: int,
    clock: Callable[[], float],
) -> dict[str, list[float]]:
    """Mean seconds of a step in each round; in every round all ways see every batch, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        spent = dict.fromkeys(ways, 0.0)
        for batch in batches:
            for name, loss in ways.items():
                began = clock()
                torch.autograd.grad(loss(batch), weights, allow_unused=True)
                spent[name] += clock() - began
        for name, total in spent.items():
            seconds[name].append(total / len(batches))
    return seconds


def _own(module: InstructorModule, *, skip_padding: bool) -> Loss:
    def loss(batch: ContrastiveBatch) -> Tensor:
        module.encoder.skip_padding = skip_padding
        return module.measure(module.embed(batch), batch).loss

    return loss


def _sentence_transformers(module: InstructorModule) -> Loss:
    """One call of the model a side, as that package's trainer does it, on the same weights, with our loss."""
    from sentence_transformers import SentenceTransformer

    with tempfile.TemporaryDirectory() as folder:
        save_encoder(module.encoder, Path(folder))
        peer = SentenceTransformer(folder, device="cpu").train(module.encoder.training)
    peer[0].model = module.encoder.backbone

    def embeddings(side: TokenizedBatch) -> Tensor:
        features = {"input_ids": side.input_ids, "attention_mask": side.attention_mask}
        lengths = (side.attention_mask - side.pooling_mask).sum(dim=1).unique()
        return peer(features | {"prompt_length": lengths})["sentence_embedding"]  # type: ignore[no-any-return]

    return lambda batch: module.measure([embeddings(side) for side in module.sides(batch)], batch).loss


def _released(module: InstructorModule) -> Loss:
    def loss(batch: ContrastiveBatch) -> Tensor:
        module.encoder.skip_padding = False
        sides = (_widened(side) for side in (batch.query, batch.positive, batch.negative))
        return released_loss(*(module.encoder(side) for side in sides), module.cfg.loss.temperature)

    return loss


def _widened(side: TokenizedBatch) -> TokenizedBatch:
    """Padded to the released script's length."""
    filler = torch.zeros(1, RELEASED_LENGTH, dtype=torch.int64)
    return TokenizedBatch.stacked([side, TokenizedBatch(filler, filler, filler)])[: len(side)]


def _distance(one: Tensor, other: Tensor, weights: list[Tensor]) -> float:
    """Between two gradients, as a share of the first one's length."""
    first, second = gradient(one, weights), gradient(other, weights)
    return float((first - second).norm() / first.norm())


def gradient(loss: Tensor, weights: list[Tensor]) -> Tensor:
    """All of it, as one vector; weights that the loss does not depend on are left out."""
    parts = torch.autograd.grad(loss, weights, allow_unused=True)
    return torch.cat([part.flatten() for part in parts if part is not None])


def rendered(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    from one_embedder.reproduction.show.grid import Grid

    settings, environment, hardware = record["settings"], record["environment"], record["hardware"]
    head = ["instructions", "tokens (padded)", "ours, s"]
    for way in ("padded", "sentence-transformers", "released"):
        head += [f"{way}, s", "times as fast"]
    head.append("share of the peak")
    body, peak = [], record["peak_flops_per_s"]
    for row in record["rows"]:
        seconds = row["seconds"]
        cells = ["with" if row["with_instructions"] else "without", f"{row['tokens']} ({row['padded_tokens']})"]
        cells.append(f"{seconds['ours']:.3f}")
        for way, ratios in row["ratios"].items():
            cells += [
                f"{seconds[way]:.3f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            ]
        cells += [f"{seconds['released']:.1f}", f"{row['released_ratio']:.0f}"]
        body.append([*cells, f"{100 * row['flops'] / seconds['ours'] / peak:.0f} %"])
    distance = max(row["gradient_distance"] for row in record["rows"])
    note = (
        f"Forward, loss and backward of {_named(settings['shape'])}, {settings['frozen_layers']} layers frozen, on "
        f"{settings['batches']} batches of {settings['rows']} rows of its data, "
        f"{settings['threads']} thread(s), {hardware['gpu'] or hardware['cpu']}; {settings['clock']} time, medians "
        f"(range) over {settings['rounds']} rounds in which the ways take turns; `released` on one batch. All but the "
        f"last have our loss, and in float64 gradients that differ by at most {distance:.0e} of their length. Share "
        "of the peak: what our step's matrix products, without those of attention, make of the "
        f"{peak / 1e9:.0f} billion operations a second that one of {PEAK_SIZE} x {PEAK_SIZE} reaches. "
        f"transformers {environment['transformers']}, sentence-transformers {environment['sentence-transformers']}, "
        f"torch {environment['torch']}, commit {str(record['code']['commit'])[:7]}. "
        "Written by scripts/bench_train_step.py."
    )
    return f"# Speed of a training step\n\n{note}\n\n{Grid(head, body).markdown()}\n"


def _named(shape: str | None) -> str:
    return "the default profile" if shape is None else f"a random encoder of T5-{shape}'s shape in the default profile"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("--shape", choices=SHAPES, help="a random encoder of T5's shape instead of the profile's")
    add("--rows", type=int, help="of a batch [the profile's]")
    add("--batches", type=int, default=16, help="[%(default)s]")
    add("--rounds", type=int, default=5, help="[%(default)s]")
    add("--threads", type=int, help="of torch [its own choice]")
    add("--clock", choices=CLOCKS, default="wall", help="cpu: the process's own seconds, for a busy CPU [%(default)s]")
    add("--record", type=Path, default=own_record("train_step"), help="where to write .json and .md [%(default)s]")
    return parser


if __name__ == "__main__":
    main()
