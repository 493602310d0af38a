"""Measure ``encode`` against sentence-transformers, on the same folder and the same texts.

    python -m scripts.bench_encode [--shape small] [--short FILE:FIELD --long FILE:FIELD] [--threads 1 --clock cpu]
    python -m scripts.bench_encode --peer-python PYTHON --peer-backend openvino

Both encode the short texts, the long ones and a mix of the two, with one instruction and one batch size, turn and turn
about, so that whatever else the machine does falls on both. Without files the texts are an installed
package's documentation, which is there for everybody. Both compute in float32 unless told; ``--dtypes float32
bfloat16`` adds ours in bfloat16, at which processors without arithmetic for it are very slow. The embeddings have to be
equal, those of bfloat16 nearly so, else nothing is recorded.
Its backends onnx and openvino need other versions than this project has, so they run in an environment of their own,
whose Python is given; texts and embeddings then pass between two processes, which is in the peer's time (milliseconds).
Writes ``experiments/own/bench/encode.{json,md}``; ``--record experiments/bench/encode`` records instead.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from subprocess import PIPE, Popen
from textwrap import wrap
from typing import Any

import numpy as np
import torch

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.embedding.records import RecordFile
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.errors import DataError, OneEmbedderError
from scripts.bench_record import CLOCKS, origin, own_record, run
from scripts.shapes import SHAPES, chosen_encoder

INSTRUCTION = "Represent the sentence for retrieval: "
TOLERANCE = 1e-5
LEAST_COSINE = {"float32": 1 - TOLERANCE, "bfloat16": 0.995}
_PACKAGE = "networkx"
_LONG_CHARACTERS = 1200  # about the 256 tokens that MiniLM takes

Encode = Callable[[list[str]], np.ndarray]


def main() -> None:
    """Measure and write the record."""
    run(_parser(), bench, rendered)


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """The record: what was measured, on what, and with what.

    Raises:
        DataError: if a file of texts cannot be read or holds too few.
        OneEmbedderError: if the two give different embeddings, or ours would be compared with less exact ones.
    """
    if arguments.peer_dtype == "bfloat16" and arguments.dtypes != ["bfloat16"]:
        raise OneEmbedderError("--peer-dtype bfloat16 needs --dtypes bfloat16: float32 does other work")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    short = _texts(arguments.short, arguments.texts, "short")
    long = _texts(arguments.long, max(2, arguments.texts // 8), "long")
    sources = {"short": arguments.short or _PACKAGE, "long": arguments.long or _PACKAGE}
    settings = {name: getattr(arguments, name) for name in ("encoder", "shape", "batch_size", "rounds", "clock")}
    record = {
        "settings": settings | {"threads": torch.get_num_threads(), "instruction": INSTRUCTION},
        "sources": {kind: "/".join(Path(source).parts[-2:]) for kind, source in sources.items()},
        "texts_sha256": hashlib.sha256("\0".join(short + long).encode()).hexdigest(),
        **origin(),
    }
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "model"
        save_encoder(chosen_encoder(arguments.encoder, arguments.shape), folder)
        ours = own_encoders(folder, arguments.batch_size, arguments.dtypes)
        with peer(arguments, folder) as (theirs, versions):
            rows = [
                {"texts": kind, "dtype": dtype}
                | compared(texts, encode, theirs, arguments.rounds, CLOCKS[arguments.clock], dtype)
                for dtype, encode in ours.items()
                for kind, texts in {"short": short, "long": long, "mixed": mixed(short, long)}.items()
            ]
    return record | {"peer": versions, "rows": rows}


def own_encoders(folder: Path, batch_size: int, dtypes: Sequence[str]) -> dict[str, Encode]:
    """Our ``encode`` by dtype, reading an encoder's folder."""

    def ours(dtype: str) -> Encode:
        embedder = InstructionEmbedder(folder, dtype=dtype)
        return lambda texts: embedder.encode(texts, INSTRUCTION, batch_size=batch_size, show_progress_bar=False)

    return {dtype: ours(dtype) for dtype in dtypes}


@contextmanager
def peer(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[Encode, dict[str, str]]]:
    """sentence-transformers on ``folder``, with its backend, dtype and versions.

    Raises:
        OneEmbedderError: another backend than torch has no environment, cannot load the folder there, or is to be
            timed by this process's clock.
    """
    told = {"backend": arguments.peer_backend, "dtype": arguments.peer_dtype}
    if arguments.peer_backend == "torch":
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), model_kwargs={"dtype": arguments.peer_dtype})
        settings: Any = {"batch_size": arguments.batch_size, "show_progress_bar": False}
        names = ("sentence-transformers", "transformers", "torch")
        yield (
            lambda texts: np.asarray(model.encode(texts, prompt=INSTRUCTION, **settings)),
            told | {name: version(name) for name in names},
        )
        return
    if arguments.peer_python is None or arguments.clock != "wall":
        raise OneEmbedderError(f"--peer-backend {arguments.peer_backend} needs --peer-python and --clock wall")
    if (arguments.peer_backend, arguments.peer_dtype) == ("onnx", "bfloat16"):
        raise OneEmbedderError("--peer-backend onnx computes in float32 here; leave out --peer-dtype")
    with _PeerProcess(arguments, folder) as process:
        yield process.encode, told | process.versions


class _PeerProcess:
    """``scripts/encode_peer.py`` in another environment."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        command = [arguments.peer_python, str(Path(__file__).with_name("encode_peer.py")), str(folder)]
        command += [arguments.peer_backend, arguments.peer_dtype, str(torch.get_num_threads())]  # as many as ours
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # of this environment
        self._process = Popen(command, stdin=PIPE, stdout=PIPE, text=True, env=kept)
        self._rows, self._batch_size = folder.parent / "rows.npy", arguments.batch_size
        self.versions: dict[str, str] = json.loads(self._answer())

    def __enter__(self) -> _PeerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def encode(self, texts: list[str]) -> np.ndarray:
        """Embed there, and read the embeddings here."""
        asked = {"texts": texts, "prompt": INSTRUCTION, "batch_size": self._batch_size, "file": str(self._rows)}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        self._answer()
        return np.asarray(np.load(self._rows))

    def _answer(self) -> str:
        if self._process.stdout is None or not (line := self._process.stdout.readline()):
            raise OneEmbedderError(f"the peer's process ended with {self._process.wait()}; it says above why")
        return line


def compared(
    texts: list[str], ours: Encode, theirs: Encode, rounds: int, clock: Callable[[], float], dtype: str = "float32"
) -> dict[str, float]:
    """Seconds of each (medians over the rounds), texts a second, and how many times as fast ours is.

    The ratio is the median over the rounds of theirs to ours, the two of a round being neighbours in time.

    Raises:
        OneEmbedderError: if the embeddings differ.
    """
    own_rows, other_rows = ours(texts), theirs(texts)  # warms both up, too
    difference, cosine = float(np.abs(own_rows - other_rows).max()), float((own_rows * other_rows).sum(axis=1).min())
    if not (cosine >= LEAST_COSINE[dtype] and (dtype != "float32" or difference <= TOLERANCE)):
        raise OneEmbedderError(f"the embeddings differ by {difference:.1e}: the two do not do the same work")
    seconds: dict[Encode, list[float]] = {ours: [], theirs: []}
    for number in range(rounds):
        for encode in (ours, theirs) if number % 2 == 0 else (theirs, ours):
            began = clock()
            encode(texts)
            seconds[encode].append(clock() - began)
    ratios = [other / own for own, other in zip(seconds[ours], seconds[theirs], strict=True)]
    own, other = statistics.median(seconds[ours]), statistics.median(seconds[theirs])
    return {
        "count": len(texts),
        "characters": round(statistics.mean(map(len, texts))),
        "ours_seconds": round(own, 4),
        "theirs_seconds": round(other, 4),
        "ours_texts_per_second": round(len(texts) / own, 2),
        "theirs_texts_per_second": round(len(texts) / other, 2),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_least": round(min(ratios), 3),
        "ratio_most": round(max(ratios), 3),
        "largest_difference": difference,
        "least_cosine": cosine,
    }


def mixed(short: Sequence[str], long: Sequence[str]) -> list[str]:
    """Half of the short and half of the long texts, a long one after every so many short ones."""
    short, long = short[: len(short) // 2], long[: len(long) // 2]
    step = len(short) / len(long)
    parts = [[*short[round(n * step) : round((n + 1) * step)], text] for n, text in enumerate(long)]
    return [text for part in parts for text in part]


def rendered(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    from one_embedder.reproduction.show.grid import Grid

    settings, other, hardware = record["settings"], record["peer"], record["hardware"]
    head = [
        "texts",
        "number",
        "characters",
        "ours in",
        "ours, texts/s",
        "peer, texts/s",
        "times as fast",
        "least cosine",
    ]
    body = [
        [
            row["texts"],
            f"{row['count']}",
            f"{row['characters']}",
            row["dtype"],
            f"{row['ours_texts_per_second']:.4g}",
            f"{row['theirs_texts_per_second']:.4g}",
            f"{row['ratio']:.2f} ({row['ratio_least']:.2f} to {row['ratio_most']:.2f})",
            f"{row['least_cosine']:.4f}",
        ]
        for row in record["rows"]
    ]
    versions = ", ".join(f"{name} {found}" for name, found in other.items() if name not in ("backend", "dtype"))
    note = (
        f"{_named(settings)}; the peer is sentence-transformers in {other['dtype']}, backend "
        f"{other['backend']} ({versions}); batches of "
        f"{settings['batch_size']}, {settings['threads']} thread(s), {hardware['gpu'] or hardware['cpu']}; "
        f"{settings['clock']} time, medians (range) over "
        f"{settings['rounds']} rounds in which the two take turns. Texts: {record['sources']['short']} (short), "
        f"{record['sources']['long']} (long), and half of each (mixed). Ours: torch {record['environment']['torch']}, "
        f"commit {str(record['code']['commit'])[:7]}. Written by scripts/bench_encode.py."
    )
    return f"# Speed of encode\n\n{note}\n\n{Grid(head, body).markdown()}\n"


def _named(settings: dict[str, Any]) -> str:
    shape, name = settings["shape"], settings["encoder"]
    return f"Encoder `{name}`" if shape is None else f"A random encoder of T5-{shape}'s shape, tokenizer `{name}`"


def _texts(source: str | None, most: int, kind: str) -> list[str]:
    """The first texts of a file, given as FILE:FIELD, or of the package's documentation."""
    if source is None:
        found = _documentation(kind)
    else:
        path, colon, field = source.rpartition(":")
        if not colon:
            raise DataError(f"{source}: name the field that has the texts too, as in FILE:FIELD")
        records = (record.text.strip() for record in RecordFile(Path(path), text_field=field))
        found = list(islice((text for text in records if text), most))  # only one of the two would strip
    if len(found) < 2:
        raise DataError(f"{source or _PACKAGE} has {len(found)} {kind} texts, too few to measure")
    return found[:most]


def _documentation(kind: str) -> list[str]:
    from one_embedder.medi.sources.documentation.extract import extract
    from one_embedder.medi.sources.documentation.packages import PACKAGES

    objects = extract([package for package in PACKAGES if package.name == _PACKAGE], workers=1)
    if kind == "short":
        return [item.summary for item in objects]
    return wrap(" ".join(f"{item.summary} {item.details}" for item in objects), _LONG_CHARACTERS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("--encoder", default="minilm", help="minilm, a local folder or a hub id [%(default)s]")
    add("--shape", choices=SHAPES, help="a random encoder of T5's shape instead, with its tokenizer")
    add("--short", metavar="FILE:FIELD", help=f"short texts (.jsonl, .csv, ...) [summaries of {_PACKAGE}]")
    add("--long", metavar="FILE:FIELD", help=f"long texts [docstrings of {_PACKAGE}, joined]")
    add("--texts", type=int, default=512, help="short texts; an eighth of them long ones [%(default)s]")
    add("--batch-size", type=int, default=32, help="[%(default)s]")
    add("--rounds", type=int, default=7, help="[%(default)s]")
    add("--threads", type=int, help="of torch [its own choice]")
    add("--clock", choices=CLOCKS, default="wall", help="cpu: the process's own seconds, for a busy CPU [%(default)s]")
    add("--dtypes", nargs="+", choices=tuple(LEAST_COSINE), default=["float32"], help="of ours [float32]")
    add("--peer-backend", choices=("torch", "onnx", "openvino"), default="torch", help="[%(default)s]")
    add("--peer-dtype", choices=tuple(LEAST_COSINE), default="float32", help="[%(default)s]")
    add("--peer-python", metavar="PYTHON", help="of an environment with sentence-transformers and that backend")
    add("--record", type=Path, default=own_record("encode"), help="where to write .json and .md [%(default)s]")
    return parser


if __name__ == "__main__":
    main()
