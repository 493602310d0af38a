"""The grid for a borrowed GPU: what it lists composes, it ends in time, and a second call goes on where it was."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from one_embedder.config.compose import load_config
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.errors import ConfigError, OneEmbedderError
from one_embedder.medi.store import write_medi
from scripts import run_grid
from scripts.run_grid import LIST, Step, grid, own_folder, read_list
from tests.medi.toy import toy_rows
from tests.training.tiny import tiny_encoder

FOLDERS = ("medi.views=/views", "medi.pairs=/pairs", "medi.root=/root", "benchmark.root=/tasks", "views.root=/views")


def writes(path: Path, code: int = 0) -> list[str]:
    program = f"import pathlib, sys; pathlib.Path({str(path)!r}).open('a').write('x'); sys.exit({code})"
    return [sys.executable, "-c", program]


def waits(path: Path) -> list[str]:
    """For ever; when it is asked to end it leaves a file and the exit code of our verbs."""
    program = (
        "import signal, sys, time, pathlib\n"
        f"def end(*_): pathlib.Path({str(path)!r}).write_text('saved'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(600)\n"
    )
    return [sys.executable, "-c", program]


def steps(*names: str, leaves: str | None = None) -> list[Step]:
    return [Step(name, ("reproduce",), leaves) for name in names]


def statuses(own: Path) -> dict[str, str]:
    record = json.loads((own / "grid" / "record.json").read_text())
    return {name: step["status"] for name, step in record["steps"].items()}


@pytest.fixture(scope="module")
def listed() -> list[Step]:
    return read_list(LIST, [*FOLDERS, "devices=gpu"])


def test_the_list_builds_the_data_and_then_makes_tables_each_with_a_log_of_its_own(listed: list[Step]) -> None:
    assert len(listed) > 10 and len({step.name for step in listed}) == len(listed)
    assert [step.words[0] for step in listed[:2]] == ["build_medi", "reproduce"]
    assert all(step.words[-1] == "devices=gpu" and step.command[1] == "-m" for step in listed)
    assert sum(step.leaves is None for step in listed) == 1 + sum("--multirun" in step.words for step in listed)


@pytest.mark.slow
def test_every_command_of_the_list_composes_and_leaves_the_table_of_its_settings(listed: list[Step]) -> None:
    distinct = {tuple(word for word in step.words if "table.seeds=" not in word): step for step in listed}
    for (verb, *settings), step in distinct.items():
        cfg = load_config(verb, [word for word in settings if word != "--multirun"])
        assert cfg.profile == "mixture" and cfg.trainer.precision == "bf16-mixed"
        if step.leaves and cfg.ablation.name:
            assert step.leaves == f"ablations/{cfg.ablation.name}/mixture.json"
        elif step.leaves:
            assert Path(step.leaves).name == "mixture.json" and cfg.table.name in step.leaves


def test_a_setting_that_a_verb_refuses_ends_it_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match=r"grid.yaml, data: .*loss.temperatur"):
        read_list(LIST, [*FOLDERS, "loss.temperatur=1"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("- {name: a, command: ", "cannot be read: not YAML"),
        ("", "no list of steps"),
        ("[{name: a, minutes: 3}]", "a step has name and command"),
        ("[{name: a, command: ''}]", "a: a step needs a name of its own and a command"),
        ("[{name: a, command: train}, {name: a, command: train seed=1}]", "a: a step needs a name of its own"),
    ],
)
def test_a_list_that_is_none_is_told_by_its_file(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "list.yaml").write_text(content)
    with pytest.raises(ConfigError, match=rf"list\.yaml.*{told}"):
        read_list(tmp_path / "list.yaml", [])


def test_what_is_done_is_skipped_and_what_failed_is_tried_again_after_the_others(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    commands = {"bad": writes(bad, code=2), "good": writes(good)}
    for call in (1, 2):
        with pytest.raises(OneEmbedderError, match="failed: bad; their logs are in"):
            grid(steps("bad", "good"), 600, tmp_path, commands)
        assert (bad.read_text(), good.read_text()) == ("x" * call, "x")
    assert statuses(tmp_path) == {"bad": "failed", "good": "done"}
    grid(steps("bad", "good"), 600, tmp_path, {"bad": writes(bad), "good": writes(good)})
    assert statuses(tmp_path) == {"bad": "done", "good": "done"} and good.read_text() == "x"


def test_other_settings_are_another_step(tmp_path: Path) -> None:
    for seed in ("seed=0", "seed=1", "seed=1"):
        grid([Step("a", ("reproduce", seed))], 600, tmp_path, {"a": writes(tmp_path / "ran")})
    assert (tmp_path / "ran").read_text() == "xx"


def test_a_table_counts_when_it_was_written_whatever_its_verdicts_say(tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    grid(steps("a", leaves="table.json"), 600, tmp_path, {"a": writes(table, code=2)})
    assert statuses(tmp_path) == {"a": "done"}
    table.unlink()
    with pytest.raises(OneEmbedderError, match="failed: a"):
        grid(steps("a", leaves="table.json"), 600, tmp_path, {"a": writes(tmp_path / "other")})


def test_when_the_time_is_over_the_command_at_work_saves_and_no_other_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_grid, "LEAST_S", 0.5)
    saved, other = tmp_path / "saved", tmp_path / "other"
    began = time.monotonic()
    grid(steps("long", "other"), run_grid.GRACE_S + 3, tmp_path, {"long": waits(saved), "other": writes(other)})
    assert time.monotonic() - began < 20
    assert saved.read_text() == "saved" and not other.exists()
    assert statuses(tmp_path) == {"long": "interrupted"}
    grid(steps("long", "other"), 600, tmp_path, {"long": writes(saved), "other": writes(other)})
    assert statuses(tmp_path) == {"long": "done", "other": "done"}


def test_a_command_that_would_have_less_than_a_minute_is_not_begun(tmp_path: Path) -> None:
    grid(steps("a"), run_grid.GRACE_S + 59, tmp_path, {"a": writes(tmp_path / "ran")})
    assert not (tmp_path / "ran").exists()


def test_tables_are_looked_for_where_the_settings_put_them(tmp_path: Path, project_root: Path) -> None:
    assert own_folder([]) == project_root / "experiments" / "own"
    for quote in ("", "'"):
        assert own_folder([f"paths.experiments={quote}{tmp_path}{quote}", "seed=1"]) == tmp_path / "own"


def test_what_a_step_leaves_moves_with_the_folder_of_experiments(listed: list[Step], tmp_path: Path) -> None:
    moved = [step for step in listed if any(word.startswith("output=") for word in step.words)]
    assert len(moved) == 2
    for step in moved:
        cfg = load_config(step.words[0], [*step.words[1:], f"paths.experiments={tmp_path}"])
        assert tmp_path / "own" / str(step.leaves) == Path(cfg.output) / "mixture.json"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_that_the_time_cut_off_goes_on_in_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_encoder(tiny_encoder(), tmp_path / "tiny")
    write_medi(toy_rows({1: 17, 2: 14}), tmp_path / "data" / "medi", about={})
    listed = [
        {"name": "short", "command": "train trainer.max_steps=4"},
        {"name": "long", "command": "train trainer.max_steps=1000000 trainer.checkpoint_every_n_steps=1000000"},
    ]
    (tmp_path / "list.yaml").write_text(yaml.safe_dump(listed))
    overrides = ["trainer.accelerator=cpu", "tracking.wandb=disabled", "sampler.global_batch_size=4"]
    overrides += [f"encoder.name_or_path={tmp_path}/tiny", "trainer.max_length=16", "optimizer.frozen_layers=0"]
    overrides += [f"medi.folder={tmp_path}/data", f"paths.experiments={tmp_path}"]
    monkeypatch.setattr(run_grid, "LEAST_S", 1.0)
    own, reached = tmp_path / "own", []
    steps_of_list = read_list(tmp_path / "list.yaml", overrides)
    grid(steps_of_list[:1], 600, own)
    start = json.loads((own / "grid" / "record.json").read_text())["steps"]["short"]["seconds"]
    for _ in range(2):  # each with time for the imports, which is most of what the short one took, and for some steps
        grid(steps_of_list, run_grid.GRACE_S + 1.5 * start + 15, own)
        assert statuses(own) == {"short": "done", "long": "interrupted"}
        (saved,) = (tmp_path / "runs").glob("*/last.ckpt")
        reached.append(torch.load(saved, weights_only=False)["global_step"])
    assert 0 < reached[0] < reached[1] < 1000000
    record = json.loads((tmp_path / "own" / "grid" / "record.json").read_text())
    assert record["steps"]["long"]["exit_code"] == 143 and record["code"].keys() >= {"commit"}
