from __future__ import annotations

import csv

import pytest

from one_embedder.config.schema import Config
from one_embedder.medi.batches.sampler import STRATEGIES, SameTaskBatchSampler
from one_embedder.medi.batches.strategies import TaskShare
from one_embedder.training.plan import batch_facts, left_out_tasks, start_report, task_table

NAMES = {task: f"task{task}_of_some_length" for task in range(330)}
MANY = [TaskShare(task, 8 * (task // 3) + 5, task // 3, 5) for task in range(330)]


def plan(shares: list[TaskShare], **sampler: object) -> list[str]:
    cfg = Config()
    cfg.sampler.global_batch_size = 8
    for key, value in sampler.items():
        setattr(cfg.sampler, key, value)
    return start_report(cfg, shares, NAMES, facts=batch_facts(cfg, 1), world_size=1).splitlines()


def test_a_plan_of_many_tasks_fits_a_screen_and_its_lines_add_up() -> None:
    lines = plan(MANY)
    assert len(lines) < 50 and max(map(len, lines[:44])) < 100
    numbers = [line.split() for line in lines[2:44]]
    (folded,) = [line for line in numbers if line[0] == "..."]
    assert folded[1:5] == ["290", "more,", "see", "tasks.csv"]
    assert numbers[-1][0] == "all"
    shown = [line for line in numbers[:-1] if line[0] != "..."]
    assert len(shown) == 40 and shown[0][3] == "109" and "never" in shown[-1]
    for column in (-4, -3, -1):  # rows, batches, left out
        parts = [line[: line.index("never")] if "never" in line else line for line in numbers[:-1]]
        assert sum(int(line[column]) for line in parts) == int(numbers[-1][column])


def test_the_table_in_the_run_folder_has_every_task() -> None:
    rows = list(csv.DictReader(task_table(MANY, NAMES).splitlines()))
    assert [int(row["task_id"]) for row in rows] == list(range(330))
    assert sum(float(row["share_of_batches"]) for row in rows) == pytest.approx(1, abs=1e-3)


def test_many_tasks_that_are_left_out_are_one_sentence() -> None:
    assert len(left_out_tasks(MANY, NAMES, 8)) == 3
    assert left_out_tasks([TaskShare(task, 5, 0, 5) for task in range(11)], NAMES, 8) == [
        "11 tasks (55 rows) fill no batch of 8: left out, see tasks.csv"
    ]


def test_a_task_that_is_left_out_is_told_why() -> None:
    small, off_the_grid = left_out_tasks([TaskShare(0, 5, 0, 5), TaskShare(1, 9, 0, 9)], NAMES, 8)
    assert small.endswith("has 5 rows, fewer than a batch: left out")
    assert off_the_grid.endswith("has 9 rows, but no chunk of the fixed grid is its own: left out")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_plan_tells_the_sampler_its_share_of_each_task(strategy: str) -> None:
    tasks = [0] * 40 + [1] * 100 + [2] * 3
    settings = {"strategy": strategy, "temperature": 2.0, "cap": 24}
    lines = plan(SameTaskBatchSampler(tasks, 8, **settings).summary(), **settings)  # type: ignore[arg-type]
    expected = {
        "proportional": (["40", "5", "29.41%", "0"], "17", "7", "rows of one task, 8 on"),
        "uniform": (["40", "8.5", "50.00%", "0"], "17", "7", "rows of one task (uniform), 8 on"),
        "temperature": (["40", "6.6", "38.74%", "0"], "17", "7", "rows of one task (temperature), 8 on"),
        "capped": (["40", "3", "50.00%", "0"], "6", "7", "rows of one task (capped), 8 on"),
        "released": (["40", "5", "29.41%", "0"], "17", "7", "rows of one task (released), 8 on"),
        "mixed": (["40", "4.8", "27.97%", "2.0"], "17", "7", "rows of all tasks, 8 on"),
    }[strategy]
    first = lines[2].split()
    assert first[2:] == expected[0]
    assert lines[5].split()[-3] == expected[1] and lines[5].split()[-1] == expected[2]
    assert expected[3] in lines[6]
