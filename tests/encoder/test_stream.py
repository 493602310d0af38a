"""Files of texts to files of embeddings: whole, interrupted, gone on with."""

from __future__ import annotations

import errno
import json
import re
import shutil
import tracemalloc
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from one_embedder.embedding import encode_file as stream
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.embedding.encode_file import chunks, encode_file
from one_embedder.embedding.records import Record, RecordFile
from one_embedder.embedding.store import EmbeddingStore
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.encoder.truncation import Truncation
from one_embedder.errors import ConfigError, DataError, OneEmbedderError
from one_embedder.files.lock import LockedError
from tests.locked import held

INSTRUCTION = "represent the question for retrieval: "
TEXTS = [f"cats and {'dog ' * (row % 5)}{row}" for row in range(50)]
CHUNK = 8


class Interrupted(InstructionEmbedder):
    """Is interrupted at one of its chunks."""

    def __init__(self, encoder: InstructionEncoder, at: int) -> None:
        super().__init__(encoder, device="cpu")
        self.left = at

    def encode(self, sentences: Any, *arguments: Any, **options: Any) -> Any:
        if len(sentences):
            self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().encode(sentences, *arguments, **options)


@pytest.fixture
def source(tmp_path: Path) -> RecordFile:
    """Fifty texts under one instruction."""
    return RecordFile(write(tmp_path / "texts.jsonl", TEXTS), instruction=INSTRUCTION)


def write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def found(folder: Path) -> set[str]:
    """Names of what lies beside the texts."""
    return {path.name for path in folder.iterdir()} - {"texts.jsonl"}


def test_an_array_file_is_what_numpy_saves_of_the_embeddings(
    embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path
) -> None:
    assert encode_file(embedder, source, tmp_path / "out.npy") == len(TEXTS)
    expected = embedder.encode(TEXTS, INSTRUCTION)
    np.save(tmp_path / "expected.npy", expected)
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()
    assert found(tmp_path) == {"out.npy", "out.npy.json", "expected.npy"}


@pytest.mark.parametrize("chunk_size", [1, 7, 50, 1000])
def test_embeddings_do_not_depend_on_the_chunks(
    embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path, chunk_size: int
) -> None:
    encode_file(embedder, source, tmp_path / "out.npy", chunk_size=chunk_size)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), embedder.encode(TEXTS, INSTRUCTION), atol=1e-6)


@pytest.mark.parametrize("with_text", [False, True])
def test_a_parquet_file_has_row_embedding_and_if_wanted_text(
    embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path, with_text: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_PARQUET_GROUP", 16)
    encode_file(embedder, source, tmp_path / "out.parquet", with_text=with_text, chunk_size=CHUNK)
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["row", *(["text"] if with_text else []), "embedding"]
    assert str(table.schema.field("embedding").type) == "fixed_size_list<element: float>[24]"
    assert table["row"].to_pylist() == list(range(50))
    assert not with_text or table["text"].to_pylist() == TEXTS
    embeddings = np.stack(table["embedding"].to_numpy())
    np.testing.assert_allclose(embeddings, embedder.encode(TEXTS, INSTRUCTION), atol=1e-6)
    assert parquet.ParquetFile(tmp_path / "out.parquet").num_row_groups == 4
    assert found(tmp_path) == {"out.parquet", "out.parquet.json"}


@pytest.mark.parametrize("name", ["out.npy", "out.parquet"])
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("at", [0, 1, 6])
def test_interrupted_runs_that_go_on_give_the_bytes_of_an_uninterrupted_one(
    tiny: InstructionEncoder, source: RecordFile, tmp_path: Path, name: str, precision: Any, at: int
) -> None:
    (tmp_path / "whole").mkdir()
    options: dict[str, Any] = {"chunk_size": CHUNK, "precision": precision, "with_text": name == "out.parquet"}
    encode_file(InstructionEmbedder(tiny, device="cpu"), source, tmp_path / "whole" / name, **options)
    output = tmp_path / name
    for again in (at, 0, 0):
        with pytest.raises(KeyboardInterrupt):
            encode_file(Interrupted(tiny, again), source, output, **options)
    assert not output.exists()
    assert (tmp_path / f"{name}.partial").exists() == (at > 0)
    told: list[str] = []
    encode_file(Interrupted(tiny, 7 - at), source, output, say=told.append, **options)
    assert (f"{at * CHUNK} of them done by an earlier run" in told[0]) == (at > 0)
    for file in (name, f"{name}.json"):
        assert (tmp_path / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert found(tmp_path) == {"whole", name, f"{name}.json"}


def test_what_a_crash_left_half_written_is_written_again(
    tiny: InstructionEncoder, embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_file(Interrupted(tiny, 2), source, tmp_path / "out.npy", chunk_size=CHUNK)
    with (tmp_path / "out.npy.partial" / "embeddings.npy").open("ab") as file:
        file.write(b"half a chunk that no state counts")
    encode_file(embedder, source, tmp_path / "out.npy", chunk_size=CHUNK)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), embedder.encode(TEXTS, INSTRUCTION), atol=1e-6)


def test_an_interruption_while_publishing_loses_nothing(
    tiny: InstructionEncoder, source: RecordFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Path, target: Path) -> Path:
        if target == tmp_path / "out.npy":
            raise KeyboardInterrupt
        return Path(shutil.move(self, target))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", interrupted)
        encode_file(Interrupted(tiny, 7), source, tmp_path / "out.npy", chunk_size=CHUNK)
    assert not (tmp_path / "out.npy").exists()
    assert encode_file(Interrupted(tiny, 0), source, tmp_path / "out.npy", chunk_size=CHUNK) == 50
    assert len(np.load(tmp_path / "out.npy")) == 50


def test_a_complete_output_is_not_made_again(
    tiny: InstructionEncoder, embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path
) -> None:
    encode_file(embedder, source, tmp_path / "out.npy")
    told: list[str] = []
    assert encode_file(Interrupted(tiny, 0), source, tmp_path / "out.npy", say=told.append) == 50
    assert told == [f"{tmp_path / 'out.npy'} is complete already: 50 rows"]


@pytest.mark.parametrize("ended", [True, False])
def test_other_settings_are_refused_and_restart_begins_anew(
    tiny: InstructionEncoder, embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path, ended: bool
) -> None:
    output = tmp_path / "out.npy"
    if ended:
        encode_file(embedder, source, output)
    else:
        with pytest.raises(KeyboardInterrupt):
            encode_file(Interrupted(tiny, 2), source, output, chunk_size=CHUNK)
    other = RecordFile(source.path, instruction="the dog: ")
    with pytest.raises(ConfigError, match=r"instruction was 'represent the .*' and is 'the dog: '.*--restart"):
        encode_file(embedder, other, output)
    with pytest.raises(ConfigError, match="precision was 'float32' and is 'binary'; truncate_dim was None and is 16"):
        encode_file(embedder, source, output, precision="binary", truncate_dim=16)
    encode_file(embedder, other, output, restart=True)
    np.testing.assert_allclose(np.load(output), embedder.encode(TEXTS, "the dog: "), atol=1e-6)


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize(
    ("name", "other", "quoted", "told"),
    [
        ("texts.tsv", "texts.tsv", True, "reading was 'tsv' and is 'tsv, quoted'"),
        ("texts.txt", "other.jsonl", False, "reading was 'txt' and is 'jsonl'"),
    ],
)
def test_the_same_bytes_read_otherwise_are_other_settings(
    tiny: InstructionEncoder, tmp_path: Path, ended: bool, name: str, other: str, quoted: bool, told: str
) -> None:
    for each in (name, other):
        (tmp_path / each).write_text(("text\n" if quoted else "") + '"the cats"\n' * 20)
    source = RecordFile(tmp_path / name)
    if ended:
        encode_file(Interrupted(tiny, 9), source, tmp_path / "out.npy", chunk_size=CHUNK)
    else:
        with pytest.raises(KeyboardInterrupt):
            encode_file(Interrupted(tiny, 1), source, tmp_path / "out.npy", chunk_size=CHUNK)
    again = RecordFile(tmp_path / other, quoted=quoted)
    with pytest.raises(ConfigError, match=rf"{told}\): repeat those.*--restart"):
        encode_file(Interrupted(tiny, 9), again, tmp_path / "out.npy", chunk_size=CHUNK)


def test_another_encoder_is_other_settings(
    make_encoder: Callable[..., InstructionEncoder], embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path
) -> None:
    encode_file(embedder, source, tmp_path / "out.npy")
    with pytest.raises(ConfigError, match="encoder_revision was"):
        encode_file(InstructionEmbedder(make_encoder(), device="cpu"), source, tmp_path / "out.npy")


@pytest.mark.parametrize("ended", [True, False])
def test_a_file_that_changed_after_it_was_encoded_is_refused(
    tiny: InstructionEncoder, embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path, ended: bool
) -> None:
    output = tmp_path / "out.npy"
    if ended:
        encode_file(embedder, source, output)
    else:
        with pytest.raises(KeyboardInterrupt):
            encode_file(Interrupted(tiny, 2), source, output, chunk_size=CHUNK)
    for changed in (["other", *TEXTS[1:]], TEXTS[:10], [*TEXTS, "one more"]):
        write(source.path, changed)
        with pytest.raises(DataError, match=r"was made of another input file.*--restart"):
            encode_file(embedder, source, output, chunk_size=CHUNK)
    encode_file(embedder, source, output, restart=True)
    np.testing.assert_allclose(np.load(output), embedder.encode([*TEXTS, "one more"], INSTRUCTION), atol=1e-6)


def test_a_bad_line_is_told_before_anything_is_encoded_and_earlier_rows_stay(
    tiny: InstructionEncoder, embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path
) -> None:
    output = tmp_path / "out.npy"
    with pytest.raises(KeyboardInterrupt):
        encode_file(Interrupted(tiny, 2), source, output, chunk_size=CHUNK)
    lines = source.path.read_text().splitlines(keepends=True)
    source.path.write_text("".join([*lines[:40], '{"text": 3}\n', *lines[40:]]))
    with pytest.raises(DataError, match="line 41: field 'text' is 3"):
        encode_file(Interrupted(tiny, 0), source, output, chunk_size=CHUNK)
    write(source.path, TEXTS)
    told: list[str] = []
    encode_file(Interrupted(tiny, 5), source, output, chunk_size=CHUNK, say=told.append)
    assert "16 of them done" in told[0]
    np.testing.assert_allclose(np.load(output), embedder.encode(TEXTS, INSTRUCTION), atol=1e-6)


@pytest.mark.parametrize(("precision", "width"), [("float32", 24), ("int8", 24), ("binary", 3)])
@pytest.mark.parametrize("name", ["out.npy", "out.parquet"])
def test_an_empty_file_gives_an_empty_output_of_the_right_form(
    embedder: InstructionEmbedder, tmp_path: Path, name: str, precision: Any, width: int
) -> None:
    source = RecordFile(write(tmp_path / "texts.jsonl", []))
    assert encode_file(embedder, source, tmp_path / name, precision=precision) == 0
    if name == "out.npy":
        made = np.load(tmp_path / name)
        assert made.shape == (0, width) and made.dtype == (np.float32 if precision == "float32" else np.int8)
    else:
        assert parquet.read_table(tmp_path / name).num_rows == 0
    assert found(tmp_path) == {name, f"{name}.json"}


@pytest.mark.parametrize("precision", ["int8", "uint8", "binary", "ubinary"])
def test_the_record_holds_the_ranges_with_which_other_texts_are_quantised_alike(
    embedder: InstructionEmbedder,
    source: RecordFile,
    tmp_path: Path,
    precision: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    encode_file(embedder, source, tmp_path / "out.npy", precision=precision, chunk_size=20)
    record = json.loads((tmp_path / "out.npy.json").read_text())
    ranges = None if record["ranges"] is None else np.array(record["ranges"], dtype=np.float32)
    assert (ranges is not None) == precision.endswith("int8") == ("only 20 texts" in caplog.text)
    expected = embedder.encode(TEXTS, INSTRUCTION, precision=precision, ranges=ranges)
    made = np.load(tmp_path / "out.npy")
    assert made.dtype == expected.dtype and made.shape == expected.shape
    assert np.abs(made.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("precision", ["int8", "uint8"])
@pytest.mark.parametrize(("texts", "chunk_size"), [(TEXTS, 1), (TEXTS[:1], 1024)])
def test_the_ranges_of_a_first_chunk_of_one_text_are_not_invented(
    embedder: InstructionEmbedder, tmp_path: Path, texts: list[str], chunk_size: int, precision: Any
) -> None:
    source = RecordFile(write(tmp_path / "texts.jsonl", texts))
    with pytest.raises(ConfigError, match=r"single text needs ranges.*--chunk-size"):
        encode_file(embedder, source, tmp_path / "out.npy", precision=precision, chunk_size=chunk_size)
    assert found(tmp_path) == set()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("out.csv", {}, "ends with .npy or .parquet"),
        ("out", {}, "ends with .npy or .parquet"),
        ("out.npy", {"with_text": True}, "holds numbers only"),
        ("out.npy", {"chunk_size": 0}, "chunk_size=0"),
        ("out.npy", {"batch_size": 0}, "batch_size=0"),
        ("out.npy", {"truncate_dim": 25}, "truncate_dim=25"),
        ("out.npy", {"precision": "int4"}, "precision='int4'"),
        ("texts.jsonl/out.npy", {}, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_refused_and_leaves_nothing(
    embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path, name: str, options: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        encode_file(embedder, source, tmp_path / name, **options)
    assert found(tmp_path) == set()


def test_a_file_that_was_not_made_here_is_not_written_over(
    embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path
) -> None:
    (tmp_path / "out.npy").write_text("mine")
    with pytest.raises(ConfigError, match="exists and was not made by this command"):
        encode_file(embedder, source, tmp_path / "out.npy")
    assert (tmp_path / "out.npy").read_text() == "mine"


def test_the_input_is_never_written_over(embedder: InstructionEmbedder, tmp_path: Path) -> None:
    path = tmp_path / "texts.parquet"
    parquet.write_table(pa.table({"text": TEXTS}), path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="is the input"):
        encode_file(embedder, RecordFile(path), path, restart=True)
    assert path.read_bytes() == before


def test_two_processes_do_not_write_one_output(
    tiny: InstructionEncoder, embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_file(Interrupted(tiny, 2), source, tmp_path / "out.npy", chunk_size=CHUNK)
    with held(tmp_path / "out.npy.partial") as other:
        with pytest.raises(LockedError, match=rf"process {other.pid} on .* is writing .*out\.npy"):
            encode_file(embedder, source, tmp_path / "out.npy", chunk_size=CHUNK)
    encode_file(embedder, source, tmp_path / "out.npy", chunk_size=CHUNK)
    assert not (tmp_path / "out.npy.partial").exists()


@pytest.mark.parametrize("damage", ["{", "{}", "[]", '{"rows": 3}'])
def test_a_damaged_state_is_told_with_the_remedy(
    tiny: InstructionEncoder, source: RecordFile, tmp_path: Path, damage: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_file(Interrupted(tiny, 2), source, tmp_path / "out.npy", chunk_size=CHUNK)
    (tmp_path / "out.npy.partial" / "state.json").write_text(damage)
    with pytest.raises(DataError, match=r"state.json is damaged .*--restart"):
        encode_file(Interrupted(tiny, 9), source, tmp_path / "out.npy")
    encode_file(Interrupted(tiny, 9), source, tmp_path / "out.npy", restart=True)


def test_a_disk_without_room_is_refused_before_encoding(
    tiny: InstructionEncoder, source: RecordFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 4000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OneEmbedderError, match="takes 5 KiB more, and 4 KiB are free"):
        encode_file(Interrupted(tiny, 0), source, tmp_path / "out.npy")
    assert found(tmp_path) == set()


def test_a_disk_that_fills_up_loses_no_finished_chunk(
    tiny: InstructionEncoder, embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    append = EmbeddingStore.append

    def full(self: EmbeddingStore, rows: Any, truncation: Truncation) -> None:
        if self.record.rows == 3 * CHUNK:
            self.file.seek(self.header + self.record.rows * self.record.row_bytes)
            self.file.write(rows.tobytes()[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, rows, truncation)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(EmbeddingStore, "append", full)
        encode_file(embedder, source, tmp_path / "out.npy", chunk_size=CHUNK)
    encode_file(Interrupted(tiny, 4), source, tmp_path / "out.npy", chunk_size=CHUNK)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), embedder.encode(TEXTS, INSTRUCTION), atol=1e-6)


def test_an_embedding_that_is_not_finite_is_placed(
    make_encoder: Callable[..., InstructionEncoder], source: RecordFile, tmp_path: Path
) -> None:
    encoder = make_encoder()
    encoder.backbone.shared.weight.data[4] = float("inf")
    with pytest.raises(OneEmbedderError, match=r"among rows 1 to 8: .* not finite, the first of text 0"):
        encode_file(InstructionEmbedder(encoder, device="cpu"), source, tmp_path / "out.npy", chunk_size=CHUNK)


def test_the_plan_the_pace_and_the_end_are_told(
    embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path
) -> None:
    told: list[str] = []
    encode_file(embedder, source, tmp_path / "out.npy", chunk_size=CHUNK, say=told.append)
    assert "50 texts; output 5 KiB, " in told[0]
    assert re.fullmatch(r"8 of 50 rows, .* texts/s, about \d+ s left.*", told[1])
    assert told[2:] == [f"{tmp_path / 'out.npy'}: 50 rows of 24 float32"]


class Changing(RecordFile):
    """Its file gets one text more in one of its readings."""

    at = 1
    readings = 0

    def __iter__(self) -> Iterator[Record]:
        self.readings += 1
        yield from super().__iter__() if self.readings != self.at else self.changed()

    def changed(self) -> Iterator[Record]:
        records = list(super().__iter__())
        write(self.path, [*TEXTS, "one more"])
        yield from records


@pytest.mark.parametrize("at", [1, 2, 3])
def test_texts_that_change_while_they_are_read_make_no_output(
    embedder: InstructionEmbedder, source: RecordFile, tmp_path: Path, at: int
) -> None:
    changing = Changing(source.path)
    changing.at = at
    with pytest.raises(DataError, match=r"was changed while it was read"):
        encode_file(embedder, changing, tmp_path / "out.parquet", with_text=True)
    assert not (tmp_path / "out.parquet").exists()


def test_the_record_names_the_encoder_as_it_was_asked_for_its_joining_and_its_length(
    tiny: InstructionEncoder, source: RecordFile, tmp_path: Path
) -> None:
    save_encoder(tiny, tmp_path / "model")
    embedder = InstructionEmbedder(tmp_path / "model", device="cpu", joining="head", max_length=20)
    encode_file(embedder, source, tmp_path / "out.npy")
    record = json.loads((tmp_path / "out.npy.json").read_text())
    assert record["encoder"] == {"name": str(tmp_path / "model"), "joining": "head", "max_length": 20}
    moved = shutil.copytree(tmp_path / "model", tmp_path / "moved")
    again = InstructionEmbedder(moved, device="cpu", joining="head", max_length=20)
    assert encode_file(again, source, tmp_path / "out.npy") == 50, "the same encoder, under another name"


def test_the_default_prompt_is_used_and_recorded_where_the_file_says_nothing_of_an_instruction(
    tiny: InstructionEncoder, tmp_path: Path
) -> None:
    embedder = InstructionEmbedder(tiny, device="cpu", prompts={"ask": INSTRUCTION}, default_prompt_name="ask")
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text, "how": ""}) + "\n" for text in TEXTS))
    for source, instruction in (
        (RecordFile(path), INSTRUCTION),
        (RecordFile(path, instruction="the dog: "), "the dog: "),
        (RecordFile(path, instruction=""), ""),
        (RecordFile(path, instruction_field="how"), ""),
    ):
        encode_file(embedder, source, tmp_path / "out.npy", restart=True)
        np.testing.assert_allclose(np.load(tmp_path / "out.npy"), embedder.encode(TEXTS, instruction), atol=1e-6)
        record = json.loads((tmp_path / "out.npy.json").read_text())
        assert record["settings"]["instruction"] == instruction


@pytest.mark.parametrize("at", [1, 4])
def test_what_was_cut_is_counted_over_all_chunks_and_interruptions_recorded_and_told(
    tiny: InstructionEncoder, tmp_path: Path, at: int
) -> None:
    long, huge = "cats and dogs " * 30, "represent the question " * 100
    rows = [
        {"text": long if row % 5 == 0 else "cat", "how": huge if row % 10 == 1 else INSTRUCTION} for row in range(40)
    ]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = RecordFile(tmp_path / "texts.jsonl", instruction_field="how")
    with pytest.raises(KeyboardInterrupt):
        encode_file(Interrupted(tiny, at), source, tmp_path / "out.npy", chunk_size=CHUNK)
    told: list[str] = []
    encode_file(Interrupted(tiny, 9), source, tmp_path / "out.npy", chunk_size=CHUNK, say=told.append)
    assert json.loads((tmp_path / "out.npy.json").read_text())["truncation"] == {"cut": 12, "lost": 4}
    expected = "12 of 40 texts are, with their instruction, longer than 32 tokens and were cut; of 4 the instruction"
    assert expected in told[-1]
    encode_file(Interrupted(tiny, 0), source, tmp_path / "out.npy", say=told.append)
    assert "complete already" in told[-1] and expected in told[-1]


def test_rows_over_several_lines_are_told_before_anything_is_encoded(
    embedder: InstructionEmbedder, tmp_path: Path
) -> None:
    (tmp_path / "texts.csv").write_text('text,id\n"cats",1\n"dogs\nand\ncats",2\n')
    told: list[str] = []
    assert encode_file(embedder, RecordFile(tmp_path / "texts.csv"), tmp_path / "out.npy", say=told.append) == 2
    assert "2 texts; 1 of its rows go over several lines, within quotes; output" in told[0]


def test_chunks_end_early_where_texts_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK_CHARACTERS", 10)
    lengths = [3, 3, 3, 3, 20, 9, 1, 1, 1, 1, 1]
    made = [[len(record.text) for record in chunk] for chunk in chunks((Record("", "x" * n) for n in lengths), 4)]
    assert made == [[3, 3, 3], [3], [20], [9, 1], [1, 1, 1, 1]]


def test_the_first_chunk_is_short_so_that_there_is_an_estimate_soon(
    embedder: InstructionEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_FIRST_ROWS", 5)
    told: list[str] = []
    source = RecordFile(write(tmp_path / "texts.jsonl", TEXTS))
    encode_file(embedder, source, tmp_path / "out.npy", chunk_size=40, say=told.append)
    assert told[1].startswith("5 of 50 rows, ")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), embedder.encode(TEXTS), atol=1e-6)


class Blank:
    """Stands in for an embedder: zeros, at once."""

    name, revision, dtype, dimension, max_seq_length = "blank", "none", "float32", 384, 256
    prompts: ClassVar[dict[str, str]] = {}
    default_prompt_name = None
    encoder = SimpleNamespace(tokenizer=SimpleNamespace(joining="pypi"))
    encoded = 0

    def encode(self, sentences: list[str], *arguments: Any, **options: Any) -> np.ndarray:
        self.encoded += len(sentences)
        return np.zeros((len(sentences), self.dimension), dtype=np.float32)


class Watched(RecordFile):
    """Notes how far reading is ahead of encoding, once the survey is over."""

    ahead = 0
    readings = 0

    def __iter__(self) -> Iterator[Record]:
        self.readings += 1
        for count, record in enumerate(super().__iter__(), start=1):
            if self.readings == 2:
                self.ahead = max(self.ahead, count - self.blank.encoded)
            yield record


def test_never_more_than_a_chunk_is_in_memory(tmp_path: Path) -> None:
    rows = 60_000
    write(tmp_path / "texts.jsonl", ["a text of some fifty characters, as they are in life"] * rows)
    source = Watched(tmp_path / "texts.jsonl")
    source.blank = blank = Blank()  # type: ignore[attr-defined]
    tracemalloc.start()
    try:
        encode_file(blank, source, tmp_path / "out.npy", chunk_size=256)  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert source.ahead == 257
    assert (tmp_path / "out.npy").stat().st_size > 90e6
    assert peak < 3e6
