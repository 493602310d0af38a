"""Files of texts."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from one_embedder.embedding.records import Record, RecordFile
from one_embedder.errors import ConfigError, DataError

TEXTS = ["the cats", "", 'naïve dog, "quoted"', "line\u2028separator", "x" * 200_000]
INSTRUCTIONS = [f"instruction {number}: " for number in range(len(TEXTS))]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    """Rows in the format that the name asks for."""
    kind = path.name.split(".")[1]
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
        return path
    if kind == "csv":
        cells = [list(rows[0]), *([value.replace('"', '""') for value in row.values()] for row in rows)]
        content = "".join(",".join(f'"{cell}"' for cell in row) + "\r\n" for row in cells)
    elif kind == "tsv":
        content = "".join("\t".join(cells) + "\n" for cells in [rows[0].keys(), *(row.values() for row in rows)])
    elif kind == "txt":
        content = "".join(row["text"] + "\n" for row in rows)
    else:
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz", "JSONL"])
def test_every_format_gives_the_same_texts_and_instructions(tmp_path: Path, ending: str) -> None:
    rows = [{"id": "7", "text": text, "how": how} for text, how in zip(TEXTS, INSTRUCTIONS, strict=True)]
    path = write(tmp_path / f"texts.{ending}", rows)
    source = RecordFile(path, instruction_field="how")
    expected = [Record(how, text) for how, text in zip(INSTRUCTIONS, TEXTS, strict=True)]
    assert list(source) == expected
    assert list(source) == expected, "a second reading begins anew"
    assert list(RecordFile(path, text_field="how", instruction="i: ")) == [Record("i: ", how) for how in INSTRUCTIONS]


@pytest.mark.parametrize("ending", ["txt", "txt.gz"])
def test_a_text_file_has_a_text_a_line_blank_ones_included(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"texts.{ending}", [{"text": text} for text in TEXTS])
    assert [record.text for record in RecordFile(path)] == TEXTS


def test_the_lines_of_a_text_file_end_as_on_any_system(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeffone\r\ntwo\n\nlast".encode())
    assert [record.text for record in RecordFile(path)] == ["one", "two", "", "last"]


def test_json_lines_may_be_strings_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('"one"\n\n{"text": "two"}\n   \n"three"')
    assert [record.text for record in RecordFile(path)] == ["one", "two", "three"]


@pytest.mark.parametrize("ending", ["jsonl", "txt"])
def test_an_empty_file_has_no_texts(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"texts.{ending}"
    path.touch()
    assert list(RecordFile(path)) == []


BROKEN = [
    ("a.jsonl", b'{"text": "a"}\n{"text": "b"\n', "a.jsonl, line 2 is not JSON"),
    ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "line 2 is not JSON"),
    (
        "a.jsonl",
        b'{"text": "a"}\n\n{"body": "b", "id": 1}\n',
        "line 3 has no field 'text', only 'body', 'id'; name another",
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": null}\n',
        "line 2: field 'text' is None (NoneType), not a string; correct it",
    ),
    ("a.jsonl", b'{"text": "a"}\n["b"]\n', "line 2 is ['b'], no object with a field 'text'"),
    ("a.jsonl", b'{"text": "a\\ud800"}\n', "line 1: field 'text' holds half a character"),
    ("a.jsonl", b"1" * 5000, "line 1 is a number of 5000 digits, no object with a field 'text'"),
    ("a.jsonl", b'{"text": ' + b"1" * 5000 + b"}", "line 1: field 'text' is a number of 5000 digits, not a string"),
    ("a.jsonl", b"[" * 100_000, "line 1 is not JSON (nested too deeply)"),
    ("a.txt", b"one\ntw\xffo\n", "a.txt, line 2 is not UTF-8"),
    ("a.csv", b"id,body\n1,a\n", "a.csv has no column 'text', only 'id', 'body'; name another with --text-field"),
    ("a.csv", b"text,id\na,1\nb,2,3\n", "line 3: 3 cells, where the header has 2; quote cells that hold a comma"),
    ("a.csv", b"id,text\n1,a\n2\n", "line 3: 1 cells, where the header has 2"),
    ("a.csv", b"text\na\nb\xff\n", "a.csv, line 3 is not UTF-8"),
    ("a.csv.gz", gzip.compress(b"text\n" + b"a\n" * 99, mtime=0)[:-9], "not a complete gzip file"),
    ("a.tsv", b"text\tid\na\t1\nb\n", "line 3: 1 cells, where the header has 2; a tab or a line break"),
    ("a.jsonl.gz", gzip.compress(b'"one"\n' * 9, mtime=0)[:-9], "not a complete gzip file"),
    ("a.jsonl.gz", b'"one"\n', "a.jsonl.gz: not a complete gzip file"),
    ("a.parquet", b"no parquet", "cannot be read after row 0"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_what_cannot_be_used_is_named_by_file_line_and_field(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        list(RecordFile(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_text_in_parquet_is_named_by_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["a"] * 3000 + [None]}), path)
    with pytest.raises(DataError, match="row 3001: field 'text' is None"):
        list(RecordFile(path))
    with pytest.raises(DataError, match="has no column 'how', only 'text'; name another with --instruction-field"):
        list(RecordFile(path, instruction_field="how"))


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_parquet_that_decayed_is_told_as_what_cannot_be_read(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["the cats"] * 99}), path, compression=compression, use_dictionary=False)
    content = bytearray(path.read_bytes().replace(b"cats", b"c\xffts"))
    content[60] ^= 0xFF if compression == "gzip" else 0
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet cannot be read after row 0 \(.*fetch or write it again"):
        list(RecordFile(path))


def test_a_row_without_its_instruction_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "how": "i"}\n{"text": "b"}\n')
    with pytest.raises(DataError, match=r"line 2 has no field 'how', .* --instruction-field"):
        list(RecordFile(path, instruction_field="how"))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("a.json", {}, "ends with one of .jsonl, .ndjson, .txt"),
        ("a.parquet.gz", {}, "ends with one of"),
        ("a", {}, "ends with one of"),
        ("a.txt", {"instruction_field": "how"}, "has no fields"),
        ("a.jsonl", {"instruction_field": "how", "instruction": "i"}, "exclude each other"),
        ("a.csv", {"quoted": True}, "drop --quoted"),
    ],
)
def test_what_can_never_be_read_is_refused_at_once(
    tmp_path: Path, name: str, arguments: dict[str, Any], message: str
) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=message):
        RecordFile(tmp_path / name, **arguments)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*none.jsonl"):
        RecordFile(tmp_path / "none.jsonl")
