"""Data sets of the hub as training data, fetched by the real client from a stand-in hub on loopback."""

from __future__ import annotations

import errno
import gzip
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import pandas as pd
import pytest

from one_embedder.config.schema import Config, HubDatasetConfig, SamplerConfig
from one_embedder.errors import ConfigError, DataError
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.medi.build import build
from one_embedder.medi.mining import miner
from one_embedder.medi.row import MediRow
from one_embedder.medi.sources.hub import build as build_module
from one_embedder.medi.store import further_negatives, load_medi
from tests.hub import StandInHub
from tests.medi.toy import compact_super_ni, full, instruction_tokenizer

ROWS = 40
EMBEDDING_TRAINING_DATA: dict[str, Callable[[int], Any]] = {  # file -> row i
    "NQ-train_pairs.jsonl.gz": lambda i: [f"query {i}", f" passage\n{i} "],
    "specter_train_triples.jsonl.gz": lambda i: [f"title {i}", f"cited {i}", f"other {i}"],
    "flickr30k_captions.jsonl.gz": lambda i: {"set": [f"caption {i}", f"caption {i}", f"same as {i}", f"third {i}"]},
    "amazon-qa.jsonl.gz": lambda i: {"query": f"does it {i}", "pos": [f"yes {i}", f"no {i}"]},
    "msmarco-triplets.jsonl.gz": lambda i: {
        "query": f"what {i}",
        "pos": [f"that {i}"],
        "neg": [f"not {i}", f"nor {i}"],
    },
    "amazon_review_2018.jsonl.gz": lambda i: [f"stars {i}", f"review {i}"],
}
PARQUET: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {  # task -> file, row i
    "wow": (
        "data/train-00000-of-00001-d80d.parquet",
        lambda i: {"query": f"hi {i}", "pos": f"page {i}", "neg": f"x {i}"},
    ),
    "eli5": (
        "eli5/train-00000-of-00001.parquet",
        lambda i: {
            "input": f"why {i}",
            "output": [
                {"answer": None, "provenance": [{"title": f"Page {i}", "wikipedia_id": str(i)}]},
                {"answer": f"because {i}", "provenance": []},
            ],
        },
    ),
    "medmcqa": (
        "data/train-00000-of-00001.parquet",
        lambda i: {"question": f"cure {i}", **{f"op{letter}": f"{letter} {i}" for letter in "abcd"}, "cop": i % 4},
    ),
}
TASKS = "NQ specter_train_triples flickr30k_captions amazon_qa msmarco_triplets wow eli5 medmcqa".split()


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """JSON lines, packed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The repository with most of the data sets, as a folder."""
    for name, row in EMBEDDING_TRAINING_DATA.items():
        write_lines(tmp_path / "source" / name, map(row, range(ROWS)))
    return tmp_path / "source"


class HashMiner:
    """Stands in for the mining encoder: a unit vector from the text's own characters."""

    texts: ClassVar[Counter[str]] = Counter()

    def __init__(self, *args: Any) -> None:
        pass

    def encode(self, texts: list[str]) -> np.ndarray:
        HashMiner.texts.update(texts)
        vectors = np.stack([np.random.default_rng(crc32(text.encode())).normal(size=16) for text in texts])
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    def forget(self) -> None:
        """Nothing is kept on disk."""


@pytest.fixture
def serve(hub: StandInHub, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts tiny copies of the data sets where the configuration looks for them."""
    monkeypatch.setattr(miner, "Miner", HashMiner)
    HashMiner.texts.clear()

    def all_of(cfg: Config) -> None:
        listed = cfg.medi.hub
        hub.commit(listed["NQ"].repo, source, kind="datasets", branch=listed["NQ"].revision)
        for task, (name, row) in PARQUET.items():
            folder = tmp_path / task
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame([row(i) for i in range(ROWS)]).to_parquet(folder / name)
            hub.commit(listed[task].repo, folder, kind="datasets", branch=listed[task].revision)

    return all_of


@pytest.fixture
def cfg(tmp_path: Path, serve: Callable[..., None]) -> Config:
    cfg = full()
    cfg.output = str(tmp_path / "data" / "full")
    cfg.medi.datasets = list(TASKS)
    serve(cfg)
    return cfg


def only(cfg: Config, name: str, **changes: Any) -> HubDatasetConfig:
    """Build this data set alone, with some keys changed."""
    cfg.medi.datasets = [name]
    for key, value in changes.items():
        setattr(cfg.medi.hub[name], key, value)
    return cfg.medi.hub[name]


def texts(folder: Path, task: str) -> list[tuple[str, str, str]]:
    """(query, positive, negative) of a task's rows."""
    rows = load_medi(folder / "medi").dataset
    return [(row["query_text"], row["pos_text"], row["neg_text"]) for row in rows if row["task_name"] == task]


def test_every_format_becomes_rows_that_train(cfg: Config, caplog: pytest.LogCaptureFixture) -> None:
    cfg.medi.hub["wow"].unverified = "the columns"
    with caplog.at_level(logging.INFO, logger="one_embedder.medi"):
        folder = build(cfg)
    assert "8 data sets of the hub, of these 0.00 GB to download, at most 300000 rows, for 100000 of" in caplog.text
    medi = load_medi(folder / "medi")
    assert list(medi.task_names.values()) == [name for name in cfg.medi.hub if name in TASKS]
    assert texts(folder, "specter_train_triples") == [(f"title {i}", f"cited {i}", f"other {i}") for i in range(ROWS)]
    assert texts(folder, "msmarco_triplets") == [(f"what {i}", f"that {i}", f"not {i}") for i in range(ROWS)]
    assert texts(folder, "wow") == [(f"hi {i}", f"page {i}", f"x {i}") for i in range(ROWS)]
    options = [("abcd"[i % 4], "abcd"[(i + 1) % 4]) for i in range(ROWS)]
    assert texts(folder, "medmcqa") == [(f"cure {i}", f"{a} {i}", f"{b} {i}") for i, (a, b) in enumerate(options)]
    for task, query, positive in [
        ("NQ", "query", "passage"),
        ("flickr30k_captions", "caption", "same as"),
        ("amazon_qa", "does it", "yes"),
        ("eli5", "why", "because"),
    ]:
        mined = texts(folder, task)
        assert [row[:2] for row in mined] == [(f"{query} {i}", f"{positive} {i}") for i in range(ROWS)]
        assert {row[2] for row in mined} <= {row[1] for row in mined}
        assert all(row[2] != row[1] for row in mined)
    report = (folder / "report.md").read_text()
    assert all(f"| {task} |" in report for task in TASKS) and "- wow: the columns" in report
    loader = MediDataModule(
        medi, instruction_tokenizer(), sampler=SamplerConfig(global_batch_size=4), with_instructions=True, seed=0
    )
    batch = next(iter(loader.train_dataloader()))
    assert len(batch) == 4 and batch.task_id in medi.task_names


def test_mining_settings_reach_the_data_sets_without_negatives_and_no_others(cfg: Config) -> None:
    cfg.medi.datasets = ["NQ", "specter_train_triples"]
    before = load_medi(build(cfg) / "medi")
    cfg.output = f"{cfg.output}-2"
    cfg.medi.mining.last_rank, cfg.medi.mining.negatives = 5, 2
    mined = HashMiner.texts.total()
    medi = load_medi(build(cfg) / "medi")
    assert HashMiner.texts.total() == 2 * mined > 0
    counts = {(row["task_name"], 1 + len(further_negatives(row))) for row in medi.dataset}
    assert counts == {("NQ", 2), ("specter_train_triples", 1)}
    assert medi.manifest["about"]["mining"]["negatives"] == 2
    assert before.manifest["about"]["mining"]["negatives"] == before.negatives_per_row == 1


def test_a_second_build_reads_nothing_and_gives_the_same(cfg: Config, hub: StandInHub) -> None:
    first = load_medi(build(cfg) / "medi").sha256
    asked = len(hub.requests)
    assert load_medi(build(cfg) / "medi").sha256 == first
    assert len(hub.requests) == asked > 0


def test_one_data_set_that_fails_is_named_and_the_others_are_kept(cfg: Config, hub: StandInHub) -> None:
    hub.fault("emb-wow-train", status=404, error_code="RepoNotFound")
    with pytest.raises(DataError, match=r"cannot be built: 1 of 8\n  wow: multi-train/emb-wow"):
        build(cfg)
    assert not Path(str(cfg.output), "medi").exists()
    hub.heal()
    asked, mined = len(hub.requests), HashMiner.texts.total()
    assert len(load_medi(build(cfg) / "medi").task_names) == 8
    assert {request.path for request in hub.requests[asked:] if "emb-wow-train" not in request.path} == set()
    assert HashMiner.texts.total() == mined > 0


def test_what_stands_in_a_benchmark_is_left_out_of_every_data_set_and_told(cfg: Config, tmp_path: Path) -> None:
    cfg.medi.datasets = ["NQ", "specter_train_triples", "wow"]
    whole = build(cfg)
    before = {task: texts(whole, task) for task in cfg.medi.datasets}
    rows = [{"text": text, "label": 1} for text in ("Query 3!", "passage 5", "other 7", "unheard of")]
    write_lines(tmp_path / "bench" / "eval" / "Classification" / "Toy" / "test.jsonl.gz", rows)
    cfg.medi.leakage, cfg.output = str(tmp_path / "bench"), str(tmp_path / "without")
    without = build(cfg)
    report = (without / "report.md").read_text()
    for task, lost in {"NQ": {3, 5}, "specter_train_triples": {7}, "wow": set()}.items():
        kept = [row[:2] for number, row in enumerate(before[task]) if number not in lost]
        assert [row[:2] for row in texts(without, task)] == kept
        assert ({row[2] for row in texts(without, task)} & {"passage 5", "other 7"}) == set()
        assert (f"| {task} | {len(lost)} |" in report) == bool(lost)
    assert "3 in 2 tasks" in report


class OneTask:
    """A task from elsewhere."""

    name = "task001"
    key = "v1"

    def build(self) -> tuple[list[MediRow], dict[str, Any]]:
        side = ("Represent the word: ", "a")
        return [MediRow(99, "any", side, side, side)] * 40, {}


def test_tasks_of_other_sources_come_first(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg.medi.datasets = ["wow"]
    monkeypatch.setattr(build_module, "mixture_tasks", lambda *_: [OneTask()])
    medi = load_medi(build(cfg) / "medi")
    assert medi.task_names == {0: "task001", 1: "wow"}
    assert medi.manifest["about"]["tasks"]["wow"]["commit"]


def test_full_disk_is_not_taken_for_the_hubs_fault(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*args: Any, **kwargs: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full_disk)
    with pytest.raises(DataError, match=r"cannot write.*No space left.*free disk space"):
        build(cfg)


def test_parts_outlive_a_changed_choice(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build_module, "write_medi", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(cfg)
    mined = HashMiner.texts.total()
    cfg.medi.datasets = ["NQ", "eli5"]
    assert list(load_medi(build(cfg) / "medi").task_names.values()) == ["NQ", "eli5"]
    assert HashMiner.texts.total() == mined


@pytest.mark.parametrize(
    ("status", "word", "said"),
    [
        (404, "RepoNotFound", "shows no such data set"),
        (401, "GatedRepo", "accept the licence at .*/datasets/multi-train/emb-wow-train"),
        (404, "RevisionNotFound", "has the data set but not this revision"),
        (503, None, "trouble of its own"),
    ],
)
def test_what_the_hub_refuses_is_told_in_one_line(
    cfg: Config, hub: StandInHub, status: int, word: str | None, said: str
) -> None:
    only(cfg, "wow")
    hub.fault("emb-wow-train", status=status, error_code=word)
    with pytest.raises(DataError, match=f"wow: multi-train/emb-wow-train, revision .*{said}") as caught:
        build(cfg)
    assert len(str(caught.value).splitlines()) == 3


def test_cap_and_seed_draw_from_the_whole_file(cfg: Config) -> None:
    only(cfg, "specter_train_triples")
    cfg.medi.rows_per_task, cfg.medi.min_rows_per_task = 10, 1
    drawn = texts(build(cfg), "specter_train_triples")
    numbers = [int(query.split()[1]) for query, _, _ in drawn]
    assert len(numbers) == 10 and numbers == sorted(numbers) and max(numbers) > 10
    cfg.seed, cfg.output = 1, f"{cfg.output}-1"
    assert texts(build(cfg), "specter_train_triples") != drawn


def test_the_head_of_a_large_file_is_streamed_and_the_rest_not_read(cfg: Config, hub: StandInHub, source: Path) -> None:
    dataset = only(cfg, "amazon_review_2018", first_rows=35)
    lines = [json.dumps([f"stars {i}", f"text {i}"]).encode() for i in range(35)]
    packed = gzip.compress(b"\n".join([*lines, np.random.default_rng(0).bytes(10**6)]))
    (source / dataset.files[0]).write_bytes(packed + b"damaged")
    hub.commit(dataset.repo, source, kind="datasets", branch=dataset.revision)
    assert [query for query, _, _ in texts(build(cfg), "amazon_review_2018")] == [f"stars {i}" for i in range(35)]
    assert [request.method for request in hub.asked("amazon_review_2018")] == ["GET"]


def test_a_stream_that_breaks_goes_on_where_it_was(cfg: Config, hub: StandInHub, source: Path) -> None:
    dataset = only(cfg, "amazon_review_2018", first_rows=150)
    rng = np.random.default_rng(0)
    write_lines(source / dataset.files[0], ([f"stars {i}", rng.bytes(1500).hex()] for i in range(150)))
    hub.commit(dataset.repo, source, kind="datasets", branch=dataset.revision)
    hub.fault("amazon_review_2018", method="GET", cut_at=150_000, times=1)
    assert [query for query, _, _ in texts(build(cfg), "amazon_review_2018")] == [f"stars {i}" for i in range(150)]
    assert [bool(request.range) for request in hub.asked("amazon_review_2018")] == [False, True]


def damage(source: Path, content: bytes) -> None:
    (source / "NQ-train_pairs.jsonl.gz").write_bytes(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b'["a", "b"]\n' * 5000)[:-20], r"NQ-train_pairs.jsonl.gz: cannot be read after row \d+"),
        (b'["a", "b"]\n', "cannot be read after row 0 .*Not a gzipped file"),
        (gzip.compress(b'["a", "b"]\n["c"\n'), r"NQ-train_pairs.jsonl.gz row 2: not JSON"),
        (gzip.compress(b'["a", "b"]\n\n["c"]\n'), r"row 2: neither \[text, text\].*\['c'\]"),
        (gzip.compress(b'["a", 3]\n'), r"NQ-train_pairs.jsonl.gz row 1, column item 1 is 3 \(int\), not a string"),
        (gzip.compress(b'["a", ""]\n["b", "b"]\n'), "none of 2 rows drawn can be used"),
    ],
    ids=["cut", "not packed", "not JSON", "no shape", "no text", "no row"],
)
def test_damaged_data_are_told_with_data_set_file_and_row(
    cfg: Config, hub: StandInHub, source: Path, content: bytes, said: str
) -> None:
    dataset = only(cfg, "NQ")
    damage(source, content)
    hub.commit(dataset.repo, source, kind="datasets", branch=dataset.revision)
    with pytest.raises(DataError, match=rf"NQ: .*sentence-transformers/embedding-training-data.*{said}"):
        build(cfg)


def test_a_row_whose_own_negative_is_its_positive_is_left_out(cfg: Config, hub: StandInHub, source: Path) -> None:
    dataset = only(cfg, "specter_train_triples")
    cfg.medi.min_rows_per_task = 1
    write_lines(source / dataset.files[0], [["a", "b", "b"], ["a", "b", "c"], ["a", "b", "d"], ["e", "f", ""]])
    hub.commit(dataset.repo, source, kind="datasets", branch=dataset.revision)
    folder = build(cfg)
    assert texts(folder, "specter_train_triples") == [("a", "b", "c")]
    assert "2 without a usable negative of their own, 1 repeated" in (folder / "report.md").read_text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "csv"}, r"medi\.hub\.wow\.format='csv'"),
        ({"negatives": "bm25"}, r"medi\.hub\.wow\.negatives='bm25'"),
        ({"cap": 0}, "cap=0 must be at least 1"),
        ({"files": ["train.csv"]}, "'train.csv' must end in .jsonl"),
        ({"columns": {"query": "q"}}, r"must name \['positive', 'query'\]"),
        ({"columns": {"query": "q", "positive": "p"}}, "negatives=given, but the rows have none"),
        ({"query": "Find it:"}, "not an instruction of the form"),
        ({"document": None}, "document is missing, and the task is not symmetric"),
        ({"repo": "wow"}, "must be owner/name"),
    ],
)
def test_entries_that_make_no_sense_are_refused_before_the_hub_is_asked(
    cfg: Config, hub: StandInHub, changes: dict[str, Any], said: str
) -> None:
    only(cfg, "wow", **changes)
    with pytest.raises(ConfigError, match=said):
        build(cfg)
    assert not hub.requests


def test_downloads_larger_than_the_disk_are_refused_before_the_first(
    cfg: Config, hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(DataError, match=r"downloads need .* 0\.00 GB free; .*medi\.datasets"):
        build(cfg)
    assert not hub.asked("/resolve/")


def test_super_naturalinstructions_comes_first_with_the_rows_of_its_own_build(cfg: Config, tmp_path: Path) -> None:
    cfg.medi.root = str(compact_super_ni(tmp_path / "super_ni"))
    joined = load_medi(build(cfg) / "medi")
    names = list(joined.task_names.values())
    assert names == ["task1_story", "task2_mood", *(name for name in cfg.medi.hub if name in TASKS)]
    report = (Path(str(cfg.output)) / "report.md").read_text()
    assert "8 tasks are from the hub, 2 from another source" in report and "| CC BY 4.0 | 1 | task2_mood |" in report
    cfg.medi.source, cfg.medi.hub, cfg.medi.datasets = "super_ni", {}, None
    cfg.output = str(tmp_path / "alone")
    alone = load_medi(build(cfg) / "medi").dataset
    assert alone.to_list() == joined.dataset.select(range(len(alone))).to_list() and len(alone) > 60


def test_two_tasks_of_one_name_are_refused_before_any_is_built(cfg: Config, tmp_path: Path, hub: StandInHub) -> None:
    cfg.medi.root = str(compact_super_ni(tmp_path / "super_ni"))
    cfg.medi.pairs = str(tmp_path / "pairs")
    write_lines(
        tmp_path / "pairs" / "NQ.jsonl.gz", [{"sentence1": f"one {i}", "sentence2": f"two {i}"} for i in range(9)]
    )
    with pytest.raises(ConfigError, match=r"two tasks are called NQ: .*medi\.datasets.*medi\.pairs"):
        build(cfg)
    assert not hub.asked("/resolve/")


def tiny_row(dataset: HubDatasetConfig, name: str, i: int) -> Any:
    """Row i of any data set, by its format."""
    match dataset.format:
        case "columns":
            return {column: f"{name} {side} {i}" for side, column in dataset.columns.items()}
        case "kilt":
            return {"input": f"{name} {i}", "output": [{"answer": f"{name} answer {i}", "provenance": []}]}
        case "medmcqa":
            return {"question": f"{name} {i}", **{f"op{letter}": f"{letter} {i}" for letter in "abcd"}, "cop": i % 4}
        case _:
            texts = [f"{name} {side} {i}" for side in ("query", "positive", "negative")]
            return texts if dataset.negatives == "given" else texts[:2]


@pytest.mark.slow
def test_one_command_makes_all_three_hundred_and_thirty_tasks(
    hub: StandInHub, tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(miner, "Miner", HashMiner)
    cfg = full()
    for name, dataset in cfg.medi.hub.items():
        path = tmp_path / dataset.repo / dataset.files[0].replace("*", "00000-of-00001")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [tiny_row(dataset, name, i) for i in range(ROWS)]
        pd.DataFrame(rows).to_parquet(path) if path.suffix == ".parquet" else write_lines(path, rows)
    for dataset in cfg.medi.hub.values():
        hub.commit(dataset.repo, tmp_path / dataset.repo, kind="datasets", branch=dataset.revision)
    cfg.output, cfg.medi.root = str(tmp_path / "full"), str(shared / "data" / "superni")
    cfg.medi.instances_per_task, cfg.medi.min_rows_per_task = 60, 1
    medi = load_medi(build(cfg) / "medi")
    assert len(medi.task_names) == 330
    assert list(medi.task_names.values())[300:] == list(cfg.medi.hub)
