"""The sweep's jobs leave a table that is right after any number of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.reproduction.ablation import run_job, tabulate
from one_embedder.reproduction.run import reproduce
from tests.reproduction.fakes import FakeWork

Configure = Callable[..., Config]


def job(configure: Configure, with_instructions: bool, seed: int, *more: str) -> Config:
    side = str(with_instructions).lower()
    return configure("table.name=with_without_instructions", f"with_instructions={side}", f"seed={seed}", *more)


def tables(tmp_path: Path) -> tuple[list[dict[str, str]], str]:
    folder = tmp_path / "experiments" / "ablations"
    with (folder / "with_without_instructions.csv").open() as stream:
        return list(csv.DictReader(stream)), (folder / "with_without_instructions.md").read_text()


def test_a_job_returns_the_mean_of_the_categories_and_tabulates_what_is_finished(
    configure: Configure, work: FakeWork, tmp_path: Path
) -> None:
    mean = run_job(job(configure, True, 1), work.stages)
    lines, _ = tables(tmp_path)
    assert [float(line["average"]) for line in lines] == [pytest.approx(100 * mean, abs=1e-3)]


def test_the_verb_fills_the_whole_grid_with_a_row_a_job_and_means_over_seeds(
    configure: Configure, work: FakeWork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_job(job(configure, True, 1), work.stages)
    assert reproduce(job(configure, True, 0, "table.seeds=[0,1,2]"), work.stages) == 0
    lines, markdown = tables(tmp_path)
    assert [(line["with_instructions"], line["seed"]) for line in lines] == [
        *(("True", seed) for seed in "012"),
        *(("False", seed) for seed in "012"),
    ]
    assert "| finetuned without instructions | 0, 1, 2 |" in markdown
    assert "±" in markdown
    assert "INSTRUCTOR (finetuned with instructions)" in capsys.readouterr().out
    evaluations = [cfg for name, cfg in work.calls if name == "evaluate"]
    assert [bool(cfg.instructions.table) for cfg in evaluations] == [True] + [False] * 3 + [True] * 3


def test_a_repeated_job_replaces_its_row(configure: Configure, work: FakeWork, tmp_path: Path) -> None:
    for _ in range(2):
        run_job(job(configure, True, 0), work.stages)
    assert len(tables(tmp_path)[0]) == 1


def test_jobs_on_other_data_or_another_split_are_never_in_one_table(
    configure: Configure, work: FakeWork, tmp_path: Path
) -> None:
    run_job(job(configure, True, 0), work.stages)
    run_job(job(configure, True, 0, "benchmark.split=dev"), work.stages)
    work.data["medi"] = "c" * 64
    run_job(job(configure, True, 1), work.stages)
    assert tables(tmp_path)[1].count("| model |") == 3


def test_a_damaged_record_names_itself(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{")
    with pytest.raises(DataError, match=r"job\.json: not the record of a job.*delete it"):
        tabulate(tmp_path)
