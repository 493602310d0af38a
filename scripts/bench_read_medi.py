"""How long the reader takes for a file of the released size, and how much memory, beside ``json.load``.

    python scripts/make_medi_file.py /data/medi-data.json
    python -m scripts.bench_read_medi /data/medi-data.json /data/medi [--record experiments/bench/read_medi]

Three processes, one after the other: ``json.load`` of the file; ``build_medi``; and the start of training from what it
made, up to the first batch. Each one's wall time, CPU time and peak memory are written to ``RECORD.json`` and
``RECORD.md``. Wall times are upper bounds where other work has the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from one_embedder.errors import OneEmbedderError
from scripts.bench_record import of_process, origin, own_record, run

COLUMNS = ("wall_s", "cpu_s", "peak_gb", "data_wall_s", "data_cpu_s")
JSON_LOAD = "import json, sys; rows = json.load(open(sys.argv[1], encoding='utf-8')); assert len(rows) > 0"
FIRST_BATCH = """
import sys
import time
from pathlib import Path
from one_embedder.config.schema import SamplerConfig
from one_embedder.encoder.backbone import load_tokenizer
from one_embedder.encoder.locate import locate
from one_embedder.encoder.tokenize import InstructionTokenizer
from one_embedder.medi.batches.datamodule import MediDataModule
began, used = time.monotonic(), time.process_time()
tokenizer = InstructionTokenizer(load_tokenizer(locate("minilm")), 64)
data = MediDataModule(Path(sys.argv[1]) / "medi", tokenizer, sampler=SamplerConfig(), with_instructions=True, seed=0)
next(iter(data.train_dataloader()))
print(f"{time.monotonic() - began} {time.process_time() - used}")
"""


def measured(command: list[str]) -> dict[str, float]:
    """Seconds and peak resident GB of a process; and wall and CPU seconds that it printed of a part of its work.

    Raises:
        OneEmbedderError: it failed.
    """
    said, took = of_process(command)
    part = zip(("data_wall_s", "data_cpu_s"), map(float, said.split()), strict=False)
    found = {"wall_s": took["wall_s"], "cpu_s": took["cpu_s"], **dict(part)}
    return {name: round(value, 1) for name, value in found.items()} | {"peak_gb": round(took["peak_mb"] / 1000, 2)}


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """All three, with what is needed to judge them.

    Raises:
        OneEmbedderError: the output is built already, or a process failed.
    """
    file, output = arguments.file, arguments.output
    if (output / "build.json").exists():
        raise OneEmbedderError(f"{output} is built already; name a new folder")
    python = sys.executable
    build = [python, "-m", "one_embedder.build_medi", "medi=file", f"medi.path={file}", f"output={output}"]
    results = {
        "json.load": measured([python, "-c", JSON_LOAD, str(file)]),
        "build_medi": measured(build),
        "first batch, file hashed": measured([python, "-c", FIRST_BATCH, str(output)]),
        "first batch": measured([python, "-c", FIRST_BATCH, str(output)]),
    }
    found = origin()
    found["environment"] |= {name: version(name) for name in ("ijson", "pyarrow")}
    manifest = json.loads((output / "medi" / "manifest.json").read_text(encoding="utf-8"))
    return {
        "file_bytes": file.stat().st_size,
        "rows": manifest["rows"],
        "tasks": len(manifest["tasks"]),
        "sha256": manifest["sha256"],
        "results": results,
        "load_average": [round(value, 1) for value in os.getloadavg()],
        "niceness": os.nice(0),
        **found,
    }


def rendered(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    hardware, code = record["hardware"], record["code"]
    lines = [
        "# Reading a file of the released size",
        "",
        f"A made-up `medi-data.json` (`scripts/make_medi_file.py`): {record['file_bytes'] / 1e9:.2f} GB, "
        f"{record['rows']:,} rows, {record['tasks']} tasks.",
        "",
        "| | wall, s | CPU, s | peak memory, GB | of this, the data: wall, s | CPU, s |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {' | '.join(str(value.get(key, '')) for key in COLUMNS)} |"
            for name, value in record["results"].items()
        ),
        "",
        f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB; Python "
        f"{record['environment']['python']}, ijson {record['environment']['ijson']}, pyarrow "
        f"{record['environment']['pyarrow']}; commit {code['commit'][:12]}{' and changes' if code['dirty'] else ''}; "
        f"niceness {record['niceness']}, load average at the end {record['load_average'][1]} over five minutes: with "
        "other work on the cores, wall times are upper bounds.",
        "",
        "`first batch` is a whole process: imports, opening the data, the first batch of 32 rows tokenized; the last "
        "columns leave the imports out. The first such process after a build reads the data once to check their hash.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--record", type=Path, default=own_record("read_medi"))
    run(parser, bench, rendered)


if __name__ == "__main__":
    main()
