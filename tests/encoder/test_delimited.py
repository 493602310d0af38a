"""CSV and TSV without quotes: as many texts as the file has, or an error."""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_embedder.embedding.records import RecordFile
from one_embedder.errors import DataError
from one_embedder.files.delimited import csv_rows, tsv_rows

CELL = st.text(st.sampled_from('ab"",,\n\r\t \'“;'), max_size=12)
ROWS = st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=6)


def lines(text: str) -> list[tuple[int, str]]:
    return list(enumerate(re.findall(r"[^\n]*\n|[^\n]+", text), start=1))


def texts(path: Path, **options: bool) -> list[str]:
    return [record.text for record in RecordFile(path, **options)]  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, end=st.sampled_from(["\n", "\r\n"]), delimiter=st.sampled_from([",", "\t"]))
def test_whatever_python_writes_as_csv_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str, delimiter: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.csv"
    if end == "\n":  # Python then writes a carriage return without quotes, which RFC 4180 does not allow
        rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=end, strict=True).writerows([["text", "id"], *rows])
    written = path.read_bytes().decode()
    read = [row for _, row in csv_rows(path, lines(written), ["text"], delimiter)]
    assert read == [{"text": text, "id": identity} for text, identity in rows]


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.lists(st.text("ab\"' ,\r“", max_size=9), min_size=2, max_size=2), max_size=6))
def test_tsv_has_a_row_a_line_whatever_quotes_there_are(rows: list[list[str]]) -> None:
    rows = [[text, identity.rstrip("\r")] for text, identity in rows]
    content = "".join("\t".join(row) + "\n" for row in [["text", "id"], *rows])
    read = [row for _, row in tsv_rows(Path("a.tsv"), lines(content), ["text"])]
    assert read == [{"text": text, "id": identity} for text, identity in rows]


QUOTES = '1\t"Hello\n2\tworld\n3\tmore\n4\tend"\n5\tlast\n'


def test_a_text_that_begins_with_a_quote_does_not_swallow_the_rows_below_it(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("id\ttext\n" + QUOTES)
    assert texts(tmp_path / "a.tsv") == ['"Hello', "world", "more", 'end"', "last"]
    (tmp_path / "a.csv").write_text("id,text\n" + QUOTES.replace("\t", ","))
    source = RecordFile(tmp_path / "a.csv")
    assert [record.text for record in source] == ["Hello\n2,world\n3,more\n4,end", "last"]
    assert source.notes == ["1 of its rows go over several lines, within quotes"]


def test_quotes_that_were_read_as_text_are_told_and_quoted_takes_them_off(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tid\n"He said ""hi"""\t1\nplain\t2\n"cats"\t3\n')
    source = RecordFile(path)
    assert [record.text for record in source] == ['"He said ""hi"""', "plain", '"cats"']
    assert source.notes == ["2 of its texts are in quotes, which are read as text; --quoted takes them off"]
    assert texts(path, quoted=True) == ['He said "hi"', "plain", "cats"]
    path.write_text('text\tid\n"a\tb\nc\nd"\t1\n')
    assert texts(path, quoted=True) == ["a\tb\nc\nd"]
    with pytest.raises(DataError, match=r"line 3: 1 cells, .* needs quotes, which --quoted reads"):
        texts(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('id,text\n1,a "quoted, text\n2,c" d\n', "line 2: 3 cells, where the header has 2"),
        ('id,text\n1,"a" b\n2,c\n', "line 2: ',' expected after '\"'; put a cell with quotes or line breaks in quotes"),
        ('id,text\n1,"a""b" \n', "line 2: ',' expected after '\"'"),
        ('id,text\n1,"a\nb"c\n2,d\n', "lines 2 to 3: ',' expected after '\"'"),
        ('id,text\n1,a\n2,"b\n3,c\n4,d\n', "lines 3 to 5: unexpected end of data"),
        ("id,text\n1,a\rb\n", "line 2: new-line character seen in unquoted field"),
        ("id,text\r1,a\r2,b\r", "line 1: new-line character seen in unquoted field"),
        ("id,text\n1,a\n\n2,b\n", "line 3 is empty, and rows follow it"),
        ("text,id,text\na,1,b\n", "has 2 columns 'text'; rename all but one"),
        ("id;text\n1;a\n", "has no column 'text', only 'id;text'"),
        ("", "has no column 'text', only none"),
        ("\n", "has no column 'text', only none"),
    ],
)
def test_what_is_no_csv_is_refused_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode())
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        texts(path)
    assert str(path) in str(caught.value)


def test_empty_lines_end_a_table_and_are_empty_cells_of_a_single_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\r\n1,a\r\n\r\n\r\n")
    assert texts(path) == ["a"]
    path.write_bytes(b'text\na\n\n""\nb')
    assert texts(path) == ["a", "", "", "b"]


def test_a_quote_that_is_never_closed_is_found_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text\n"open\n' + "no quote in here\n" * 300_000)
    began = time.perf_counter()
    with pytest.raises(DataError, match="lines 2 to 300002: unexpected end of data"):
        texts(path)
    assert time.perf_counter() - began < 10
