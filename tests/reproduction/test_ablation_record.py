"""The record of an ablation reads back as it was written, and names itself where it cannot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from one_embedder.errors import DataError
from one_embedder.reproduction.ablation.record import read_record, read_records, write_record
from tests.reproduction.ablations import small_record, write_small_record


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = small_record()
    read = read_record(write_small_record(tmp_path))
    assert json.dumps(read, default=vars) == json.dumps(written, default=vars)
    assert read.claims[0].difference == written.claims[0].difference
    assert read.cell("with+paraphrased").intervals == written.cell("with+paraphrased").intervals


def test_records_are_found_by_profile_and_name(tmp_path: Path) -> None:
    folder = write_small_record(tmp_path).parent.parent
    for place in ("wording/local", "other/documentation"):
        name, profile = place.split("/")
        (folder / name).mkdir(exist_ok=True)
        write_record(folder / f"{place}.json", replace(small_record(), name=name, profile=profile))
    found = [(record.profile, record.name) for record in read_records(folder)]
    assert found == [("documentation", "other"), ("documentation", "wording"), ("local", "wording")]
    assert [record.name for record in read_records(folder, "local")] == ["wording"]
    assert read_records(folder, "paper") == []


def test_a_record_of_nothing_is_not_shown(tmp_path: Path) -> None:
    path = write_small_record(tmp_path)
    write_record(path, replace(small_record(), cells=[], claims=[], provenance={}))
    assert read_records(tmp_path / "ablations", "documentation") == []


def test_a_claim_about_untrained_encoders_rests_on_no_training() -> None:
    record = small_record()
    claim = record.claims[0]
    assert record.told(claim) == "supported (3 seeds, 400 steps)"
    assert record.told(replace(claim, plus=["backbone"], minus=["backbone"])) == "supported"


def test_a_record_with_missing_children_is_not_complete(tmp_path: Path) -> None:
    assert read_record(write_small_record(tmp_path / "whole")).is_complete
    assert not read_record(write_small_record(tmp_path / "part", missing=("with-s2",))).is_complete


def test_an_ablation_that_did_not_run_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no record of this ablation; run `make ablation-temperature`"):
        read_record(tmp_path / "temperature" / "documentation.json")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "name": "x"}'])
def test_a_damaged_record_names_itself(tmp_path: Path, content: str) -> None:
    path = tmp_path / "documentation.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"documentation\.json: not the record of an ablation"):
        read_record(path)


def test_a_cell_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(DataError, match=r"no cell 'with'; there are backbone, without\+as written"):
        small_record().cell("with")
