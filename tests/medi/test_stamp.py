from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from one_embedder.errors import DataError
from one_embedder.files import hashes as stamp
from one_embedder.files.hashes import file_sha256, has_sha256
from one_embedder.medi.store import DATA_FILE, load_medi, write_medi
from tests.medi.toy import toy_rows


class Reads:
    """Counts how often files are read whole."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, path: Path) -> str:
        self.count += 1
        return file_sha256(path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    counter = Reads()
    monkeypatch.setattr(stamp, "file_sha256", counter)
    return counter


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written long ago."""
    monkeypatch.setattr(stamp, "_SETTLED_AFTER", -1.0)


def test_a_file_is_read_once(tmp_path: Path, reads: Reads, settled: None) -> None:
    (path := tmp_path / "data").write_text("text")
    assert all(has_sha256(path, file_sha256(path)) for _ in range(3))
    assert reads.count == 1
    assert sorted(other.name for other in tmp_path.iterdir()) == [".data.hashed", "data"]


def test_a_file_that_was_just_written_is_read_each_time(tmp_path: Path, reads: Reads) -> None:
    (path := tmp_path / "data").write_text("text")
    assert has_sha256(path, file_sha256(path)) and has_sha256(path, file_sha256(path))
    assert reads.count == 2


def test_a_changed_file_of_the_same_size_and_modification_time_is_read_again(tmp_path: Path, settled: None) -> None:
    (path := tmp_path / "data").write_text("text")
    known, times = file_sha256(path), path.stat()
    assert has_sha256(path, known)
    path.write_text("next")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not has_sha256(path, known)


def test_a_copied_folder_is_read_again_and_another_hash_is_not_taken_from_the_note(
    tmp_path: Path, reads: Reads, settled: None
) -> None:
    (path := tmp_path / "a" / "data").parent.mkdir()
    path.write_text("text")
    known = file_sha256(path)
    assert has_sha256(path, known) and not has_sha256(path, "0" * 64)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    before = reads.count
    assert has_sha256(tmp_path / "b" / "data", known)
    assert reads.count == before + 1


@pytest.mark.parametrize("note", ["", "{", "[]", "\ufffd"])
def test_a_broken_note_is_as_good_as_none(tmp_path: Path, reads: Reads, settled: None, note: str) -> None:
    (path := tmp_path / "data").write_text("text")
    (tmp_path / ".data.hashed").write_text(note)
    assert has_sha256(path, file_sha256(path)) and reads.count == 1


def test_training_data_altered_after_they_were_noted_are_refused(tmp_path: Path, settled: None) -> None:
    write_medi(toy_rows({1: 4}), tmp_path / "medi", about={})
    load_medi(tmp_path / "medi")
    data = tmp_path / "medi" / DATA_FILE
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    with pytest.raises(DataError, match="cut short or altered"):
        load_medi(tmp_path / "medi")
