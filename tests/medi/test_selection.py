"""Which tasks a run is trained on: by name, and by whether both sides have one instruction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from one_embedder.config.schema import SamplerConfig
from one_embedder.errors import ConfigError
from one_embedder.medi.batches.chosen_tasks import selected_rows, symmetric_tasks
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.medi.store import Medi, load_medi, write_medi
from tests.medi.toy import INSTRUCTION, instruction_tokenizer, toy_rows

ROWS = {1: 9, 2: 8, 3: 5}  # task 2 is asymmetric


@pytest.fixture(scope="module")
def medi(tmp_path_factory: pytest.TempPathFactory) -> Medi:
    folder: Path = tmp_path_factory.mktemp("selection") / "medi"
    rows = toy_rows(ROWS)
    last = max(number for number, row in enumerate(rows) if row.task_id == 2)  # one row is enough
    rows[last] = replace(rows[last], positive=("Represent the toy answer: ", rows[last].positive[1]))
    assert rows[0].query[0] == INSTRUCTION == rows[0].positive[0]
    write_medi(rows, folder, about={})
    return load_medi(folder)


def module(medi: Medi, **settings: object) -> MediDataModule:
    sampler = SamplerConfig(global_batch_size=4, **settings)  # type: ignore[arg-type]
    return MediDataModule(medi, instruction_tokenizer(), sampler=sampler, with_instructions=True, seed=0)


def test_a_task_is_symmetric_if_no_row_has_two_instructions(medi: Medi) -> None:
    assert symmetric_tasks(medi) == {1, 3}


def test_without_a_choice_nothing_is_looked_at(medi: Medi) -> None:
    assert selected_rows(medi, SamplerConfig()) is None


@pytest.mark.parametrize(
    ("settings", "tasks"),
    [
        ({"symmetric": True}, {1, 3}),
        ({"symmetric": False}, {2}),
        ({"tasks": ["task 1", "task 2"]}, {1, 2}),
        ({"tasks": ["task [23]"], "symmetric": True}, {3}),
    ],
)
def test_batches_hold_rows_of_the_chosen_tasks_and_the_rest_is_as_if_it_were_not_there(
    medi: Medi, settings: dict[str, object], tasks: set[int]
) -> None:
    data = module(medi, **settings)
    batches = list(data.train_dataloader())
    assert {batch.task_id for batch in batches} == tasks
    assert {share.task_id for share in data.sampler().summary()} == tasks
    alone = {task: rows for task, rows in ROWS.items() if task in tasks}
    assert len(batches) == sum(rows // 4 for rows in alone.values())


@pytest.mark.parametrize("strategy", ["proportional", "uniform", "released", "mixed"])
def test_every_strategy_gives_numbers_of_rows_on_disk(medi: Medi, strategy: str) -> None:
    sampler = module(medi, symmetric=False, strategy=strategy).sampler()
    shown = np.unique([row for batch in sampler for row in batch])
    assert len(shown) and set(medi.task_ids[shown].tolist()) == {2}


def test_a_name_that_fits_no_task_is_named_with_some_that_are_there(medi: Medi) -> None:
    with pytest.raises(ConfigError, match=r"'wording/\*' fits none of the 3 tasks, such as task 1, task 2"):
        module(medi, tasks=["task 1", "wording/*"])


def test_a_choice_that_leaves_no_task_is_refused(medi: Medi) -> None:
    with pytest.raises(ConfigError, match=r"sampler\.symmetric=True.*no task .* is left"):
        module(medi, tasks=["task 2"], symmetric=True)
