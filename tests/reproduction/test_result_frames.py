"""The public frames hold the records' numbers, recorded ones and one's own apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder import results
from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.reproduction.ablation.record import read_records
from one_embedder.reproduction.table1.record import read_table1
from one_embedder.reproduction.table1.run import reproduce
from one_embedder.reproduction.table1.tables import claim_grid
from tests.reproduction.ablations import small_record, write_small_record
from tests.reproduction.fakes import FakeWork


def test_scores_holds_every_number_of_table1_and_of_the_ablations(project_root: Path) -> None:
    scores = results.scores()
    assert not scores.duplicated(["whose", "table", "profile", "model", "column"]).any()
    recorded = scores[scores["whose"] == "recorded"]
    record = read_table1(project_root / "experiments/table1/documentation.json")
    ours = recorded.query("table == 'table1' and profile == 'documentation'").set_index(["model", "column"])
    for row in record["rows"]:
        for column, score in row["scores"].items():
            low, high = row["intervals"][column]
            assert ours.loc[(row["label"], column), ["points", "low", "high"]].tolist() == pytest.approx(
                [100 * score, 100 * low, 100 * high]
            )
    cells = sum(len(cell.scores) for own in read_records(project_root / "experiments/ablations") for cell in own.cells)
    others = ["table1", "views", "views_train", "looked_at", "folder", "harness"]
    assert (~recorded["table"].isin(others)).sum() == cells > 100
    assert {"folder", "harness", "looked_at", "views", "views_train"} <= set(recorded["table"])


def test_claims_say_what_the_tables_say(project_root: Path) -> None:
    claims = results.claims().query("whose == 'recorded' and table == 'table1' and profile == 'documentation'")
    told = claim_grid(read_table1(project_root / "experiments/table1/documentation.json")).rows
    assert [[row.claim, row.verdict] for row in claims.itertuples()] == [row[:2] for row in told]
    assert [f"{points:+.1f}" for points in claims["points"]] == [row[2].split()[0] for row in told]


def test_losses_of_the_same_seed_are_those_of_the_same_batches() -> None:
    losses = results.losses().query("whose == 'recorded'")
    assert set(losses["seed"]) == {0, 1, 2} and not losses.duplicated(["model", "seed", "step"]).any()
    wide = losses.pivot(index="step", columns=["model", "seed"], values="loss")
    first, second = losses["model"].unique()
    assert all(wide[first, seed].corr(wide[second, seed]) > 0.9 for seed in (0, 1, 2))
    assert wide[first, 0].corr(wide[first, 1]) < 0.5, "another seed meets other batches"


def test_tasks_that_are_not_the_tables_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configure: Callable[..., Config], work: FakeWork
) -> None:
    monkeypatch.setenv(results.EXPERIMENTS, str(tmp_path / "experiments"))
    reproduce(configure("table.seeds=[0,1]", "table.bootstrap_resamples=199", "table.record=true"), work.stages)
    (file,) = (tmp_path / "experiments").rglob("documentation_tasks.csv")
    lines = file.read_text().splitlines()
    before, _, points = lines[1].rpartition(",")
    file.write_text("\n".join([lines[0], f"{before},{float(points) + 5}", *lines[2:]]) + "\n")
    with pytest.raises(DataError, match="is stated, and the other numbers give"):
        results.tasks()
    file.unlink()
    with pytest.raises(DataError, match=r"documentation_tasks\.csv is gone"):
        results.tasks()


@pytest.mark.parametrize("named", ["", "~/experiments"])
def test_a_place_may_be_named_from_ones_home_or_left_empty(
    named: str, tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "experiments").symlink_to(project_root / "experiments")
    monkeypatch.setenv(results.EXPERIMENTS, named)
    assert not results.bench().empty


def test_bench_keeps_the_measured_numbers(project_root: Path) -> None:
    row = json.loads((project_root / "experiments/bench/encode.json").read_text())["rows"][0]
    bench = results.bench().query("whose == 'recorded' and bench == 'encode'").set_index("number")["value"]
    assert bench["rows/0/ours_texts_per_second"] == row["ours_texts_per_second"]


def test_ones_own_run_stands_beside_the_recorded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configure: Callable[..., Config], work: FakeWork
) -> None:
    experiments = tmp_path / "experiments"
    monkeypatch.setenv(results.EXPERIMENTS, str(experiments))
    reproduce(configure("table.bootstrap_resamples=199"), work.stages)
    reproduce(configure("table.seeds=[0,1]", "table.bootstrap_resamples=199", "table.record=true"), work.stages)
    write_small_record(experiments / "own")
    assert set(results.tasks()["whose"]) == {"recorded", "your run"}
    seeds = results.scores().query("table == 'table1' and model.str.startswith('INSTRUCTOR')").groupby("whose")["seeds"]
    assert seeds.max().to_dict() == {"recorded": 2, "your run": 1}
    mine = results.claims().query("table == 'wording'")
    assert mine["verdict"].tolist() == [small_record().told(claim) for claim in small_record().claims]
    run = experiments / "runs" / "with-s0"
    assert results.losses().empty and results.trained_encoder() is None
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text("step,loss\n0,3.0\n1,2.0\n1,1.9\n")  # resumed: step 1 ran twice
    assert results.losses().query("whose == 'your run'")["loss"].tolist() == [3.0, 1.9]
    (run / "checkpoint").mkdir()
    (run / "checkpoint" / "modules.json").touch()
    assert results.trained_encoder() == run / "checkpoint"


def test_what_is_not_there_is_said_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(results.EXPERIMENTS, str(tmp_path))
    monkeypatch.setenv(results.DATA, str(tmp_path))
    for frame in (results.scores(), results.claims(), results.bench(), results.training_rows()):
        assert frame.empty and len(frame.columns) >= 4
    for read in (results.tasks, results.losses):
        with pytest.raises(DataError, match="run `make reproduce-table1 PROFILE=super_ni`"):
            read("super_ni")
