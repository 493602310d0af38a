"""The whole verb on nine tiny tasks, a tiny encoder, the project's own training and evaluation."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.config.ablation import children
from one_embedder.config.schema import AblationConfig, AxisConfig, ClaimConfig, Config
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.medi.store import write_medi
from one_embedder.reproduction.ablation.record import read_record
from one_embedder.reproduction.ablation.tabulate import ablate
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS
from one_embedder.reproduction.steps.verbs import Stages, project_stages
from one_embedder.reproduction.table1.run import reproduce
from tests.evaluation.conftest import tiny_files, write_benchmark
from tests.medi.toy import INSTRUCTION, toy_rows
from tests.training.tiny import tiny_encoder

TASKS = sorted({name.split("/")[-2] for name in tiny_files()})


def build(cfg: Config) -> None:
    """Stands for ``build_medi``: the only stage that needs minutes."""
    if not Path(cfg.medi.folder, "medi").exists():
        write_medi(toy_rows({1: 17, 2: 14}), Path(cfg.medi.folder) / "medi", about={})
        write_benchmark(Path(cfg.benchmark.root))


def tiny_project(configure: Callable[..., Config], folder: Path) -> tuple[Config, Stages]:
    """Four steps of a tiny encoder on the CPU, and the project's own stages but for the building of data."""
    save_encoder(tiny_encoder(), folder / "tiny")
    small = ["trainer.max_steps=4", "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_length=16"]
    cfg = configure(
        f"encoder.name_or_path={folder}/tiny",
        *("optimizer.learning_rate=1e-2", "optimizer.frozen_layers=0"),  # four steps have to make a difference
        "sampler.global_batch_size=4",
        "tracking.wandb=disabled",
        "table.seeds=[0]",
        *small,
    )
    sides = dict.fromkeys(("query", "document", "text"), INSTRUCTION)
    cfg.instructions.table = dict.fromkeys(TASKS, sides)
    own = project_stages()
    return cfg, Stages(build, own.train, own.evaluate, own.data_identity)


@pytest.mark.slow
def test_a_tiny_reproduction_fills_every_cell_and_a_second_one_trains_and_scores_nothing(
    configure: Callable[..., Config],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    no_network: None,
) -> None:
    cfg, stages = tiny_project(configure, tmp_path)
    cfg.table.record = True
    assert reproduce(cfg, stages) == 0
    with (tmp_path / "experiments" / "table1" / "documentation.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert all(row[column] for row in rows for column in (*COLUMNS, AVERAGE))
    averages = [row[AVERAGE] for row in rows]
    assert len({averages[0], averages[2], averages[3]}) == 3, "three models were scored, not one three times"

    weights = {path: path.stat().st_mtime_ns for path in (tmp_path / "experiments" / "runs").rglob("*.safetensors")}
    results = {path: path.stat().st_mtime_ns for path in (tmp_path / "experiments" / "results").rglob("*.json")}
    assert len(weights) == 2 and len(results) >= 4 * 9
    cfg.table.record = False
    capsys.readouterr()
    assert reproduce(cfg, stages) == 0
    assert "70 ok" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == time for path, time in {**weights, **results}.items())


@pytest.mark.slow
def test_a_tiny_ablation_trains_and_scores_every_child_and_a_second_sweep_does_neither(
    configure: Callable[..., Config], tmp_path: Path
) -> None:
    cfg, stages = tiny_project(configure, tmp_path)
    cfg.optimizer.frozen_layers = 0
    cfg.ablation = AblationConfig(
        name="tiny",
        seeds=[0, 1],
        axes={
            "model": AxisConfig(levels={"shallow": {"encoder.layers": 2}, "deep": {"loss.temperature": 0.5}}),
            "given": AxisConfig(
                evaluated=True, levels={"right": {}, "shuffled": {"evaluation.instructions": "shuffled"}}
            ),
        },
        references={
            "plain": {"with_instructions": False},
            "plain_2": {"with_instructions": False, "encoder.layers": 2},
        },
        claims={
            "deeper": ClaimConfig(
                text="Three layers are better than two.",
                source="ours",
                plus=[{"model": "deep", "given": "right"}],
                minus=[{"model": "shallow", "given": "right"}],
            )
        },
    )

    def sweep() -> None:
        for child in children(cfg.ablation):
            cfg.ablation.child = child.id
            ablate(cfg, stages)
        cfg.ablation.child = None

    sweep()
    assert ablate(cfg, stages) == 0
    record = read_record(tmp_path / "experiments" / "own" / "ablations" / "tiny" / "documentation.json")
    assert [cell.id for cell in record.cells][:4] == ["plain", "plain_2", "shallow+right", "shallow+shuffled"]
    averages = [cell.scores[AVERAGE] for cell in record.cells]
    assert len(set(averages)) == len(averages) == 6, "six models or ways to score one, not one six times"
    assert record.claims[0].verdict != "missing"

    files = [path for part in ("runs", "results") for path in (tmp_path / "experiments" / part).rglob("*.[sj]*")]
    times = {path: path.stat().st_mtime_ns for path in files if path.suffix in (".safetensors", ".json")}
    assert sum(path.suffix == ".safetensors" for path in times) == 4
    sweep()
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert ablate(cfg, stages) == 0
