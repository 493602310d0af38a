"""A made-up file of the size and shape of the released ``medi-data.json``, to measure the reader with.

    python scripts/make_medi_file.py FILE [--rows 1435000] [--seed 0]

One JSON list without line breaks, grouped by task: 329 task ids (302 is missing), thirty of them large, the others of
about 600 rows; some instructions are empty; the texts are words drawn at random, as long as in the released file on
average (2.5 GB for 1,435,000 rows). The same arguments write the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROWS = 1_435_000
TASK_IDS = [number for number in range(1, 331) if number != 302]
LARGE_TASKS = 30
SMALL_TASK_ROWS = 600
SOUP_WORDS = 400_000
# Of query, positive and negative: mean characters in a task lie between these, evenly on a logarithmic scale.
MEAN_CHARACTERS = {"query": (40, 600), "pos": (60, 2800), "neg": (60, 2800)}


def write_medi_file(path: Path, rows: int = ROWS, seed: int = 0) -> None:
    """Write the file.

    Args:
        path: replaced if it exists.
        rows: at least two a task.
        seed: of the texts and sizes.
    """
    rng = random.Random(seed)
    soup = _soup(rng)
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, row in enumerate(_rows(rows, soup, rng)):
            file.write((", " if number else "") + json.dumps(row))
        file.write("]")


def task_sizes(rows: int) -> dict[int, int]:
    """Task id -> rows, which add up to ``rows``."""
    small = min(SMALL_TASK_ROWS, rows // len(TASK_IDS))
    left = rows - small * (len(TASK_IDS) - LARGE_TASKS)
    shares = [left // LARGE_TASKS + (number < left % LARGE_TASKS) for number in range(LARGE_TASKS)]
    return {task: shares[number] if number < LARGE_TASKS else small for number, task in enumerate(TASK_IDS)}


def _rows(rows: int, soup: str, rng: random.Random) -> Iterator[dict[str, Any]]:
    for task, count in task_sizes(rows).items():
        lengths = {side: low * (high / low) ** rng.random() for side, (low, high) in MEAN_CHARACTERS.items()}
        instruction = "" if task % 40 == 0 else f"Represent the made-up text of task {task} for retrieval;"
        for _ in range(count):
            yield {
                **{side: [instruction, _text(soup, mean, rng)] for side, mean in lengths.items()},
                "task_id": task,
            }


def _text(soup: str, mean: float, rng: random.Random) -> str:
    start = rng.randrange(len(soup) // 2)
    text = soup[start : start + 8 + int(rng.expovariate(1 / mean))]
    return text.strip() or "nothing"


def _soup(rng: random.Random) -> str:
    """Words of two to eleven letters; now and then a letter outside ASCII, a quotation mark or a line break."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    weights = [1 / (1 + rank) for rank in range(len(letters))]
    words = ["".join(rng.choices(letters, weights, k=rng.randint(2, 11))) for _ in range(20_000)]
    words += [f"{word}é" for word in words[:100]] + [f'"{word}"' for word in words[100:200]] + ["\n"] * 20
    return " ".join(rng.choices(words, k=SOUP_WORDS))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_medi_file(arguments.file, arguments.rows, arguments.seed)


if __name__ == "__main__":
    main()
