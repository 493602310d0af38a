"""How time and memory grow: with texts, their length, rows of a batch, texts of a task to mine, rows to draw from.

    python -m scripts.bench_scaling [--rounds 3] [--only encode_texts mine_texts]

Each size of each quantity is measured in a process of its own on one thread: processor time, the median over the
rounds, and how far the process's peak memory rises above what the smallest size had needed to warm up. The exponent is
the slope of the logarithms: 1 means that twice as many take twice as long. Texts and embeddings are made up.
Writes ``experiments/own/bench/scaling.{json,md,svg}``; ``--record experiments/bench/scaling`` records instead.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from one_embedder.config.compose import load_config
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import load_encoder
from one_embedder.instructions.template import Instruction
from one_embedder.medi.batches.collate import ContrastiveCollator
from one_embedder.medi.batches.sampler import SameTaskBatchSampler
from one_embedder.medi.mining.candidates import LabelTask
from one_embedder.medi.mining.rules import mine
from one_embedder.training.loss import Sides
from one_embedder.training.module import InstructorModule
from one_embedder.training.objective import InstructorLoss
from scripts.bench_record import of_process, origin, own_record, peak_mb, write_record

DIMENSION = 384
WORDS = ("array", "model", "table", "time", "value", "path", "server", "tree", "color", "price", "water", "city")
TASKS = 330

Work = Callable[[], object]


@dataclass(frozen=True)
class Quantity:
    """Something that grows, and what is done with so much of it.

    Attributes:
        label: of the work, for readers.
        unit: of the sizes.
        sizes: ascending; the first also warms up.
        beyond: a size to say the time for, by the exponent.
        prepare: size -> the work to be timed.
    """

    label: str
    unit: str
    sizes: tuple[int, ...]
    beyond: int
    prepare: Callable[[int], Work]


def texts(count: int, words: int) -> list[str]:
    """Different texts of so many words, each a single token of MiniLM's."""
    rng = random.Random(0)
    return [" ".join(rng.choices(WORDS, k=words)) for _ in range(count)]


def encode_texts(count: int) -> Work:
    """``encode`` of so many texts of thirty words."""
    embedder, given = InstructionEmbedder("minilm", device="cpu"), texts(count, 30)
    return lambda: embedder.encode(given, show_progress_bar=False)


def encode_length(words: int) -> Work:
    """``encode`` of 64 texts of so many words."""
    embedder, given = InstructionEmbedder("minilm", device="cpu"), texts(64, words)
    return lambda: embedder.encode(given, show_progress_bar=False)


def step_rows(rows: int) -> Work:
    """The default profile's training step, forward and backward, of so many rows of three texts of thirty words."""
    cfg = load_config("train")
    encoder = load_encoder(cfg.encoder.name_or_path)
    module = InstructorModule(encoder, cfg)
    sides = iter(texts(3 * rows, 30))
    keys = [f"{side}_{part}" for side in ("query", "pos", "neg") for part in ("instruction", "text")]
    row = {"task_id": 0, "label": None, "neg_label": None, "further_neg_label": []}
    row |= {"further_neg_instruction": [], "further_neg_text": []}
    made = [
        row | {key: "Represent the sentence: " if "instruction" in key else next(sides) for key in keys}
        for _ in range(rows)
    ]
    batch = ContrastiveCollator(encoder.tokenizer, with_instructions=True)(made)
    return lambda: module.measure(module.embed(batch), batch).loss.backward()


def loss_rows(rows: int) -> Work:
    """The loss alone of so many rows, forward and backward."""
    query, positive, negative = normalize(torch.randn(3, rows, DIMENSION, generator=torch.manual_seed(0)), dim=-1)
    loss = InstructorLoss(mask_same_text=False, mask_same_label=False)

    return lambda: loss(Sides(query.clone().requires_grad_(), positive, negative)).loss.backward()


def mine_texts(count: int) -> Work:
    """Rows of a task of so many texts in ten classes, their embeddings given."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((count, DIMENSION), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    items = tuple((f"text {number}", f"class {number % 10}") for number in range(count))
    task = LabelTask("made up", Instruction(text_type="sentence", objective="classification"), items)
    embeddings = {text: row for (text, _), row in zip(items, rows, strict=True)}
    return lambda: mine(task, 0, embeddings, limit=count)


def draw_rows(rows: int) -> Work:
    """One pass of batches of one task each over so many rows of as many tasks as MEDI has."""
    tasks = np.sort(np.random.default_rng(0).integers(0, TASKS, rows))

    def work() -> None:
        for _ in SameTaskBatchSampler(tasks, 32):
            pass

    return work


QUANTITIES = {
    "encode_texts": Quantity("encode", "texts of 30 words", (128, 256, 512, 1024, 2048), 1_000_000, encode_texts),
    "encode_length": Quantity("encode 64 texts", "words each", (16, 32, 64, 128, 240), 240, encode_length),
    "step_rows": Quantity("training step", "rows", (8, 16, 32, 64, 128), 1_024, step_rows),
    "loss_rows": Quantity("loss alone", "rows", (128, 256, 512, 1024, 2048), 8_192, loss_rows),
    "mine_texts": Quantity("mining a task", "texts", (500, 1_000, 2_000, 4_000, 8_000), 100_000, mine_texts),
    "draw_rows": Quantity("a pass of batches", "rows", (20_000, 80_000, 320_000, 1_280_000), 10_000_000, draw_rows),
}


def main() -> None:
    """Measure and write the record, or measure one size for the process that does."""
    arguments = _parser().parse_args()
    if arguments.size:
        torch.set_num_threads(1)
        (name,) = arguments.only
        sys.stdout.write(json.dumps(measured(QUANTITIES[name], arguments.size, arguments.rounds)))
        return
    found = {}
    for name in arguments.only or QUANTITIES:
        sizes = QUANTITIES[name].sizes
        found[name] = [in_own_process(name, size, arguments.rounds) for size in sizes]
    record = {"rounds": arguments.rounds, **origin(), "quantities": found}
    write_record(arguments.record, record, rendered(record))
    arguments.record.with_suffix(".svg").write_text(drawn(record), encoding="utf-8")


def in_own_process(name: str, size: int, rounds: int) -> dict[str, float]:
    """What ``measured`` gives, computed in a new process."""
    command = [sys.executable, "-m", "scripts.bench_scaling", "--only", name]
    said, _ = of_process([*command, "--size", str(size), "--rounds", str(rounds)])
    found: dict[str, float] = json.loads(said)
    return found


def measured(quantity: Quantity, size: int, rounds: int) -> dict[str, float]:
    """Seconds of processor time, and MB beyond those of warming up."""
    quantity.prepare(quantity.sizes[0])()
    before = peak_mb()
    work, seconds = quantity.prepare(size), []
    for _ in range(rounds):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return {"size": size, "seconds": statistics.median(seconds), "more_mb": peak_mb() - before}


def exponent(rows: list[dict[str, float]]) -> float:
    """The slope of log seconds over log size."""
    sizes, seconds = (np.log([row[key] for row in rows]) for key in ("size", "seconds"))
    return float(np.polyfit(sizes, seconds, 1)[0])


def rendered(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    from one_embedder.reproduction.show.grid import Grid

    body = []
    for name, rows in record["quantities"].items():
        quantity, last, slope = QUANTITIES[name], rows[-1], exponent(rows)
        beyond = last["seconds"] * (quantity.beyond / last["size"]) ** exponent(rows[-2:])
        cells = [f"{last['seconds']:.3g}", f"{last['more_mb']:,.0f}", f"{slope:.2f}"]
        far = (
            f"{quantity.beyond:,}: {beyond:,.{0 if beyond >= 100 else 1}f} s" if quantity.beyond > last["size"] else "-"
        )
        body.append([f"{quantity.label}, {quantity.unit}", f"{rows[0]['size']:,} to {last['size']:,}", *cells, far])
    head = ["what, of how many", "sizes", "seconds of the largest", "MB more", "exponent", "extrapolated"]
    environment, hardware = record["environment"], record["hardware"]
    note = (
        f"One thread, {hardware['cpu']}; processor time, medians of {record['rounds']} rounds, each size in a process "
        "of its own. MB more: peak memory beyond that of the smallest size. Exponent: the slope of the logarithm of "
        "the seconds over that of the sizes; the last column goes on by that of the two largest and was not measured. "
        f"torch {environment['torch']}, transformers {environment['transformers']}, commit "
        f"{str(record['code']['commit'])[:7]}. Written by scripts/bench_scaling.py."
    )
    return f"# How time and memory grow\n\n{note}\n\n{Grid(head, body).markdown()}\n\n![growth](scaling.svg)\n"


def drawn(record: dict[str, Any]) -> str:
    """Seconds and MB over size, all logarithmic, a row of panels for each quantity, as an SVG file."""
    from matplotlib.figure import Figure

    from one_embedder.reproduction.show.figures import SERIES, svg_file

    found = record["quantities"]
    figure = Figure(figsize=(6.4, 0.4 + 1.5 * len(found)), layout="constrained")
    panels = figure.subplots(len(found), 2, squeeze=False)
    for (name, rows), pair in zip(found.items(), panels, strict=True):
        for panel, key, color, label in zip(pair, ("seconds", "more_mb"), SERIES, ("seconds", "MB more"), strict=False):
            panel.loglog([row["size"] for row in rows], [max(row[key], 1e-4) for row in rows], "o-", color=color)
            panel.set(ylabel=label, xlabel=QUANTITIES[name].unit)
            panel.set_title(QUANTITIES[name].label, fontsize=9)
    return svg_file(figure, "scaling")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="[%(default)s]")
    add("--only", nargs="+", choices=QUANTITIES, help="some of the quantities")
    add("--size", type=int, help=argparse.SUPPRESS)
    add("--record", type=Path, default=own_record("scaling"), help="where to write .json, .md, .svg [%(default)s]")
    return parser


if __name__ == "__main__":
    main()
