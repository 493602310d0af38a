"""Data sets by hub id, fetched by the real client from a stand-in hub on loopback."""

from __future__ import annotations

from pathlib import Path

import datasets
import pandas as pd
import pytest

from one_embedder.errors import DataError
from one_embedder.evaluation.tasks.registry import hub_tasks, open_hub_task
from tests.hub import StandInHub

NAME = "owner/retrieval"
ROWS = {
    "corpus": pd.DataFrame({"_id": ["d1", "d2"], "text": ["waves and ships", "clouds and birds"]}),
    "queries": pd.DataFrame({"_id": ["q1"], "text": ["a harbour"]}),
}


@pytest.fixture
def data_hub(hub: StandInHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInHub:
    """The stand-in hub, for ``datasets`` too, which keeps settings of its own."""
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
    return hub


def write_repository(folder: Path, suffix: str) -> None:
    """One folder and one configuration a table, as retrieval data sets have them."""
    card = ["---", "configs:"]
    for name, rows in ROWS.items():
        path = folder / name / f"test-0.{suffix}"
        path.parent.mkdir(parents=True)
        rows.to_parquet(path) if suffix == "parquet" else rows.to_json(path, orient="records", lines=True)
        card += [f"- config_name: {name}", "  data_files:", "  - split: test", f"    path: {name}/*.{suffix}"]
    (folder / "README.md").write_text("\n".join([*card, "---", ""]))


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_data_set_is_loaded_by_id_configuration_and_revision_and_then_offline(
    data_hub: StandInHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    write_repository(tmp_path / "data", suffix)
    commit = data_hub.commit(NAME, tmp_path / "data", kind="datasets")
    for name, rows in ROWS.items():
        loaded = datasets.load_dataset(NAME, name, split="test", revision=commit)
        assert loaded.to_list() == rows.to_dict("records")
    assert len(data_hub.asked(suffix, "GET")) == len(ROWS)
    data_hub.stop()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    for name, rows in ROWS.items():
        assert datasets.load_dataset(NAME, name, split="test").to_list() == rows.to_dict("records")


def test_a_data_set_that_is_a_script_is_refused_and_its_script_left_alone(
    data_hub: StandInHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = next(task for task in hub_tasks("MTEB(eng, v1)") if task.name == "SciFact")
    (tmp_path / "data").mkdir()
    trace = tmp_path / "was-here"
    (tmp_path / "data" / f"{Path(task.repository).name}.py").write_text(f"open({str(trace)!r}, 'w').close()\n")
    data_hub.commit(task.repository, tmp_path / "data", branch=task.revision, kind="datasets")
    monkeypatch.setattr("builtins.input", lambda question="": "y")
    with pytest.raises(DataError, match=rf"its data set {task.repository} at revision .* is not to be had"):
        open_hub_task(task)
    assert data_hub.asked(".py") and not trace.exists()
