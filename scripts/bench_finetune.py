"""The three commands of docs/finetune.md on a file of pairs, and what they take.

    python -m scripts.bench_finetune pairs.jsonl "2,000 pairs of NL2Bash" [--record experiments/bench/finetune]

Each is a process of its own, with the page's settings and ``--seed``. The table of the third one, and the processor and
clock time of each, are written to ``RECORD.json`` and ``RECORD.md``. Clock times are upper bounds where other work has
the cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from one_embedder.reproduction.show.grid import Grid
from one_embedder.tracking.manifest import read_manifest
from scripts.bench_record import of_process, origin, own_record, run


def timed(*words: str) -> tuple[str, dict[str, float]]:
    """What ``one-embedder WORDS`` printed, and its processor and clock seconds."""
    said, took = of_process([sys.executable, "-m", "one_embedder", *words])
    return said, {"processor_s": round(took["cpu_s"], 1), "clock_s": round(took["wall_s"], 1)}


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """The page carried out, in a folder that is removed afterwards.

    Raises:
        OneEmbedderError: if a command failed.
    """
    with tempfile.TemporaryDirectory() as place:
        output = Path(place, "run")
        own = [
            "profile=own",
            f"medi.folder={place}/data",
            f"paths.experiments={place}",
            f"seed={arguments.seed}",
            "tracking=disabled",
        ]
        _, building = timed("build_medi", *own, f"medi.path={arguments.pairs.absolute()}")
        _, training = timed("train", *own, f"output={output}")
        models = ["minilm", f"mine={output / 'checkpoint'}"]
        table, comparing = timed("compare", *models, "--task", f"{place}/data/benchmark/test")
        manifest = read_manifest(output)
        (data,) = manifest["data"]
    return {
        "pairs": arguments.what,
        "rows": data["rows"],
        "data_sha256": data["sha256"],
        "run_id": manifest["run_id"],
        "seed": arguments.seed,
        "steps": manifest["cost"]["steps"],
        "table": table,
        "commands": {"build_medi": building, "train": training, "compare": comparing},
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "load_average": round(os.getloadavg()[1], 1),
        **origin(),
    }


def rendered(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    seconds = [[name, *(f"{value:.0f}" for value in took.values())] for name, took in record["commands"].items()]
    machine, code = record["hardware"], record["code"]
    return "\n".join([
        "# Finetuning on one's own pairs",
        "",
        f"The three commands of docs/finetune.md on {record['pairs']}: {record['rows']:,} pairs trained on, the others "
        f"held back; {record['steps']} steps, no instructions, seed {record['seed']} (run `{record['run_id']}`, data "
        f"`{record['data_sha256'][:12]}`).",
        "",
        f"```text\n{record['table']}```",
        "",
        Grid(["command", "processor time, s", "on the clock, s"], seconds).markdown(),
        "",
        f"{machine['cpu']}, {record['threads']} thread(s), {machine['cores']} cores; Python "
        f"{record['environment']['python']}, torch {record['environment']['torch']}; commit {code['commit'][:12]}"
        f"{' and changes' if code['dirty'] else ''}; load average {record['load_average']} at the end.",
        "",
    ])  # fmt: skip


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, help="a file as docs/finetune.md describes it")
    parser.add_argument("what", help="what the pairs are, in words")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, default=own_record("finetune"))
    run(parser, bench, rendered)


if __name__ == "__main__":
    main()
