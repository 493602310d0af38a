from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from one_embedder.config.schema import Config, SamplerConfig
from one_embedder.encoder.checkpoint import load_encoder, weights_sha256
from one_embedder.medi.batches.datamodule import MediDataModule
from one_embedder.tracking.manifest import read_manifest
from one_embedder.training.checkpoint_io import LAST
from one_embedder.training.outcome import BEST, CHECKPOINT
from one_embedder.training.run import train
from tests.medi.toy import instruction_tokenizer
from tests.training import two_processes


def on_two_processes(workplace: Path, encoder: Path, root: Path, kind: str, dies_at: int | None = None) -> int:
    """Run the script, which is expected to succeed unless it is to die; its exit code."""
    command = [sys.executable, two_processes.__file__, str(workplace), str(encoder), kind]
    command += [] if dies_at is None else [str(dies_at)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode == 0) is (dies_at is None), done.stderr[-3000:]
    return done.returncode


def largest_difference(one: Path, other: Path) -> float:
    """Of any weight of two runs' checkpoints."""
    ours, theirs = (load_file(folder / CHECKPOINT / "model.safetensors") for folder in (one, other))
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_that_are_killed_and_resumed_learn_what_one_does(
    workplace: Path, encoder_folder: Path, project_root: Path, kind: str
) -> None:
    """The last checkpoint before step 7 is that of step 5. The gradient is clipped and weights are decayed."""
    on_two_processes(workplace, encoder_folder, project_root, kind, dies_at=7)
    (folder,) = (workplace / "experiments" / "runs").iterdir()
    assert (folder / LAST).is_file() and not (folder / CHECKPOINT).exists()
    on_two_processes(workplace, encoder_folder, project_root, kind)
    assert (workplace / "experiments" / "runs" / folder.name / CHECKPOINT).is_dir()
    assert all(len(json.loads((workplace / f"rank{rank}.json").read_text())["batches"]) == 3 for rank in range(2))

    alone = train(two_processes.exact(workplace, encoder_folder))
    assert largest_difference(folder, alone) < 1e-4
    shorter = train(replace_steps(two_processes.exact(workplace, encoder_folder)))
    assert largest_difference(folder, shorter) > 1e-3  # what one more step changes
    if kind == "ddp":
        assert (workplace / "scored.txt").read_text().split("\n")[:-1] == ["step-4 True", "step-8 True"]
        assert weights_sha256(load_encoder(folder / BEST)) == weights_sha256(load_encoder(folder / CHECKPOINT))


@pytest.mark.slow
def test_a_sharded_run_that_is_killed_after_its_last_step_saves_the_whole_model_when_it_goes_on(
    workplace: Path, encoder_folder: Path, project_root: Path
) -> None:
    steps = two_processes.STEPS
    on_two_processes(workplace, encoder_folder, project_root, "fsdp_at_end", dies_at=steps + 1)
    (folder,) = (workplace / "experiments" / "runs").iterdir()
    assert torch.load(folder / LAST, weights_only=True)["global_step"] == steps and not (folder / CHECKPOINT).exists()
    on_two_processes(workplace, encoder_folder, project_root, "fsdp_at_end")
    assert largest_difference(folder, train(two_processes.exact(workplace, encoder_folder))) < 1e-4


def replace_steps(cfg: Config) -> Config:
    """One step less."""
    cfg.trainer.max_steps -= 1
    return cfg


@pytest.mark.slow
def test_two_processes_share_each_batch_and_end_with_the_same_weights(
    workplace: Path, encoder_folder: Path, project_root: Path
) -> None:
    on_two_processes(workplace, encoder_folder, project_root, "plain")
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


@pytest.mark.slow
def test_sigterm_to_the_main_process_of_two_saves_the_step_that_both_have_made(
    workplace: Path, encoder_folder: Path, project_root: Path
) -> None:
    assert on_two_processes(workplace, encoder_folder, project_root, "asked", dies_at=4) == 143
    (folder,) = (workplace / "experiments" / "runs").iterdir()
    assert read_manifest(folder)["status"] == "interrupted"
    assert torch.load(folder / LAST, weights_only=True)["global_step"] == 4
    on_two_processes(workplace, encoder_folder, project_root, "asked")
    assert read_manifest(folder)["status"] == "completed"
    assert all(len(json.loads((workplace / f"rank{rank}.json").read_text())["batches"]) == 4 for rank in range(2))


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
