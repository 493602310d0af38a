"""A build is repeated when what it makes would change, and only then.

The code enters a build's key as ``BUILD_VERSION``. ``BUILT`` records what that version makes of small inputs, so that a
change of what is built cannot be committed under the old number unnoticed; ``MUTATIONS`` shows that the record sees it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from one_embedder.config.schema import Config, EncoderConfig, MediConfig, MiningConfig
from one_embedder.embedding import embedder as embedder_module
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.instructions.template import Instruction
from one_embedder.medi import row as record
from one_embedder.medi.build import build
from one_embedder.medi.mining import leakage, miner
from one_embedder.medi.mining import rules as mining
from one_embedder.medi.mining.miner import Miner, mining_settings
from one_embedder.medi.sources import build_key as key_module
from one_embedder.medi.sources import mixture, report
from one_embedder.medi.sources.documentation import build as documentation
from one_embedder.medi.sources.documentation import extract as extraction
from one_embedder.medi.sources.documentation import text as documentation_text
from one_embedder.medi.sources.documentation import training_tasks
from one_embedder.medi.sources.documentation.packages import PACKAGES, Package
from one_embedder.medi.sources.file import build as file
from one_embedder.medi.sources.hub import build as hub_build
from one_embedder.medi.sources.hub import formats
from one_embedder.medi.sources.own import build as own
from one_embedder.medi.sources.super_ni import tasks as super_ni
from one_embedder.medi.store import load_medi
from tests.composed import composed
from tests.hub import StandInHub
from tests.medi.made_up import NOUNS, VERBS, made_up
from tests.medi.test_documentation import SOURCE
from tests.medi.test_full import write_lines
from tests.medi.toy import compact_super_ni, full, sentiment, toy_rows, view_rows, view_set, write_rows, write_view_set

BUILT = {
    1: {
        "documentation": "d7ade2af04ae503aabcefb15e08a5a9b62573b83c9e8bc7975516fcbc7b32b26",
        "super_ni": "aae9a140bc3c799478050b8ddfc3621c8d06b5497e331d1e4ba9318fbc8c452b",
        "mixture": "1ba4766afbc9e09fc5f0e42b6ac92ffe94b17ef63aa921e724c2d43d66bc03c9",
        "full": "6bf85e6a6b5c5aab29d336060b9ca0d9f45b063820c967a38a4779e3457461ec",
        "file": "8ad3d423119ceb0725fc4f399c8347dc13fe6ed6bf888b3a9bb6bd4f28f28b7d",
        "own": "5896f132584f07bf8cbbe2ee06444267bd0f9711eab5efdb1aeb7fb9d25605b3",
    },
    2: {
        "documentation": "d7ade2af04ae503aabcefb15e08a5a9b62573b83c9e8bc7975516fcbc7b32b26",
        "super_ni": "aae9a140bc3c799478050b8ddfc3621c8d06b5497e331d1e4ba9318fbc8c452b",
        "mixture": "1ba4766afbc9e09fc5f0e42b6ac92ffe94b17ef63aa921e724c2d43d66bc03c9",
        "full": "6bf85e6a6b5c5aab29d336060b9ca0d9f45b063820c967a38a4779e3457461ec",
        "file": "8ad3d423119ceb0725fc4f399c8347dc13fe6ed6bf888b3a9bb6bd4f28f28b7d",
        "own": "882c99f0a6b4f7451680b57c24d0ee15af66da6e04e58b6079cb2f27be693b8b",
    },
    3: {
        "documentation": "d7ade2af04ae503aabcefb15e08a5a9b62573b83c9e8bc7975516fcbc7b32b26",
        "super_ni": "25cd44ad68156e497eaf41d7c71878a5031638139d82a8d5317d85b32738e6cf",
        "mixture": "1ba4766afbc9e09fc5f0e42b6ac92ffe94b17ef63aa921e724c2d43d66bc03c9",
        "full": "6bf85e6a6b5c5aab29d336060b9ca0d9f45b063820c967a38a4779e3457461ec",
        "file": "8ad3d423119ceb0725fc4f399c8347dc13fe6ed6bf888b3a9bb6bd4f28f28b7d",
        "own": "882c99f0a6b4f7451680b57c24d0ee15af66da6e04e58b6079cb2f27be693b8b",
    },
}
"""Version -> source -> hash of what it builds; older versions stay, to show that the number was raised."""

SOURCES = ("documentation", "super_ni", "mixture", "full", "file", "own")
MODULES = (documentation, mixture, hub_build, file, own)
VERSIONS = {"numpy": "0.0"}
MANUAL = {  # Python's own differs between its versions
    noun: "\n\n".join([f"The {noun}\n****", *(f"To {verb} a {noun} takes as long as it takes." for verb in VERBS)])
    for noun in NOUNS
}
SEEN = ("The lamp number 2 pleased us.", "query 3 with some more words", "q0_1 q0 never seen")  # in the benchmark


class Embedder:
    """Stands in for the miner's encoder: a unit vector from the text and from everything that mining asks for."""

    calls = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._settings = f"{args} {sorted(kwargs.items())}"

    def encode(self, texts: list[str], **kwargs: Any) -> np.ndarray:
        Embedder.calls += 1
        digests = [hashlib.blake2b(f"{self._settings} {text}".encode()).digest() for text in texts]
        vectors = np.stack([np.random.default_rng(list(digest[:8])).normal(size=4) for digest in digests])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def config_of(tmp_path: Path, hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Config]:
    """Source -> a configuration that builds little from it; no reports are written."""
    objects = made_up("alpha", "train", "data")[:60] + made_up("beta", "test", "toy")[:30]
    monkeypatch.setattr(documentation, "extract", lambda packages, workers: objects)
    monkeypatch.setattr(documentation, "package_versions", lambda: VERSIONS)  # learning them takes half a second
    monkeypatch.setattr(training_tasks.topics, "topics", MANUAL)
    monkeypatch.setattr(embedder_module, "InstructionEmbedder", Embedder)
    monkeypatch.setattr(report.Report, "write", lambda *args: None)
    rows = [{"text": text, "label": 1} for text in SEEN]
    write_rows(tmp_path / "tasks" / "eval" / "Classification" / "Toy" / "test.jsonl.gz", rows)

    def of(source: str) -> Config:
        match source:
            case "documentation":
                cfg = Config()
            case "super_ni":
                cfg = _super_ni(tmp_path)
            case "mixture":
                cfg = _mixture(tmp_path)
            case "full":
                cfg = _full(tmp_path, hub)
            case "own":
                cfg = _own(tmp_path)
            case _:
                cfg = _file(tmp_path)
        cfg.output = str(tmp_path / source)
        if source != "file":  # which has no use for it
            cfg.medi.min_rows_per_task = 1
        cfg.medi.leakage = None if source == "documentation" else str(tmp_path / "tasks")
        return cfg

    return of


def _super_ni(folder: Path) -> Config:
    root = compact_super_ni(folder / "super_ni")
    both = [row | {"output": [label]} for row in sentiment()[::3] for label in ("good", "bad")]
    write_rows(root / "train_core" / "task2_mood.jsonl.gz", sentiment() + both)
    nli = [
        {"premise": f"Premise {i}.", "hypothesis": f"{i} {label}.", "label": label}
        for i in range(4)
        for label in ("entailment", "contradiction")
    ]
    write_rows(folder / "pairs" / "snli.jsonl.gz", nli)
    write_rows(folder / "pairs" / "wiki.jsonl.gz", [{"sentence1": f"One {i}.", "sentence2": f"{i}."} for i in range(9)])
    return composed("build_medi", ["medi=super_ni", f"medi.root={root}", f"medi.pairs={folder / 'pairs'}"])


def _mixture(folder: Path) -> Config:
    root = compact_super_ni(folder / "super_ni")
    asked = [{"query": f"Where is the lamp number {i} kept?", "positive": f"It is kept in box {i}."} for i in range(12)]
    write_rows(folder / "asked" / "boxes.jsonl.gz", asked)
    write_rows(folder / "asked" / "about.jsonl", [{"name": "boxes"}])
    for name in ("Seen", "Spare", "Hidden"):
        rows = [row | {"text": row["text"].replace("number", f"of {name} number")} for row in view_rows()]
        write_view_set(folder / "views", name, rows)
    cfg = composed("build_medi", ["medi=mixture", "medi.tasks=[task2_*]", f"medi.root={root}"])
    cfg.medi.pairs, cfg.medi.views = str(folder / "asked"), str(folder / "views")
    sides = {"query": {"text_type": "question"}, "document": {"text_type": "answer"}}
    cfg.medi.pair_instructions = {"boxes": sides}
    cfg.views.sets = {"Seen": view_set("train"), "Spare": view_set("dev"), "Hidden": view_set("test")}
    return cfg


def _full(folder: Path, hub: StandInHub) -> Config:
    cfg = full()
    cfg.medi.datasets = ["NQ", "specter_train_triples"]
    cfg.medi.rows_per_task = 30
    pairs = [[f"query {i} with some more words", f" passage\n{i} "] for i in range(50)]
    write_lines(folder / "hub" / "NQ-train_pairs.jsonl.gz", pairs)
    triples = [[f"title {i}", f"cited {i}", f"other {i}"] for i in range(50)]
    write_lines(folder / "hub" / "specter_train_triples.jsonl.gz", triples)
    listed = cfg.medi.hub["NQ"]
    hub.commit(listed.repo, folder / "hub", kind="datasets", branch=listed.revision)
    return cfg


def _file(folder: Path) -> Config:
    path = folder / "rows.json"
    rows = [record.to_released(row) for row in toy_rows({1: 12, 3: 8})]
    rows[0] |= {"label": "a", "neg_label": "b"}
    rows[1]["neg"] = [rows[1]["neg"], rows[2]["neg"]]
    if not path.is_file():
        path.write_text(json.dumps(rows))
    return composed("build_medi", ["medi=file", f"medi.path={path}"])


def _own(folder: Path) -> Config:
    rows: list[dict[str, Any]] = [{"query": f"Where is lamp {i}?", "positive": f"It is in box {i}."} for i in range(40)]
    rows[0]["negatives"] = ["It is in no box.", "It is gone."]
    rows[1]["query_instruction"] = "Represent the question:"
    rows += [
        {"query": SEEN[1], "positive": "It is in the benchmark."},
        {"query": f"灯 {SEEN[1]}", "positive": "It is not, with another letter."},
        {"query": "Is one answered twice?", "positive": "Yes."},
    ]
    write_rows(folder / "own.jsonl.gz", rows)
    return composed("build_medi", ["medi=own", f"medi.path={folder / 'own.jsonl.gz'}"])


def built(source: str, cfg: Config, folder: Path) -> str:
    """Hash of what a source makes: the rows and, where it has them, the benchmark and what stands before both."""
    out = build(cfg)
    content = hashlib.sha256(load_medi(out / "medi").sha256.encode())
    for path in sorted((out / "benchmark").rglob("*.gz")):
        content.update(f"{path.relative_to(out)}\0".encode() + gzip.decompress(path.read_bytes()))
    if source == "documentation":
        (folder / "things.py").write_text(SOURCE)
        objects = extraction._extract_file(Package("made_up", "toy"), folder, folder / "things.py")
        content.update(repr([PACKAGES, list(objects)]).encode())
    return content.hexdigest()


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_built_is_what_the_version_of_the_code_stands_for(
    source: str, config_of: Callable[[str], Config], tmp_path: Path
) -> None:
    found = built(source, config_of(source), tmp_path)
    assert found == BUILT[key_module.BUILD_VERSION][source], (
        f"source {source} builds something else of the same input ({found}). If that is meant, raise BUILD_VERSION in "
        "one_embedder/medi/sources/build_key.py, so that no older data pass for these, and record the hashes here."
    )


def test_no_version_builds_what_another_one_does() -> None:
    assert max(BUILT) == key_module.BUILD_VERSION == len(BUILT)
    assert len({tuple(hashes.values()) for hashes in BUILT.values()}) == len(BUILT)


RENDER = Instruction.render
MUTATIONS: Mapping[str, tuple[Any, str, Any, set[str]]] = {  # what -> (where, name, value, sources that it changes)
    "the template's ending": (
        Instruction, "render", lambda self: RENDER(self, ending=";"), {"documentation", "super_ni", "mixture", "full"}
    ),
    "what is a false negative": (
        mining, "FALSE_NEGATIVE_SIMILARITY", -0.5, {"documentation", "super_ni", "mixture", "full", "own"}
    ),
    "where a positive is drawn from": (mining, "POSITIVE_POOL", 2, {"documentation", "super_ni", "mixture"}),
    "a text with several labels": (
        mining, "_labels_in_common", lambda text, label: lambda block: mining._same(label, block), {"super_ni"}
    ),
    "tokens that the miner reads": (miner, "MAX_LENGTH", 16, {"documentation", "super_ni", "mixture", "full", "own"}),
    "what counts as leakage": (
        leakage, "normalised", lambda text: text[:7], {"documentation", "super_ni", "mixture", "full", "file"}
    ),
    "how a released row is read": (
        record, "_pair", lambda value, where: (value[0].strip(), value[1]), {"full", "file"}
    ),
    "where long texts are cut": (formats, "MAX_CHARACTERS", 20, {"full"}),
    "what is classification": (super_ni, "MAX_LABELS", 1, {"super_ni", "mixture"}),
    "rows of the lesser kinds": (training_tasks, "SMALL_SHARE", 0.2, {"documentation"}),
    "how markup is undone": (documentation_text, "_SPACE", re.compile(r"\s+|mean"), {"documentation"}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "source"), [(what, source) for what, (*_, changed) in MUTATIONS.items() for source in sorted(changed)]
)
def test_the_record_sees_a_change_of_the_code(
    what: str, source: str, config_of: Callable[[str], Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, name, value, _ = MUTATIONS[what]
    monkeypatch.setattr(place, name, value)
    assert built(source, config_of(source), tmp_path) != BUILT[key_module.BUILD_VERSION][source]


class _Known(Exception):
    """Ends a build once its key is known."""


@pytest.fixture
def key_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Config], str]:
    def known(folder: Path, key: str, settings: Mapping[str, Any]) -> bool:
        raise _Known(key)

    for module in MODULES:
        monkeypatch.setattr(module, "is_built", known)
    # A setting that the source does not read would be refused; here it has to leave the key alone.
    monkeypatch.setattr("one_embedder.medi.build.require_buildable", lambda cfg: None)

    def of(cfg: Config) -> str:
        with pytest.raises(_Known) as caught:
            build(cfg)
        return str(caught.value)

    return of


@pytest.mark.parametrize("source", SOURCES)
def test_raising_the_version_builds_every_source_again(
    source: str, config_of: Callable[[str], Config], key_of: Callable[[Config], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key_of(config_of(source))
    assert key_of(config_of(source)) == before
    monkeypatch.setattr(key_module, "BUILD_VERSION", key_module.BUILD_VERSION + 1)
    assert key_of(config_of(source)) != before


MINED = {"documentation", "super_ni", "mixture", "full", "own"}
SETTINGS: Mapping[str, tuple[Any, set[str]]] = {  # key -> (another value, the sources whose data it changes)
    "encoder.name_or_path": ("other/model", MINED),
    "encoder.revision": ("v1", MINED),
    "encoder.max_length": (17, set()),
    "encoder.joining": ("head", MINED),
    "encoder.layers": (2, set()),
    "medi.rows_per_task": (20, MINED),
    "medi.min_rows_per_task": (2, MINED),
    "medi.workers": (1, set()),
    "medi.mining.max_share_of_positive": (0.95, MINED),
    "medi.mining.positive_margin": (0.05, MINED),
    "medi.mining.first_rank": (10, MINED),
    "medi.mining.last_rank": (50, MINED),
    "medi.mining.negatives": (2, MINED),
    "medi.mining.seed": (1, MINED),
    "medi.mining.none_left": ("drop", MINED),
    "medi.max_rejected": (0.5, set()),
    "medi.instances_per_task": (20, {"super_ni", "mixture"}),
    "medi.tasks": (["task1_*"], {"super_ni", "mixture"}),
    "medi.text_output": ("outputs", {"super_ni"}),
    "medi.instructions": ({"task2_mood": {"text_type": "review"}}, {"super_ni", "mixture"}),
    "medi.pairs": (None, {"super_ni", "mixture"}),
    "medi.instances_of_pairs": (3, {"super_ni", "mixture"}),
    "medi.pair_instructions": (
        {"boxes": {"query": {"text_type": "text"}, "document": {"text_type": "text"}}},
        {"mixture"},
    ),
    "medi.views": (None, {"mixture"}),
    "medi.view_sets": (["Spare"], {"mixture"}),
    "medi.crossed_views": (False, {"mixture"}),
    "medi.leakage": (None, {"super_ni", "mixture", "full", "file", "own"}),
    "medi.query_instruction": ("Represent the query:", {"own"}),
    "medi.document_instruction": ("Represent the text:", {"own"}),
    "medi.held_back": (0.3, {"own"}),
    "medi.datasets": (["NQ"], {"full"}),
    "medi.source": (None, set()),  # every source has keys of its own
    "medi.folder": ("elsewhere", set()),
    "medi.path": (None, set()),  # what stands in the files counts
    "medi.root": (None, set()),
    "medi.hub": (None, set()),
    "seed": (1, {"full"}),
}


def test_every_setting_of_data_and_encoder_is_looked_at() -> None:
    kinds = {"medi": MediConfig, "medi.mining": MiningConfig, "encoder": EncoderConfig}
    settings = {f"{section}.{field.name}" for section, kind in kinds.items() for field in fields(kind)}
    assert set(SETTINGS) == (settings | {"seed"}) - {"medi.mining"}


@pytest.mark.parametrize("source", SOURCES)
def test_a_setting_builds_again_exactly_where_the_data_depend_on_it(
    source: str, config_of: Callable[[str], Config], key_of: Callable[[Config], str]
) -> None:
    unchanged = config_of(source)
    before = key_of(unchanged)
    for setting, (value, changed) in SETTINGS.items():
        if setting in ("medi.source", "medi.path", "medi.root", "medi.hub"):
            continue
        cfg = deepcopy(unchanged)
        section, _, name = setting.rpartition(".")
        setattr(attrgetter(section)(cfg) if section else cfg, name, value)
        assert (key_of(cfg) != before) is (source in changed), setting


def test_an_entry_of_the_hub_builds_again_when_it_changes(
    config_of: Callable[[str], Config], key_of: Callable[[Config], str]
) -> None:
    unchanged = config_of("full")
    keys = {key_of(unchanged)}
    for name, value in {"query": "Represent the query:", "cap": 7, "first_rows": 9, "revision": "main"}.items():
        cfg = deepcopy(unchanged)
        setattr(cfg.medi.hub["NQ"], name, value)
        keys.add(key_of(cfg))
    assert len(keys) == 5


def test_the_documentation_builds_again_with_another_python_or_package(
    config_of: Callable[[str], Config], key_of: Callable[[Config], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [key_of(config_of("documentation"))]
    monkeypatch.setattr(documentation, "package_versions", lambda: VERSIONS | {"numpy": "0.1"})
    keys.append(key_of(config_of("documentation")))
    monkeypatch.setattr(documentation.platform, "python_version", lambda: "3.0.0")
    keys.append(key_of(config_of("documentation")))
    assert len(set(keys)) == 3


def test_a_comment_in_the_code_builds_nothing_again(tmp_path: Path) -> None:
    shutil.copytree(PROJECT_ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path / "src").rglob("*.py"):
        path.write_text(path.read_text() + "\n# A comment.\n")
    code = (
        "from one_embedder.config.schema import Config\n"
        "from one_embedder.medi.sources.documentation import build\n"
        "print(build.__file__, build._key(Config()))"
    )
    environment = {"PYTHONPATH": str(tmp_path / "src"), "PATH": ""}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    place, key = said.stdout.split()
    assert Path(place).is_relative_to(tmp_path)
    assert key == documentation._key(Config())


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "model" / "part"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("one")
    yield folder.parent


def test_another_model_under_the_same_path_builds_again(model: Path) -> None:
    encoder = EncoderConfig(name_or_path=str(model))
    before = mining_settings(encoder)
    assert mining_settings(encoder) == before
    (model / "README.md").write_text("said of it")
    assert mining_settings(encoder) == before
    (model / "part" / "model.safetensors").write_text("other")
    assert mining_settings(encoder) != before


def test_embeddings_of_another_encoder_are_not_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``medi=full`` has one folder for parts whatever its settings are."""
    monkeypatch.setattr(embedder_module, "InstructionEmbedder", Embedder)
    one, other = (Miner(EncoderConfig(name_or_path=name), tmp_path) for name in ("one", "other"))
    first = one.encode(["a", "b"])
    assert not np.allclose(other.encode(["a", "b"]), first)
    calls = Embedder.calls
    assert np.array_equal(Miner(EncoderConfig(name_or_path="one"), tmp_path).encode(["a", "b"]), first)
    assert Embedder.calls == calls
