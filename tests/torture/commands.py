"""The commands that are killed, small enough for seconds each, and what of their results our readers take for whole."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np

from one_embedder import build_medi, encode, evaluate, train
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.evaluation.results import read_result
from one_embedder.medi.sources.assembly import DONE
from one_embedder.medi.sources.documentation import build as documentation
from one_embedder.medi.store import load_medi, write_medi
from one_embedder.tracking.manifest import METRICS, is_complete, read_manifest
from one_embedder.training.run import CHECKPOINT
from scripts.make_medi_file import write_medi_file
from tests.evaluation.conftest import write_benchmark
from tests.medi.made_up import made_up
from tests.medi.toy import toy_rows
from tests.torture.record_surfaces import MODEL
from tests.training.tiny import tiny_encoder

_REPEATABLE = ("loss", "accuracy", "gradient_norm", "learning_rate")


@dataclass(frozen=True)
class Command:
    """A command that makes something in a folder.

    Attributes:
        run: runs it; the first folder is the result's, the second holds what it reads.
        whole: name of a part -> digest of it, of all that is taken for whole in the result's folder.
    """

    run: Callable[[Path, Path], None]
    whole: Callable[[Path], Mapping[str, str]]


def write_sources(folder: Path) -> None:
    """Write what the commands read."""
    write_medi_file(folder / "medi.json", rows=2_000)
    write_medi(toy_rows({1: 17, 2: 14, 3: 2}), folder / "data" / "medi", about={})
    save_encoder(tiny_encoder(), folder / "encoder")
    write_benchmark(folder / "benchmark")
    (folder / "texts.txt").write_text("".join(f"text number {number} of many\n" for number in range(600)))


def _run(verb: ModuleType, *words: object) -> None:
    sys.argv = [f"{verb.__name__}", *map(str, words)]
    verb.main()


def _build(folder: Path, sources: Path) -> None:
    _run(build_medi, "medi=file", f"medi.path={sources / 'medi.json'}", f"output={folder / 'data'}", *_places(folder))


def _build_documentation(folder: Path, sources: Path) -> None:
    """Of a made-up package each for training, dev and test, mined with the tiny encoder."""
    sides = {"alpha": ("train", "data"), "beta": ("dev", "toy"), "gamma": ("test", "toy")}
    objects = [each for package, (side, domain) in sides.items() for each in made_up(package, side, domain)]
    own = [f"encoder.name_or_path={MODEL}", "medi.rows_per_task=40", f"output={folder / 'data'}"]
    with mock.patch.object(documentation, "extract", lambda packages, workers: objects):
        _run(build_medi, "medi=documentation", *own, *_places(folder))


def _built(folder: Path) -> dict[str, str]:
    data = folder / "data"
    if not (data / DONE).is_file():
        return {}
    load_medi(data / "medi")  # a folder with this file is whole: all that is in it must be
    files = (path for path in sorted(data.rglob("*")) if path.is_file() and not _tells_of_time(path))
    return {str(path.relative_to(data)): _digest(path.read_bytes()) for path in files}


def _tells_of_time(path: Path) -> bool:
    return path.name == DONE or path.name.startswith(".")


def _train(folder: Path, sources: Path) -> None:
    _run(train, *_training(sources), f"output={folder / 'run'}", *_places(folder))


def _sweep(folder: Path, sources: Path) -> None:
    _run(train, "--multirun", "seed=0,1", *_training(sources), *_places(folder))


def _training(sources: Path) -> list[str]:
    return [
        *("debug=fast", "trainer.max_steps=12", "trainer.checkpoint_every_n_steps=3", "trainer.max_length=16"),
        *("sampler.global_batch_size=4", "optimizer.frozen_layers=0", "optimizer.dropout=true"),
        *(f"encoder.name_or_path={sources / 'encoder'}", f"medi.folder={sources / 'data'}"),
    ]


def _trained(folder: Path) -> dict[str, str]:
    runs = [folder / "run", *sorted((folder / "experiments" / "runs").glob("*"))]
    found = {}
    for run in runs:
        if is_complete(run):
            found[f"{run.name}: weights"] = _digest((run / CHECKPOINT / "model.safetensors").read_bytes())
            found[f"{run.name}: losses"] = _digest((run / "task_losses.csv").read_bytes())
            found[f"{run.name}: curve"] = _digest(repr(_curve(run)).encode())
            outcome = read_manifest(run)["outcome"]["metrics"]
            found[f"{run.name}: outcome"] = _digest(repr([outcome[name] for name in _REPEATABLE]).encode())
    return found


def _curve(run: Path) -> dict[str, list[str]]:
    """Step -> what was logged last of it and is the same each time."""
    with (run / METRICS).open(encoding="utf-8") as file:
        return {row["step"]: [row[name] for name in _REPEATABLE] for row in csv.DictReader(file)}


def _evaluate(folder: Path, sources: Path) -> None:
    own = [f"encoder.name_or_path={MODEL}", "benchmark=folder", f"benchmark.root={sources / 'benchmark'}"]
    _run(evaluate, *own, "instructions=generic", f"output={folder / 'results'}", *_places(folder))


def _evaluated(folder: Path) -> dict[str, str]:
    output = folder / "results"
    found = {}
    for path in sorted((output / "results").glob("*.json")):
        score = read_result(output, path.stem).score
        found[path.stem] = _digest(f"{score.main_score!r} {score.items.to_json()}".encode())
    return found | ({"all": "complete"} if is_complete(output) else {})


def _encode(folder: Path, sources: Path) -> None:
    own = ["--encoder", MODEL, "--chunk-size", 64, "--device", "cpu"]
    _run(encode, sources / "texts.txt", folder / "made.npy", *own)


def _encoded(folder: Path) -> dict[str, str]:
    made = folder / "made.npy"
    if not made.is_file():
        return {}
    assert len(np.load(made)) == json.loads((folder / "made.npy.json").read_text())["rows"]
    return {path.name: _digest(path.read_bytes()) for path in (made, folder / "made.npy.json")}


def _places(folder: Path) -> list[str]:
    return [f"paths.experiments={folder / 'experiments'}", "tracking=disabled", f"hydra.sweep.dir={folder / 'sweep'}"]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


COMMANDS: Mapping[str, Command] = {
    "build_medi, a file": Command(_build, _built),
    "build_medi, documentation": Command(_build_documentation, _built),
    "train": Command(_train, _trained),
    "evaluate": Command(_evaluate, _evaluated),
    "encode": Command(_encode, _encoded),
    "train, a sweep of two": Command(_sweep, _trained),
}
"""By what the table calls them."""


def import_all() -> None:
    """Import what the commands import late, so that no fork has to."""
    import torch

    import one_embedder.config.entry
    import one_embedder.embedding.encode_file
    import one_embedder.evaluation.run
    import one_embedder.evaluation.scoring
    import one_embedder.medi.build
    import one_embedder.medi.sources.file.build
    import one_embedder.training.run  # noqa: F401
    from one_embedder.config.compose import load_config

    torch.set_num_threads(1)
    load_config("train", [])  # Hydra imports its plugins


def unlike(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What is not as in an undisturbed run."""
    return sorted(name for name, digest in found.items() if expected.get(name) != digest)
