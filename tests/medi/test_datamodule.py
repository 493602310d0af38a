from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer

from one_embedder.config.schema import SamplerConfig
from one_embedder.errors import DataError
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.medi.store import write_medi
from tests.medi.toy import instruction_tokenizer, toy_rows


@pytest.fixture
def data(tmp_path: Path) -> MediDataModule:
    write_medi(toy_rows({1: 13, 2: 9, 3: 2}), tmp_path / "medi", about={})
    return MediDataModule(
        tmp_path / "medi",
        instruction_tokenizer(),
        sampler=SamplerConfig(global_batch_size=4),
        with_instructions=True,
        seed=0,
    )


def test_the_loader_gives_whole_batches_of_one_task(data: MediDataModule) -> None:
    batches = list(data.train_dataloader())
    assert len(batches) == len(data.train_dataloader()) == 5
    assert all(len(batch) == 4 for batch in batches)
    assert {batch.task_id for batch in batches} == {1, 2}


def test_a_loader_restored_in_mid_epoch_continues_there(data: MediDataModule) -> None:
    straight = data.train_dataloader()
    iterator = iter(straight)
    for _ in range(2):
        next(iterator)
    resumed = data.train_dataloader()
    resumed.load_state_dict(straight.state_dict())  # type: ignore[attr-defined]
    rest = [batch.query.input_ids for batch in iterator]
    assert len(rest) == 3
    for expected, batch in zip(rest, resumed, strict=True):
        assert torch.equal(batch.query.input_ids, expected)


def test_reading_draws_nothing_from_the_stream_that_dropout_uses(data: MediDataModule) -> None:
    before = torch.get_rng_state()
    list(data.train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_trainer_that_would_replace_the_sampler_is_refused(data: MediDataModule) -> None:
    data.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    with pytest.raises(ValueError, match="use_distributed_sampler=False"):
        data.train_dataloader()


def test_a_missing_folder_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="build_medi"):
        MediDataModule(
            tmp_path,
            instruction_tokenizer(),
            sampler=SamplerConfig(global_batch_size=4),
            with_instructions=True,
            seed=0,
        )
