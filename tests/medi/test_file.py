"""MEDI as others hand it out becomes training data: every form, every kind of bad input, interruption."""

from __future__ import annotations

import gzip
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError, DataError
from one_embedder.files.progress import Pace
from one_embedder.medi.batches.sampler import SameTaskBatchSampler
from one_embedder.medi.build import build
from one_embedder.medi.row import to_released
from one_embedder.medi.sources.file import build as build_module
from one_embedder.medi.sources.file import files as files_module
from one_embedder.medi.sources.file.quarantine import QUARANTINE_FILE
from one_embedder.medi.store import Medi, load_medi, write_medi
from scripts.make_medi_file import TASK_IDS, task_sizes, write_medi_file
from tests.hub import StandInHub
from tests.medi.toy import row_of, toy_rows

ROWS = toy_rows({1: 40, 7: 50, 3: 30})


def released(rows: Sequence[Any] = ROWS) -> list[dict[str, Any]]:
    """As medi-data.json has them: no names."""
    return [{key: value for key, value in to_released(row).items() if key != "task_name"} for row in rows]


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    cfg = Config()
    cfg.medi.source = "file"
    cfg.output = str(tmp_path / "data" / "medi")
    return cfg


def built(cfg: Config, path: Path) -> Medi:
    cfg.medi.path = str(path)
    cfg.output = str(Path(str(cfg.output)).with_name(f"out-{path.name}"))  # each file's data have a folder of their own
    return load_medi(build(cfg) / "medi")


def rejected(cfg: Config) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(str(cfg.output), QUARANTINE_FILE).read_text().splitlines()]


def as_list(path: Path, rows: Sequence[Any], **options: Any) -> Path:
    path.write_text(json.dumps(rows, **options), encoding="utf-8")
    return path


def as_lines(path: Path, rows: Sequence[Any]) -> Path:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def forms(folder: Path) -> Iterator[Path]:
    """The same rows in every form."""
    rows = released()
    yield as_list(folder / "medi-data.json", rows)
    yield as_list(folder / "indented.json", rows, indent=2, ensure_ascii=False)
    yield as_lines(folder / "medi.jsonl", rows)
    yield as_lines(folder / "medi.jsonl.gz", rows)
    yield as_lines(folder / "lines.json", rows)
    pd.DataFrame(rows).to_parquet(folder / "medi.parquet", row_group_size=50)
    yield folder / "medi.parquet"
    copy = folder / "copy-of-the-hub" / "data"
    copy.mkdir(parents=True)
    for part in range(3):
        pd.DataFrame(rows[part * 40 : part * 40 + 40]).to_parquet(copy / f"train-0000{part}-of-00003.parquet")
    as_list(copy.parent / "dataset_infos.json", [{"default": 1}])
    yield copy.parent


def test_every_form_gives_the_same_rows(cfg: Config, tmp_path: Path) -> None:
    expected = write_medi([row_of(item) for item in built(cfg, as_list(tmp_path / "first.json", released())).dataset],
                          tmp_path / "expected", about={})  # fmt: skip
    paths = list(forms(tmp_path))
    assert len(paths) == 7
    for path in paths:
        medi = built(cfg, path)
        assert (medi.sha256, medi.manifest["rows"]) == (expected, len(ROWS)), path
        assert medi.task_names == {1: "task_1", 3: "task_3", 7: "task_7"}
        assert [row["query_text"] for row in medi.dataset] == [row.query[1] for row in ROWS]
        assert rejected(cfg) == []


def test_a_file_of_the_released_shape_is_read_whole(cfg: Config, tmp_path: Path) -> None:
    write_medi_file(tmp_path / "made.json", rows=1000)
    write_medi_file(tmp_path / "again.json", rows=1000)
    assert (tmp_path / "made.json").read_bytes() == (tmp_path / "again.json").read_bytes()
    medi = built(cfg, tmp_path / "made.json")
    assert {task["task_id"]: task["rows"] for task in medi.manifest["tasks"]} == task_sizes(1000)
    assert len(TASK_IDS) == 329 and 302 not in medi.task_names
    assert sum(task_sizes(1_435_000).values()) == 1_435_000
    assert "" in medi.dataset["query_instruction"]


def test_a_copy_on_the_hub_is_read_by_its_id(cfg: Config, tmp_path: Path, hub: StandInHub) -> None:
    (copy,) = (path for path in forms(tmp_path) if path.is_dir())
    (copy / "README.md").write_text("# MEDI")
    hub.commit("someone/medi", copy, kind="datasets")
    cfg.medi.path = "someone/medi"
    assert load_medi(build(cfg) / "medi").manifest["rows"] == len(ROWS)
    assert not [request for request in hub.requests if "README" in request.path]
    cfg.medi.path = "someone/else"
    with pytest.raises(DataError, match=r"medi\.path=someone/else is neither on disk nor .* shows no such data set"):
        build(cfg)


def test_rows_are_read_across_the_edges_of_chunks_and_row_groups(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = released()
    rows[5]["query"][1] = 'braces } { and "quotes" \u00fc \u2028 \U0001f642'
    whole = built(cfg, as_list(tmp_path / "a.json", rows, ensure_ascii=False)).sha256
    for size in (1, 7, 64):
        monkeypatch.setattr(files_module, "_CHUNK", size)
        cfg.output = str(tmp_path / f"chunks of {size}")
        assert built(cfg, tmp_path / "a.json").sha256 == whole


def test_old_keys_and_gritlms_form_are_read(cfg: Config, tmp_path: Path) -> None:
    named = [{"task_name": f"set {row.pop('task_id')}", **row} for row in released()]
    medi = built(cfg, as_list(tmp_path / "old.json", named))
    assert medi.task_names == {0: "set 1", 1: "set 7", 2: "set 3"}
    folder = tmp_path / "gritlm"
    folder.mkdir()
    for task in (1, 3, 7):
        rows = [row for row in released() if row["task_id"] == task]
        nested = [{"query": row["query"], "pos": [row["pos"]], "neg": [row["neg"]]} for row in rows]
        as_lines(folder / f"medi-data-hardnegatives-instruct-{task}.jsonl", nested)
    medi = built(cfg, folder)
    assert medi.task_names == {1: "task_1", 3: "task_3", 7: "task_7"}
    assert {task["task_id"]: task["rows"] for task in medi.manifest["tasks"]} == {1: 40, 3: 30, 7: 50}
    without = [{key: row[key] for key in ("query", "pos", "neg")} for row in released()]
    assert built(cfg, as_lines(tmp_path / "trivia.jsonl", without)).task_names == {0: "trivia"}
    with pytest.raises(DataError, match="the key 'task_id' is missing"):
        built(cfg, as_list(tmp_path / "part-00001.json", without))


def test_a_table_with_instructions_in_columns_of_their_own_is_read(cfg: Config, tmp_path: Path) -> None:
    """The columns of avsolatorio/medi-data, by its card; profile=paper reads it."""
    sides = ("query", "pos", "neg")
    rows = [to_released(row) for row in ROWS]
    rows[0]["query"] = ["", rows[0]["query"][1]]  # some of MEDI's are empty
    columns = [
        {side: row[side][1] for side in sides}
        | {"task_name": row["task_name"]}
        | {f"{side}_instruct": row[side][0] for side in sides}
        for row in rows
    ]
    (tmp_path / "data").mkdir()
    pd.DataFrame(columns).to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    medi = built(cfg, tmp_path / "data")
    found = [to_released(row_of(item)) for item in medi.dataset]
    assert [[row[side] for side in sides] for row in found] == [[row[side] for side in sides] for row in rows]
    assert [row["task_name"] for row in found] == [row["task_name"] for row in rows]
    assert rejected(cfg) == []


def test_a_task_that_is_named_gets_a_number_that_no_other_has(cfg: Config, tmp_path: Path) -> None:
    rows = [{key: row[key] for key in ("query", "pos", "neg")} for row in released()[:20]]
    (tmp_path / "parts").mkdir()
    as_lines(tmp_path / "parts/a-1.jsonl", rows)
    as_lines(tmp_path / "parts/b.jsonl", [{**row, "task_name": "two"} for row in rows])
    assert built(cfg, tmp_path / "parts").task_names == {1: "task_1", 2: "two"}


def test_two_files_whose_names_end_in_one_number_are_refused(cfg: Config, tmp_path: Path) -> None:
    rows = [{key: row[key] for key in ("query", "pos", "neg")} for row in released()[:20]]
    (tmp_path / "parts").mkdir()
    for name in ("natural_questions_2", "squad_2"):
        as_lines(tmp_path / f"parts/{name}.jsonl", rows)
    with pytest.raises(DataError, match=r"squad_2\.jsonl: .* that of .*natural_questions_2\.jsonl .*; rename one"):
        built(cfg, tmp_path / "parts")
    for name in ("natural_questions_2", "squad_2"):
        as_lines(tmp_path / f"parts/{name}.jsonl", [{**row, "task_name": name} for row in rows])
    assert built(cfg, tmp_path / "parts").task_names == {0: "natural_questions_2", 1: "squad_2"}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no neg": ({"neg": None}, "field neg: expected [instruction, text], got None"),
    "text is a number": ({"pos": ["i", 3]}, "field pos: the text is 3 (int), not a string"),
    "instruction is null": ({"query": [None, "t"]}, "field query: the instruction is None"),
    "empty text": ({"query": ["i", " \n"]}, "field query: the text is empty"),
    "three parts": ({"neg": ["i", "t", "u"]}, "field neg: expected [instruction, text]"),
    "text is no number": ({"pos": ["i", float("nan")]}, "field pos: the text is nan (float), not a string"),
    "instruction is endless": ({"neg": [float("-inf"), "t"]}, "field neg: the instruction is -inf (float)"),
    "first half of a surrogate": ({"pos": ["i", "\ud800"]}, "field pos: the text holds half a character"),
    "second half of a surrogate": ({"query": ["\udc80", "t"]}, "field query: the instruction holds half a character"),
    "name is half a surrogate": ({"task_name": "\ud800"}, "field task_name: expected a name, got '\\ud800' (str)"),
    "id is too large": ({"task_id": 2**63}, "field task_id: expected an integer from 0 to 2**63 - 1, got 9223372036"),
    "id is text": ({"task_id": "1"}, "field task_id: expected an integer"),
    "another name": ({"task_name": "other"}, "task 1 is called 'other' here and 'task_1' before"),
}


@pytest.mark.parametrize(("changes", "said"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_rows_that_cannot_be_used_are_set_aside_with_number_and_reason(
    cfg: Config, tmp_path: Path, changes: dict[str, Any], said: str, suffix: str
) -> None:
    rows = released()
    rows[17] = {**rows[17], **changes}
    path = tmp_path / f"medi.{suffix}"
    path = as_list(path, rows) if suffix == "json" else tmp_path / "medi.jsonl"
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    medi = built(cfg, path)
    (row,) = rejected(cfg)
    assert (row["file"], row["row"]) == (path.name, 18)
    assert said in row["reason"]
    assert len(row["content"]) <= 500
    assert medi.manifest["about"]["rejected"] == 1
    assert [item["query_text"] for item in medi.dataset] == [r["query"][1] for i, r in enumerate(released()) if i != 17]


@pytest.mark.parametrize("chunk", [1, 50, 1 << 20])
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_number_of_thousands_of_digits_costs_its_row_or_nothing(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, chunk: int
) -> None:
    monkeypatch.setattr(files_module, "_CHUNK", chunk)
    rows = [{**row, "extra": 1, "emoji": "\U0001f642"} for row in released()]
    whole = built(cfg, (as_list if suffix == "json" else as_lines)(tmp_path / f"whole.{suffix}", rows)).sha256
    text = (tmp_path / f"whole.{suffix}").read_text()
    (tmp_path / f"beside.{suffix}").write_text(text.replace('"extra": 1', f'"extra": {"9" * 5000}', 3))
    assert built(cfg, tmp_path / f"beside.{suffix}").sha256 == whole, "in a field that nobody reads it does no harm"
    asked = json.dumps(rows[1]["query"][1])
    (tmp_path / f"in.{suffix}").write_text(text.replace(asked, "-" + "9" * 5000, 1))
    assert len(built(cfg, tmp_path / f"in.{suffix}").dataset) == len(ROWS) - 1
    (row,) = rejected(cfg)
    assert row["row"] == 2 and "field query: the text is a number of 5000 digits, not a string" in row["reason"]


def test_a_file_beside_itself_packed_is_refused(cfg: Config, tmp_path: Path) -> None:
    (tmp_path / "medi").mkdir()
    as_lines(tmp_path / "medi/rows.jsonl", released())
    (tmp_path / "medi/rows.jsonl.gz").write_bytes(gzip.compress((tmp_path / "medi/rows.jsonl").read_bytes()))
    with pytest.raises(DataError, match=r"rows\.jsonl: lies there packed, too"):
        built(cfg, tmp_path / "medi")


def test_a_row_without_a_key_and_a_row_that_is_no_object_are_set_aside(cfg: Config, tmp_path: Path) -> None:
    rows: list[Any] = released()
    del rows[3]["neg"]
    rows[9:9] = ["no row", 5]
    cfg.medi.max_rejected = 0.1
    medi = built(cfg, as_list(tmp_path / "medi.json", rows))
    assert [(row["row"], row["reason"].split(";")[0]) for row in rejected(cfg)] == [
        (4, "the key 'neg' is missing"),
        (10, "expected an object with query, pos, neg and task_id, got str"),
        (11, "expected an object with query, pos, neg and task_id, got int"),
    ]
    assert len(medi.dataset) == len(ROWS) - 1


@pytest.mark.parametrize("chunk", [1, 50, 1 << 20])
@pytest.mark.parametrize("damaged", [0, 17, len(ROWS) - 1])
def test_invalid_utf8_costs_its_row_alone(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: int, chunk: int
) -> None:
    monkeypatch.setattr(files_module, "_CHUNK", chunk)
    rows = released()
    rows[damaged]["pos"][1] = "caf\u00e9 HERE and } HERE \u00e9"
    for path in (
        as_list(tmp_path / "medi.json", rows, ensure_ascii=False),
        as_lines(tmp_path / "medi.jsonl", rows),
    ):
        path.write_bytes(path.read_bytes().replace(b"HERE", b"\xff\xc3"))
        cfg.output = str(tmp_path / f"from {path.suffix}")
        medi = built(cfg, path)
        ((row, reason),) = [(row["row"], row["reason"]) for row in rejected(cfg)]
        assert row == damaged + 1 and ("UTF-8" in reason or "utf-8" in reason)
        assert len(medi.dataset) == len(ROWS) - 1


def cut(path: Path) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    return path


@pytest.mark.parametrize("form", [0, 2, 3, 5], ids=["list", "lines", "packed", "parquet"])
def test_a_truncated_file_is_refused_and_says_so(cfg: Config, tmp_path: Path, form: int) -> None:
    path = cut(list(forms(tmp_path))[form])
    with pytest.raises(DataError, match=rf"{path.name}: (cut short|not a complete|cannot be read)"):
        built(cfg, path)
    assert not Path(str(cfg.output), "medi").exists()


@pytest.mark.parametrize("content", [b"", b"  \n", b"PK\x03\x04", b'"text"'])
def test_a_file_of_another_kind_is_refused(cfg: Config, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "medi.json").write_bytes(content)
    with pytest.raises(DataError, match=r"medi\.json: neither a JSON list of rows nor JSON lines"):
        built(cfg, tmp_path / "medi.json")
    with pytest.raises(DataError, match=r"no such file, or a folder without one that ends in \.parquet"):
        built(cfg, tmp_path / "nowhere")
    (tmp_path / "medi.zip").touch()
    with pytest.raises(DataError, match=r"medi\.zip: a MEDI file ends in"):
        built(cfg, tmp_path / "medi.zip")


def test_too_many_bad_rows_refuse_the_file_and_a_higher_limit_takes_it(cfg: Config, tmp_path: Path) -> None:
    rows = released()
    for row in rows[:6]:
        row["pos"] = ["", ""]
    path = as_list(tmp_path / "medi.json", rows)
    with pytest.raises(DataError, match=r"(?s)6 of the first 120 rows .* medi\.max_rejected=0\.01 .*row 6: field pos"):
        built(cfg, path)
    left = [place for place in Path(str(cfg.output)).parent.rglob("*") if place.name not in (".lock", ".holder")]
    assert left == [Path(str(cfg.output)), Path(str(cfg.output), QUARANTINE_FILE)] and len(rejected(cfg)) == 6
    cfg.medi.max_rejected = 0.05
    assert len(built(cfg, path).dataset) == len(ROWS) - 6
    assert [row["row"] for row in rejected(cfg)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("row", [{"query": "a", "pos": "b"}, {"query": "a", "pos": "b", "neg": []}])
def test_plain_pairs_are_told_which_profile_reads_them(row: dict[str, Any], cfg: Config, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: (?:the key .neg.|field neg).* profile=own \(docs/finetune\.md\)"):
        built(cfg, as_lines(tmp_path / "pairs.jsonl", [row]))


def test_without_a_path_and_without_data_it_is_said_what_to_name(cfg: Config, tmp_path: Path) -> None:
    cfg.medi.folder, cfg.output = str(tmp_path / "nothing"), None
    with pytest.raises(
        ConfigError, match=r"medi\.path is not given, and .*nothing holds no training data: .*profile=own"
    ):
        build(cfg)


class Stop(Exception):
    """Ends a build from within."""


@pytest.mark.parametrize("form", range(7))
def test_an_interrupted_build_begins_again_with_the_same_result(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: int
) -> None:
    path = list(forms(tmp_path))[form]
    straight = built(cfg, path).sha256
    cfg.output = str(tmp_path / "interrupted")
    with monkeypatch.context() as patch:
        patch.setattr(build_module, "from_released", _breaking_at(58))
        with pytest.raises(Stop):
            built(cfg, path)
    assert built(cfg, path).sha256 == straight


@pytest.mark.parametrize("form", [0, 3])
def test_rows_of_a_benchmark_are_left_out_counted_and_told_also_when_interrupted(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: int
) -> None:
    path = list(forms(tmp_path))[form]
    everything = built(cfg, path).dataset
    leaked = {3: "query_text", 27: "pos_text", 60: "neg_text"}
    test = tmp_path / "bench" / "eval" / "Classification" / "Toy" / "test.jsonl"
    test.parent.mkdir(parents=True)
    as_lines(test, [{"text": everything[row][side].upper(), "label": 1} for row, side in leaked.items()])
    seen = {everything[row][side] for row, side in leaked.items()}
    kept = [row for row in everything if seen.isdisjoint({row[side] for side in leaked.values()})]
    assert len(everything) - 10 < len(kept) <= len(everything) - 3
    cfg.output, cfg.medi.leakage = str(tmp_path / "clean"), str(tmp_path / "bench")
    with monkeypatch.context() as patch:
        patch.setattr(build_module, "from_released", _breaking_at(55))
        with pytest.raises(Stop):
            built(cfg, path)
    clean = built(cfg, path)
    assert [dict(row) for row in clean.dataset] == [dict(row) for row in kept]
    lost = len(everything) - len(kept)
    assert f"{lost} in" in (Path(cfg.output) / "report.md").read_text()
    assert clean.manifest["about"]["overlapping"] == lost


def _breaking_at(number: int) -> Callable[..., Any]:
    read: list[str] = []
    original = build_module.from_released

    def broken(record: object, where: str) -> Any:
        read.append(where)
        if len(read) == number:
            raise Stop
        return original(record, where)

    return broken


def test_a_finished_build_is_not_repeated_and_a_changed_file_is_read_again(cfg: Config, tmp_path: Path) -> None:
    path = as_list(tmp_path / "medi.json", released())
    first = built(cfg, path)
    written = (first.folder / "medi.arrow").stat().st_mtime_ns
    assert (built(cfg, path).folder / "medi.arrow").stat().st_mtime_ns == written
    assert len(built(cfg, as_list(path, released()[:50])).dataset) == 50


def _build_in_process(cfg: Config, start: Any, results: Any) -> None:
    start.wait()
    results.put(load_medi(build(cfg) / "medi").sha256)


@pytest.mark.slow
def test_two_processes_building_the_same_cache_both_end_with_it(cfg: Config, tmp_path: Path) -> None:
    write_medi_file(tmp_path / "medi.json", rows=3000)
    cfg.medi.path = str(tmp_path / "medi.json")
    context = multiprocessing.get_context("spawn")
    start, results = context.Event(), context.Queue()
    processes = [context.Process(target=_build_in_process, args=(cfg, start, results)) for _ in range(2)]
    for process in processes:
        process.start()
    start.set()
    first, second = results.get(timeout=120), results.get(timeout=120)
    for process in processes:
        process.join()
    assert first == second == load_medi(Path(str(cfg.output)) / "medi").sha256
    assert [path.name for path in Path(str(cfg.output)).parent.iterdir()] == ["medi"]


def test_a_task_smaller_than_a_batch_is_kept_and_gives_no_batch(cfg: Config, tmp_path: Path) -> None:
    medi = built(cfg, as_list(tmp_path / "medi.json", released()))
    sampler = SameTaskBatchSampler(medi.task_ids, 32, seed=0)
    shares = {share.task_id: share for share in sampler.summary()}
    assert shares[3].rows == 30 and shares[3].batches == 0
    assert {medi.task_ids[row] for batch in sampler for row in batch} == {1, 7}


def test_parquet_with_text_that_is_not_utf8_is_refused(cfg: Config, tmp_path: Path) -> None:
    offsets, content = pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")
    column = pa.Array.from_buffers(pa.string(), 1, [None, offsets, content])
    pq.write_table(pa.table({"query": column}), tmp_path / "medi.parquet")
    with pytest.raises(DataError, match=r"medi\.parquet: cannot be read as parquet \('utf-8' codec"):
        built(cfg, tmp_path / "medi.parquet")


def test_progress_is_told_neither_of_nothing_nor_past_a_total_that_was_guessed() -> None:
    said: list[str] = []
    for rows in (0, 150, 50):
        Pace(0, 100, said.append, ("MB", "MB/s")).tell(rows)
    assert len(said) == 1 and said[0].startswith("50 of 100 MB, ")


def test_the_folder_that_is_typed_is_the_one_that_is_looked_at(cfg: Config, tmp_path: Path) -> None:
    cfg.medi.path, cfg.medi.folder = None, str(tmp_path / "there")
    write_medi(ROWS, tmp_path / "there" / "medi", about={})
    with pytest.raises(ConfigError, match=f"{cfg.output} holds no training data"):
        build(cfg)
    cfg.output = None
    assert build(cfg) == tmp_path / "there"


def test_a_disk_that_is_too_small_is_refused_before_reading(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = 0

    monkeypatch.setattr("shutil.disk_usage", lambda place: Full)
    with pytest.raises(DataError, match=r"the training data need about 0\.00 GB .* output=FOLDER"):
        built(cfg, as_list(tmp_path / "medi.json", released()))
