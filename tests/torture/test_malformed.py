"""Damaged files of every kind: read as documented, or refused by one error of ours that names the file."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError, DataError, OneEmbedderError
from one_embedder.evaluation.tasks.folder import discover
from one_embedder.files.documents import read_json, read_yaml
from one_embedder.files.json_lines import JsonLines
from one_embedder.files.unpacked import LONGEST
from one_embedder.instructions.table import written_out
from one_embedder.medi.row import MOST_NEGATIVES, from_released
from one_embedder.medi.sources.file.files import read_rows
from one_embedder.medi.sources.file.list_parser import Unreadable
from one_embedder.medi.sources.pairs import read_pairs
from one_embedder.tracking.manifest import MANIFEST, NewerManifest, is_complete
from tests.torture.data_surfaces import SURFACES as DATA
from tests.torture.data_surfaces import TEXTS
from tests.torture.judge import judge
from tests.torture.record_surfaces import SURFACES as RECORDS
from tests.torture.surface import Surface

IN_A_FAST_RUN = 4
NEEDS_MTEB = {"clustering", "classification", "pair classification", "STS", "summarization", "text evaluation"}
EVERY = (*DATA, *RECORDS)


def seeds_of(surface: Surface) -> range:
    """Cases that need torch, or seconds each, are few here; `make torture` runs all."""
    slow = surface.name in {"model", "recorded table", "manifest"} | NEEDS_MTEB
    return range(1 if slow else IN_A_FAST_RUN)


@pytest.mark.parametrize(("surface", "seed"), [(s, n) for s in EVERY for n in seeds_of(s)],
                         ids=lambda value: getattr(value, "name", str(value)))  # fmt: skip
def test_a_damaged_file_is_read_as_documented_or_refused_by_name(
    surface: Surface, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    verdict = judge(surface, seed)
    assert verdict.outcome != "fault", verdict


def test_every_kind_of_input_has_a_sound_example_that_is_read(tmp_path: Path) -> None:
    for surface in (s for s in EVERY if s.name != "model"):
        folder = tmp_path / surface.name / "input"
        folder.mkdir(parents=True)
        surface.write(folder)
        assert surface.read(folder) is not None, surface.name


def test_the_judge_sees_what_must_not_be_accepted() -> None:
    """A reader that takes everything is at fault as soon as a value is wrong."""
    blind = Surface("blind", {"a.jsonl": [{"text": "t"}] * 3}, lambda folder: [], {"text": lambda value: False})
    assert "fault" in {judge(blind, seed).outcome for seed in range(10)}

    def crash(folder: Path) -> Any:
        raise KeyError("text")

    assert {judge(Surface("bug", {"a.jsonl": [{"text": "t"}]}, crash), seed).outcome for seed in range(3)} == {"fault"}


@pytest.mark.parametrize("name", ["medi.jsonl", "medi.json", "medi.json.gz"])
def test_a_byte_order_mark_changes_nothing_and_utf16_is_told_with_the_remedy(tmp_path: Path, name: str) -> None:
    rows = [{"query": "a"}, {"query": "b"}]
    text = "\n".join(map(json.dumps, rows)) + "\n" if ".jsonl" in name else json.dumps(rows)
    pack = gzip.compress if name.endswith(".gz") else bytes
    (tmp_path / name).write_bytes(pack(b"\xef\xbb\xbf" + text.encode()))
    assert [row.content for row in read_rows(tmp_path / name)] == rows
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        (tmp_path / name).write_bytes(pack(text.encode(encoding)))
        with pytest.raises(DataError, match=rf"{name}: UTF-16 or UTF-32, not UTF-8; convert it"):
            list(read_rows(tmp_path / name))


@pytest.mark.parametrize(
    "bad", ['{"a": }', '{"a": 1 "b": 2}', "{a: 1}", '{"a": "\n"}', '{"a": tru}', "{" + "[" * 5000 + "}"]
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_item_of_a_list_that_is_no_json_costs_itself_alone_as_in_lines(tmp_path: Path, bad: str, place: int) -> None:
    items = [json.dumps({"a": f"text {number} }}, {{"}) for number in range(4)]
    items[place] = bad
    (tmp_path / "m.json").write_text("[" + ",\n ".join(items) + "]")
    found = [row.content for row in read_rows(tmp_path / "m.json")]
    assert [isinstance(item, Unreadable) for item in found] == [number == place for number in range(4)]


def test_a_list_that_does_not_end_is_refused_although_it_holds_a_bad_item(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('[{"a": 1}, {"a": }, {"a": 3}')
    with pytest.raises(DataError, match=r"m\.json: cut short"):
        list(read_rows(tmp_path / "m.json"))


def test_thousands_of_brackets_end_at_once(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("[" * 1_000_000)
    with pytest.raises(DataError, match="nested too deeply"):
        list(read_rows(tmp_path / "m.json"))
    (tmp_path / "m.yaml").write_text("[" * 1_000_000)
    for reader in (read_json, read_yaml):
        with pytest.raises(ValueError, match="nested too deeply"):
            reader(tmp_path / "m.yaml")


def test_a_key_that_is_there_twice_is_told(tmp_path: Path) -> None:
    twice = '{"text": "one", "text": "two"}'
    (tmp_path / "test.jsonl").write_text(f"{twice}\n")
    with pytest.raises(
        DataError, match=r"test\.jsonl, row 1: .* the key 'text' is there twice|key 'text' is there twice"
    ):
        JsonLines.read(tmp_path, "test")
    (tmp_path / "m.json").write_text(f'[{{"text": "a"}}, {twice}]')
    first, second = (row.content for row in read_rows(tmp_path / "m.json"))
    assert first == {"text": "a"} and second.reason == "the key 'text' is there twice"
    (tmp_path / "m.yaml").write_text("a: 1\nb: {c: 1, c: 2}\n")
    with pytest.raises(ValueError, match="the key 'c' is there twice"):
        read_yaml(tmp_path / "m.yaml")


def test_a_blank_label_and_contradictory_judgements_are_refused_by_row(tmp_path: Path) -> None:
    rows = [{"text": TEXTS[i], "label": ("wet", "dry", " ")[i]} for i in range(3)]
    with pytest.raises(DataError, match=r"row 3: field 'label' is empty"):
        JsonLines(tmp_path / "test.jsonl", rows).labels()
    heard = [{"premise": "p", "hypothesis": "h", "label": label} for label in ("entailment", "contradiction")]
    (tmp_path / "nli.jsonl").write_text("\n".join(map(json.dumps, heard)))
    with pytest.raises(DataError, match=r"nli\.jsonl, row 2: .*row 1 has 'entailment' \(str\) for the same texts"):
        read_pairs(tmp_path, 10, {})
    (tmp_path / "nli.jsonl").write_text(json.dumps({**heard[0], "label": "entailmnt"}))
    with pytest.raises(DataError, match=r"row 1: field 'label' must be one of entailment"):
        read_pairs(tmp_path, 10, {})


def test_a_row_beyond_all_bounds_is_refused_with_the_bound(tmp_path: Path) -> None:
    for name, start in (("test.jsonl", b'{"text": "'), ("test.json", b'[{"text": "')):
        with (tmp_path / name).open("wb") as file:
            file.write(start)
            for _ in range(LONGEST // (1 << 20) + 3):
                file.write(b"x" * (1 << 20))
        with pytest.raises(DataError, match=rf"{name}, .*longer than 32 MiB, the most that a row may have"):
            list(read_rows(tmp_path / name))
    with pytest.raises(DataError, match=r"test\.jsonl, row 1: longer than 32 MiB"):
        JsonLines.read(tmp_path, "test")
    many = {"query": ["", "q"], "pos": ["", "p"], "neg": [["", "n"]] * (MOST_NEGATIVES + 1), "task_id": 1}
    with pytest.raises(DataError, match=r"row 1, field neg: 1001 hard negatives, more than 1,000"):
        from_released(many, "m.json row 1")


def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    for name in ("../outside", "/etc/hostname", "a/b"):
        with pytest.raises(DataError, match="is a path; name a file of the folder"):
            JsonLines.read(tmp_path, name)


def test_a_run_of_a_newer_version_is_not_taken_for_no_run(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("schema: 2\nstatus: completed\nrun_id: a\n")
    with pytest.raises(NewerManifest, match=r"manifest\.yaml has schema 2, this version reads 1: .*another output="):
        is_complete(tmp_path, "a")


ODD_OVERRIDES = (
    "seed=x", "seed=", "seed", "=1", "seed=1=2", "nothing=1", "+nothing.at=1", "seed=[1", "seed={",
    "seed=${oc.env:NOWHERE}",
    "seed=${seed}", "loss=nowhere", "loss.temperature=nan", "loss.temperature=-1", "loss.temperature=inf", "seed=1e400",
    "medi.path='\\'", "medi.path=\"", "encoder=../../etc", "output=' '",
    "benchmark.protocol={a: 3}", "benchmark.protocol=[]", "instructions.table=3", "instructions.table={a: 3}",
    "instructions.table={a: {text: 3}}", "instructions.table={a: {query: {text_type: ''}}}", "seed=\0", "~nothing",
    "+benchmark.folders={../out: STS}", "+benchmark.protocol.a={splits: [../out]}",
    "loss._target_=os.system", "paths.data=null", "seed=\ud800", "a" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("override", ODD_OVERRIDES, ids=range(len(ODD_OVERRIDES)))
def test_an_odd_override_is_refused_as_a_setting(override: str) -> None:
    with pytest.raises(OneEmbedderError) as refused:
        load_config("train", [override])
    assert len(str(refused.value)) < 3000


ODD_SIDES: list[Any] = [3, None, {}, {"domain": "d"}, {"text_type": 3}, {"text_type": "t", "other": "o"}]


@pytest.mark.parametrize("entry", [3, None, [], "text", *({"text": side} for side in ODD_SIDES)])
def test_an_odd_entry_of_an_instruction_table_is_refused_by_name(entry: Any) -> None:
    with pytest.raises(ConfigError, match=r"instructions\.table\.Task"):
        written_out({"Task": entry})


def test_no_task_is_read_from_outside_of_the_benchmark(tmp_path: Path) -> None:
    cfg = Config()
    (tmp_path / "eval/STS/Small").mkdir(parents=True)
    cfg.benchmark.root = str(tmp_path)
    (found,) = discover(tmp_path)
    with pytest.raises(DataError, match="is a path"):
        JsonLines.read(found.path, "../../../outside")
