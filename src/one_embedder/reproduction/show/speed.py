"""Records of speed in short: how many times as fast ours is, and what the README's commands take."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from one_embedder.errors import DataError
from one_embedder.files.documents import read_json
from one_embedder.reproduction.show.grid import Grid

Record = Mapping[str, Any]
Line = tuple[str, str, str]
"""What is done, what it is compared with, and how many times as fast ours is."""


def recorded_speed(folder: Path) -> str:
    """A line for each comparison with another implementation, in the order of the records' names.

    Raises:
        DataError: if a record cannot be read.
    """
    rows = [
        [*line, _machine(record), f"[{name}]({name}.md)"]
        for prefix, lines in _LINES.items()
        for name, record in _read(folder, prefix)
        for line in lines(record)
    ]
    return Grid(["work", "compared with", "times as fast", "processor", "record"], rows).markdown()


def recorded_takes(path: Path) -> str:
    """What a fresh clone took until its table was there, and again.

    Raises:
        DataError: if the record cannot be read.
    """
    if not path.is_file():
        return "Not run."
    ((_, record),) = _read(path.parent, path.stem)
    seconds, stages = record["seconds"], record["stages"]
    setup, table, again = (seconds[name] for name in _COMMANDS)
    parts = {
        "the data": _sum(stages, "data"),
        "four evaluations": _sum(stages, "evaluate"),
        "two trainings": _sum(stages, "train"),
    }
    told = ", ".join(
        [f"installation {_minutes(setup)} minutes", *(f"{what} {_minutes(took)}" for what, took in parts.items())]
    )
    return (
        f"On {record['hardware']['cores']} cores ({_machine(record)}) the table was there "
        f"{_minutes(setup + table)} minutes after `git clone`: {told}. The same command again took {again:.0f} seconds."
    )


_COMMANDS = ("make setup", "make reproduce-table1", "make reproduce-table1, again")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f}" if seconds > 600 else f"{seconds / 60:.1f}"


def _sum(stages: Mapping[str, float], verb: str) -> float:
    return sum(seconds for name, seconds in stages.items() if name.startswith(verb))


def _read(folder: Path, prefix: str) -> Iterator[tuple[str, Record]]:
    for path in sorted(folder.glob(f"{prefix}*.json")):
        try:
            yield path.stem, dict(read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path}: not a record of speed ({error}); measure it again") from error


def _machine(record: Record) -> str:
    """The processor, its vector arithmetic and the threads, as far as the record tells."""
    hardware = record["hardware"]
    arithmetic = hardware.get("arithmetic") or f"torch, {hardware['cpu']}"
    return str(arithmetic).partition(", ")[2].replace("1 threads", "1 thread")


def _times(ratios: Sequence[float]) -> str:
    least, most = min(ratios), max(ratios)
    return f"{statistics.median(ratios):.2f} ({least:.2f} to {most:.2f})"


def _training_steps(record: Record) -> Iterator[Line]:
    shape = record["settings"].get("shape")
    encoder = "the default encoder" if shape is None else f"T5-{shape}'s shape"
    ways = {"padded": "a plain transformers loop", "sentence-transformers": "sentence-transformers' modules"}
    for row in record["rows"]:
        work = f"a training step, {encoder}, {'with' if row['with_instructions'] else 'without'} instructions"
        for way, ratios in row["ratios"].items():
            yield work, ways[way], _times(ratios)
        yield work, "the released script's arithmetic", f"{row['released_ratio']:.0f}"


def _encoding(record: Record) -> Iterator[Line]:
    peer = record.get("peer", {"backend": "torch", "dtype": "float32"})
    shape = record["settings"].get("shape")
    encoder = record["settings"]["encoder"] if shape is None else f"T5-{shape}'s shape"
    for row in record["rows"]:
        yield (
            f"`encode`, {encoder}, {row['texts']} texts, {row['dtype']}",
            f"sentence-transformers, {peer['backend']}, {peer['dtype']}",
            f"{row['ratio']:.2f} ({row['ratio_least']:.2f} to {row['ratio_most']:.2f})",
        )


def _large_batch(record: Record) -> Iterator[Line]:
    rows, loss = record["settings"]["rows"], record["loss"]
    yield f"the loss of {rows:,} rows", "the released script's loops", f"{loss['loops_s'] / loss['ours_s']:,.0f}"
    yield f"the gradient of {rows:,} rows, in chunks", "at once", _times([1 / ratio for ratio in record["ratios"]])


_LINES: Mapping[str, Callable[[Record], Iterator[Line]]] = {
    "train_step": _training_steps,
    "encode": _encoding,
    "large_batch": _large_batch,
}
"""How the names of records begin -> what is told of them."""
