from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from one_embedder.errors import DataError
from one_embedder.medi.row import MediRow
from one_embedder.medi.store import (
    DATA_FILE,
    MANIFEST_FILE,
    further_negatives,
    load_medi,
    negative_labels,
    write_medi,
)
from tests.medi.toy import row_of, toy_rows

ROWS = toy_rows({3: 5, 1: 4})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "medi"
    write_medi(ROWS, path, about={"source": "toy"})
    return path


def test_rows_come_back_in_order_with_every_value(folder: Path) -> None:
    medi = load_medi(folder)
    read = [
        MediRow(
            task_id=row["task_id"],
            task_name=row["task_name"],
            query=(row["query_instruction"], row["query_text"]),
            positive=(row["pos_instruction"], row["pos_text"]),
            negative=(row["neg_instruction"], row["neg_text"]),
        )
        for row in medi.dataset
    ]
    assert read == ROWS
    assert medi.task_ids.tolist() == [row.task_id for row in ROWS]
    assert medi.task_names == {1: "task 1", 3: "task 3"}


def test_manifest_tells_counts_tasks_and_origin(folder: Path) -> None:
    manifest = load_medi(folder).manifest
    assert manifest["rows"] == 9
    assert manifest["tasks"] == [
        {"task_id": 1, "task_name": "task 1", "rows": 4},
        {"task_id": 3, "task_name": "task 3", "rows": 5},
    ]
    assert manifest["about"] == {"source": "toy"}


def test_hash_depends_on_rows_and_their_order_and_nothing_else(tmp_path: Path, folder: Path) -> None:
    known = load_medi(folder).sha256
    assert write_medi(iter(ROWS), tmp_path / "again", about={"other": 1}) == known
    assert write_medi(ROWS[::-1], tmp_path / "reversed", about={}) != known
    changed = replace(ROWS[0], query=(ROWS[0].query[0] + ROWS[0].query[1], "x"))
    assert write_medi([changed, *ROWS[1:]], tmp_path / "changed", about={}) != known


def test_text_is_kept_whatever_its_characters(tmp_path: Path) -> None:
    odd = replace(ROWS[0], query=("", 'ü \u2028 "quoted"\n\t\\ 🙂'))
    write_medi([odd], tmp_path / "medi", about={})
    assert load_medi(tmp_path / "medi").dataset[0]["query_text"] == odd.query[1]


def test_data_is_memory_mapped(folder: Path) -> None:
    assert load_medi(folder).dataset.cache_files == [{"filename": str(folder / DATA_FILE)}]


def test_writing_again_replaces_the_folder(folder: Path) -> None:
    write_medi(ROWS[:2], folder, about={})
    assert len(load_medi(folder).dataset) == 2
    assert [path.name for path in folder.parent.iterdir()] == ["medi"]


def test_an_interrupted_write_leaves_the_older_data_and_no_litter(folder: Path) -> None:
    def breaks() -> Iterator[MediRow]:
        yield from ROWS[:3]
        raise KeyboardInterrupt

    known = load_medi(folder).sha256
    with pytest.raises(KeyboardInterrupt):
        write_medi(breaks(), folder, about={})
    assert load_medi(folder).sha256 == known
    assert [path.name for path in folder.parent.iterdir()] == ["medi"]


def test_a_bad_row_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1, field positive: the text is empty"):
        write_medi([ROWS[0], replace(ROWS[1], positive=("", ""))], tmp_path / "medi", about={})
    assert list(tmp_path.iterdir()) == []


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows"):
        write_medi([], tmp_path / "medi", about={})


def test_one_task_under_two_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: task 3 is called 'other' here and 'task 3' before"):
        write_medi([ROWS[0], replace(ROWS[1], task_name="other")], tmp_path / "medi", about={})


def test_a_missing_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run build_medi"):
        load_medi(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"schema": 1}', '{"schema": 9}'])
def test_a_broken_manifest_is_refused(folder: Path, content: str) -> None:
    (folder / MANIFEST_FILE).write_text(content)
    with pytest.raises(DataError, match="build the data again"):
        load_medi(folder)


def test_a_manifest_of_another_schema_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps({**manifest, "schema": 99}))
    with pytest.raises(DataError, match="schema 99"):
        load_medi(folder)


def test_several_hard_negatives_come_back_with_their_row_and_the_most_of_them_is_known(tmp_path: Path) -> None:
    more = (("", "another"), ("i", "a third"))
    write_medi([ROWS[0], replace(ROWS[1], further_negatives=more)], tmp_path / "medi", about={})
    medi = load_medi(tmp_path / "medi")
    assert [further_negatives(row) for row in medi.dataset] == [[], list(more)]
    assert medi.negatives_per_row == 3


def test_hash_depends_on_every_negative_and_stays_for_rows_of_one(tmp_path: Path, folder: Path) -> None:
    known = load_medi(folder).sha256
    lines = [[r.task_id, r.task_name, *r.query, *r.positive, *r.negative] for r in ROWS]
    assert known == hashlib.sha256("".join(json.dumps(line) + "\n" for line in lines).encode()).hexdigest()
    changed = [replace(ROWS[0], further_negatives=(("", text),)) for text in "ab"]
    hashes = {write_medi([row, *ROWS[1:]], tmp_path / "changed", about={}) for row in changed}
    assert len({known, *hashes}) == 3


def test_classes_are_kept_and_count_in_the_hash_only_where_there_are_any(tmp_path: Path, folder: Path) -> None:
    classes = replace(ROWS[0], label="yes", negative_label="no")
    known = write_medi([classes, *ROWS[1:]], tmp_path / "classes", about={})
    items = load_medi(tmp_path / "classes").dataset.to_list()
    assert [(item["label"], item["neg_label"]) for item in items[:2]] == [("yes", "no"), (None, None)]
    other = write_medi([replace(classes, negative_label="maybe"), *ROWS[1:]], tmp_path / "other", about={})
    unlabelled = [replace(ROWS[0], negative_label=label) for label in ("yes", "no")]
    alone = {write_medi([row, *ROWS[1:]], tmp_path / "alone", about={}) for row in unlabelled}
    assert len({load_medi(folder).sha256, known, other, *alone}) == 5


def test_the_class_of_every_negative_is_kept_and_counts_in_the_hash(tmp_path: Path) -> None:
    several = replace(ROWS[0], label="a", negative_label="b", further_negatives=(("", "x"), ("", "y")))
    hashes = set()
    for classes in ((), ("c", "d"), ("c", "e")):
        rows = [replace(several, further_negative_labels=classes), *ROWS[1:]]
        hashes.add(write_medi(rows, tmp_path / "medi", about={}))
        items = list(load_medi(tmp_path / "medi").dataset)
        assert [row_of(item) for item in items] == rows
        assert negative_labels(items[0]) == ["b", *(classes or (None, None))]
        assert negative_labels(items[1]) == [None]
    assert len(hashes) == 3


def test_data_cut_short_or_altered_or_missing_is_refused(folder: Path) -> None:
    data = folder / DATA_FILE
    whole = data.read_bytes()
    data.write_bytes(whole[:-100])
    with pytest.raises(DataError, match="cut short or altered"):
        load_medi(folder)
    middle = len(whole) // 2
    data.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(DataError, match="cut short or altered"):
        load_medi(folder)
    data.unlink()
    with pytest.raises(DataError, match="is missing"):
        load_medi(folder)
