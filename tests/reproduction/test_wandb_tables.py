from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from one_embedder.config.schema import Config
from one_embedder.reproduction.show.wandb_tables import ablation_tables
from one_embedder.reproduction.statistics.layout import ROWS
from one_embedder.reproduction.table1.run import reproduce
from tests.reproduction.ablations import small_record
from tests.reproduction.fakes import FakeWork


def test_a_reproductions_tables_hold_its_numbers_as_numbers(
    configure: Callable[..., Config], work: FakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        "one_embedder.reproduction.table1.run.log_results", lambda *arguments: tracked.append(arguments)
    )
    reproduce(configure("table.seeds=[0,1]"), work.stages)
    ((_, _, job_type, name, tables, summary),) = tracked
    assert (job_type, name) == ("reproduce", "table1 documentation")
    main = tables["table1"]
    assert main.columns[0] == "model" and main.columns[-1] == "average" and len(main.rows) == len(ROWS)
    assert all(isinstance(number, float) and 0 < number < 100 for row in main.rows for number in row[1:])
    assert list(summary.values()) == [row[-1] for row in main.rows]
    assert {type(cell) for cell in tables["tasks"].rows[0][-2:]} == {int, float}
    assert len(tables["tasks"].rows) == (2 + 2 * 2) * 18  # runs of two untrained and two trained rows, tasks
    assert [row[2] > 0 for row in tables["claims"].rows] == [True] * 3
    verdict = tables["expected"].columns.index("verdict")
    assert {row[verdict] for row in tables["expected"].rows} == {"no expected values yet"}


def test_an_ablations_tables_hold_every_run_and_claim() -> None:
    tables = ablation_tables(small_record())
    runs = tables["runs"].rows
    assert len(runs) == 1 + 4 * 3 and runs[0][:2] == ["backbone", "minilm"]
    assert runs[1][-1] == pytest.approx(50.0) and len(runs[1]) == len(tables["runs"].columns)
    assert tables["claims"].rows[0][2:] == [
        "supported (3 seeds, 400 steps)",
        *map(pytest.approx, (10.0, 7.0, 13.0)),
        0.004,
    ]
