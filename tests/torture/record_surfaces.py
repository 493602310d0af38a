"""What runs write and later ones read: results, manifests, expected values, tables; and settings and models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.results import TaskScore, read_result, write_result
from one_embedder.evaluation.task_instructions import InstructionTable
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.instructions.table import written_out
from one_embedder.medi.row import MediRow
from one_embedder.medi.store import load_medi, write_medi
from one_embedder.reproduction.ablation.record import read_record
from one_embedder.reproduction.table1.expected import read_expected
from one_embedder.reproduction.table1.published import load_published
from one_embedder.reproduction.table1.record import read_table1
from one_embedder.tracking.manifest import is_complete, read_manifest
from tests.torture.surface import Surface

EXPERIMENTS = PROJECT_ROOT / "experiments"
MODEL = PROJECT_ROOT / "tests" / "parity" / "tiny_instructor"
MODEL_FILES = (
    "config.json", "modules.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
)  # fmt: skip


def _model(folder: Path) -> Any:
    from one_embedder.embedding.embedder import InstructionEmbedder
    from one_embedder.embedding.prompts import read_prompts

    read_prompts(folder)
    return InstructionEmbedder(str(folder)).encode("a text", "Represent it: ").tolist()


def _files_of_model() -> dict[str, Any]:
    found = {name: (MODEL / name).read_bytes() for name in MODEL_FILES}
    small = {name: json.loads(content) for name, content in found.items() if name.endswith(".json")}
    settings = {
        "config_sentence_transformers.json": {"prompts": {"ask": "Represent it: "}, "default_prompt_name": None}
    }
    return found | small | settings


def result_files(folder: Path) -> dict[str, Any]:
    """A result and its items, as an evaluation writes them."""
    items = ItemScores("mean", {"value": [0.25, 0.5, 1.0]}, ("a", "b", "c"))
    score = TaskScore("Small", "Classification", "accuracy", items.score(), items)
    fields = {"task_name": "Small", "scores": {"test": [{"main_score": items.score(), "accuracy": items.score()}]}}
    write_result(folder, fields, score, {"data_sha256": "0" * 64, "encoder_revision": "r", "protocol": 2})
    names = ("results/Small.json", "items/Small.json")
    return {name: json.loads((folder / name).read_text()) for name in names}


def _result(folder: Path) -> Any:
    return read_result(folder, "Small").score.main_score


def _manifest(folder: Path) -> Any:
    is_complete(folder, "a run")
    return read_manifest(folder)


def _table(folder: Path) -> Any:
    from one_embedder.reproduction.show.readme import recorded_averages, recorded_table

    record = read_table1(folder / "documentation.json")
    expected = read_expected(folder / "expected.yaml")
    return None if expected is None else (recorded_averages((record, expected)), recorded_table((record, expected)))


def _training_data(folder: Path) -> Any:
    return [dict(row) for row in load_medi(folder / "medi").dataset]


def training_data_files(folder: Path) -> dict[str, Any]:
    """Training data as a build leaves them."""
    pair = ("Represent it: ", "the river")
    write_medi([MediRow(1, "one", pair, pair, pair) for _ in range(4)], folder / "medi", about={})
    return {
        f"medi/{path.name}": json.loads(path.read_text()) if path.suffix == ".json" else path.read_bytes()
        for path in (folder / "medi").iterdir()
    }


def _instructions(folder: Path) -> Any:
    """As they stand in a configuration file that Hydra read."""
    table = yaml.safe_load((folder / "table.yaml").read_text())
    return InstructionTable("table", written_out(table)).for_task("Small", "Retrieval")


def made(build: Any) -> dict[str, Any]:
    """What a function writes into a folder."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        return dict(build(Path(name)))


MANIFEST = {
    "schema": 1, "run_id": "a run", "name": "train", "status": "completed", "data": [{"name": "medi", "sha256": "0"}],
    "config": {"sha256": "0", "resolved": "config.yaml"}, "model": {"base": "minilm"}, "outcome": {"metrics": {}},
}  # fmt: skip

SURFACES = (
    Surface("result", made(result_files), _result, lines=False),
    Surface("manifest", {"manifest.yaml": yaml.safe_dump(MANIFEST).encode()}, _manifest),
    Surface("manifest as JSON", {"manifest.yaml": MANIFEST}, _manifest, lines=False),
    Surface("training data on disk", made(training_data_files), _training_data, lines=False),
    Surface(
        "expected values",
        {"expected.yaml": yaml.safe_load((EXPERIMENTS / "expected/table1_documentation.yaml").read_text())},
        lambda folder: read_expected(folder / "expected.yaml") and read_expected(folder / "expected.yaml").lines(),
        lines=False,
    ),
    Surface(
        "recorded table",
        {
            "documentation.json": json.loads((EXPERIMENTS / "table1/documentation.json").read_text()),
            "expected.yaml": yaml.safe_load((EXPERIMENTS / "expected/table1_documentation.yaml").read_text()),
        },
        _table,
        lines=False,
    ),
    Surface(
        "recorded ablation",
        {"documentation.json": json.loads((EXPERIMENTS / "ablations/temperature/documentation.json").read_text())},
        lambda folder: read_record(folder / "documentation.json"),
        lines=False,
    ),
    Surface(
        "published numbers",
        {"paper.yaml": (EXPERIMENTS / "expected/paper_table2.yaml").read_bytes()},
        lambda folder: load_published(folder / "paper.yaml"),
    ),
    Surface("model", _files_of_model(), _model, lines=False),
)
