from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from one_embedder.training.checkpoint_io import LAST, AtomicCheckpointIO, resumable

STATE = {"state_dict": {"w": torch.ones(2000)}, "global_step": 3, "optimizer_states": [], "loops": {}}


@pytest.fixture
def last(tmp_path: Path) -> Path:
    path = tmp_path / LAST
    AtomicCheckpointIO().save_checkpoint(STATE, path)
    return path


def test_a_whole_checkpoint_is_taken_and_a_missing_one_is_no_error(last: Path, tmp_path: Path) -> None:
    assert resumable(last) == last
    assert resumable(tmp_path / "other.ckpt") is None


def test_a_failing_save_keeps_the_older_checkpoint_and_leaves_no_litter(last: Path) -> None:
    before = last.read_bytes()
    with pytest.raises(Exception, match="pickle"):
        AtomicCheckpointIO().save_checkpoint({"w": lambda: None}, last)
    assert last.read_bytes() == before
    assert list(last.parent.iterdir()) == [last]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "foreign"])
def test_a_damaged_checkpoint_is_reported_and_not_taken(
    last: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = last.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    if damage == "foreign":
        torch.save({"something": 1}, last)
    else:
        last.write_bytes({"cut": whole[:-500], "flip": bytes(flipped), "empty": b"", "text": b"not a zip"}[damage])
    with caplog.at_level(logging.WARNING):
        assert resumable(last) is None
    assert "training starts over" in caplog.text and str(last) in caplog.text
