from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from one_embedder.config.schema import SamplerConfig
from one_embedder.encoder.checkpoint import load_encoder, weights_sha256
from one_embedder.medi.datamodule import MediDataModule
from one_embedder.tracking.manifest import read_manifest
from tests.medi.toy import instruction_tokenizer
from tests.training import two_processes


@pytest.mark.slow
def test_two_processes_share_each_batch_and_end_with_the_same_weights(
    workplace: Path, encoder_folder: Path, project_root: Path
) -> None:
    command = [sys.executable, two_processes.__file__, str(workplace), str(encoder_folder)]
    environment = {**os.environ, "PYTHONPATH": str(project_root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

    ranks = [json.loads((workplace / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert len(ranks[0]["batches"]) == len(ranks[1]["batches"]) == 8
    expected = _global_batches(workplace)
    for number, (one, other) in enumerate(zip(ranks[0]["batches"], ranks[1]["batches"], strict=True)):
        assert one["task"] == other["task"]
        rows = [*map(_words, one["queries"]), *map(_words, other["queries"])]
        assert len(rows) == 4
        if number < len(expected):  # the first epoch
            assert rows == expected[number]

    (folder,) = (workplace / "experiments" / "runs").iterdir()
    manifest = read_manifest(folder)
    assert manifest["status"] == "completed"
    assert (manifest["batch"]["global"], manifest["batch"]["per_device"]) == (4, 2)
    saved = weights_sha256(load_encoder(folder / "checkpoint"))
    assert ranks[0]["weights"] == ranks[1]["weights"] == saved != weights_sha256(load_encoder(encoder_folder))


def _global_batches(workplace: Path) -> list[list[list[int]]]:
    """What one process reads in an epoch."""
    medi = workplace / "data" / "medi"
    data = MediDataModule(
        medi, instruction_tokenizer(16), sampler=SamplerConfig(global_batch_size=4), with_instructions=True, seed=0
    )
    return [[_words(row) for row in batch.query.input_ids.tolist()] for batch in data.train_dataloader()]


def _words(ids: list[int]) -> list[int]:
    """Token ids without padding, which depends on the batch mates."""
    return [token for token in ids if token]
