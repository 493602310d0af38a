from __future__ import annotations

import re
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
from omegaconf import OmegaConf
from submitit.core.job_environment import SignalHandler
from submitit.core.utils import DelayedSubmission, JobPaths

from one_embedder.config.compose import VERBS, compose_verb, load_config
from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError
from one_embedder.files.location import CONF, PROJECT_ROOT

PROFILES = ["documentation", "local", "mixture", "own", "paper", "released", "super_ni"]
FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
CHOICES = [
    path for path in FILES if len(path.parts) > 1 and path.parts[0] not in ("hydra", "local")
]  # <group>/<choice>.yaml, or <group>/<folder>/<choice>.yaml


def choice(path: Path) -> str:
    """The override that takes it."""
    return f"{path.parts[0]}={path.relative_to(path.parts[0]).with_suffix('').as_posix()}"


def test_the_floor_of_configs_is_there() -> None:
    assert len(FILES) >= 40
    assert {path.parts[0] for path in CHOICES} >= {"ablation", "debug", "encoder", "experiment", "medi", "profile"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_composes_on_its_own(verb: str) -> None:
    assert load_config(verb).profile == "documentation"


def side_by_side() -> list[list[str]]:
    """The n-th choice of every group in one command: as few compositions as the largest group has choices."""
    groups = {
        path.parts[0]: [choice(other) for other in CHOICES if other.parts[0] == path.parts[0]] for path in CHOICES
    }
    longest = max(map(len, groups.values()))
    return [[choices[n % len(choices)] for choices in groups.values()] for n in range(longest)]


@pytest.mark.parametrize("overrides", side_by_side(), ids=lambda overrides: str(overrides[-1]))
def test_every_choice_of_every_group_composes_and_fits_the_schema(overrides: list[str]) -> None:
    assert isinstance(load_config("reproduce", overrides), Config)


def test_every_yaml_is_reached_by_a_test() -> None:
    assert {override for column in side_by_side() for override in column} == {choice(path) for path in CHOICES}
    reached = {Path(f"{verb}.yaml") for verb in VERBS} | {Path("base.yaml")} | set(CHOICES)
    assert {path for path in FILES if path not in reached and path.parts[0] not in ("hydra", "local")} == set()


def test_groups_repeat_the_schemas_defaults() -> None:
    bare, composed = Config(), load_config("reproduce", ["profile=local"])
    for section in ("sampler", "loss", "optimizer", "schedule", "trainer", "evaluation", "tracking"):
        assert getattr(composed, section) == getattr(bare, section), section


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_sets_the_name_of_its_group_and_says_what_it_takes(profile: str) -> None:
    cfg = load_config("reproduce", [f"profile={profile}"])
    assert cfg.profile == profile  # the key has the group's name: Hydra must take the override for the group
    assert cfg.about.description and cfg.about.hardware and cfg.about.time
    assert profile == "documentation" or f"profile={profile}" in cfg.about.command.replace("PROFILE", "profile")


def own_values(path: Path) -> tuple[str, dict[str, Any]]:
    """The section that a choice writes to, and what it and the choices it builds on write there."""
    text = (CONF / path).read_text(encoding="utf-8")
    package = re.match(r"# @package (\S+)", text)
    content = yaml.safe_load(text) or {}
    values: dict[str, Any] = {}
    for other in content.pop("defaults", []):
        if other not in ("_self_", "schema"):  # the latter has no file
            values = merged(values, own_values(path.parent / f"{other}.yaml")[1])
    return package[1] if package else path.parts[0], merged(values, content)


def merged(values: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    both = dict(values)
    for key, value in later.items():
        both[key] = merged(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both


def departures(written: dict[str, Any], composed: dict[str, Any], at: str) -> list[str]:
    """The keys below ``at`` whose composed value is not the written one."""
    found = []
    for key, value in written.items():
        if isinstance(value, dict) and value:
            found += departures(value, composed[key], f"{at}.{key}")
        elif composed[key] != value:
            found.append(f"{at}.{key}: {composed[key]!r} instead of {value!r}")
    return found


SECTIONS = ("encoder", "medi", "benchmark", "sampler", "loss", "optimizer", "trainer", "devices")
GROUPS = (*SECTIONS, "prompt_retrieval", "views")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_choice_on_the_command_line_has_its_own_values_under_every_profile(profile: str) -> None:
    columns = [[path for path in CHOICES if path.parts[0] == group] for group in (*GROUPS, "tracking")]
    for n in range(max(map(len, columns))):
        chosen = [column[n % len(column)] for column in columns]
        composed = compose_verb("train", [f"profile={profile}", "instructions=none", *map(choice, chosen)])
        values: dict[str, Any] = OmegaConf.to_container(composed, resolve=False)  # type: ignore[assignment]
        for path in chosen:
            section, written = own_values(path)
            assert not departures(written, values[section], section), f"{path} under profile={profile}"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_chooses_groups_and_sets_nothing_else(profile: str) -> None:
    content = yaml.safe_load((CONF / "profile" / f"{profile}.yaml").read_text(encoding="utf-8"))
    assert set(content) == {"defaults", "profile", "about"}
    assert all(next(iter(entry)).startswith("override /") for entry in content["defaults"])


def test_the_command_line_beats_the_profile() -> None:
    cfg = load_config("train", ["profile=paper", "encoder=gtr_t5_base", "trainer.max_steps=7", "medi.folder=/m"])
    assert cfg.encoder.name_or_path == "sentence-transformers/gtr-t5-base"
    assert (cfg.trainer.max_steps, cfg.medi.folder) == (7, "/m")


def test_a_job_of_slurm_whose_time_is_over_is_put_back_into_the_queue(tmp_path: Path) -> None:
    """Hydra's own default is to give it up."""
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        launcher = compose("train", ["launcher=slurm"], return_hydra_config=True).hydra.launcher
    put_back: list[int] = []
    environment = SimpleNamespace(global_rank=0, _requeue=put_back.append)
    job = DelayedSubmission(SlurmLauncher())
    job.set_timeout(0, launcher.max_num_timeout)
    with pytest.raises(SystemExit):
        SignalHandler(environment, JobPaths(tmp_path, "7"), job).checkpoint_and_try_requeue(signal.SIGUSR2)
    assert put_back == [launcher.max_num_timeout - 1]


def test_a_debug_run_is_small() -> None:
    cfg = load_config("reproduce", ["debug=fast"])
    assert cfg.trainer.max_steps <= 4 and cfg.tracking.wandb == "disabled"


def test_paths_start_at_the_projects_root_wherever_the_command_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = load_config("train")
    assert cfg.paths.experiments == str(PROJECT_ROOT / "experiments")
    assert cfg.medi.folder == str(PROJECT_ROOT / "data" / "documentation")
    assert cfg.benchmark.root == str(PROJECT_ROOT / "data" / "documentation" / "benchmark" / "test")
    assert load_config("train", [f"paths.data={tmp_path}"]).medi.folder == str(tmp_path / "documentation")


@pytest.mark.parametrize("sign", ["", "+"])
def test_a_task_of_ones_own_gets_settings_on_the_command_line(sign: str) -> None:
    chosen = [f"{sign}benchmark.protocol.Mine.splits=[dev,test]", f"{sign}prompt_retrieval.tasks.Mine.eval_size=5"]
    cfg = load_config("evaluate", ["benchmark=folder", *chosen])
    assert cfg.benchmark.protocol["Mine"].splits == ["dev", "test"]
    assert cfg.prompt_retrieval.tasks["Mine"].eval_size == 5
    for key in ("benchmark.protocol.Mine.splts", "prompt_retrieval.tasks.Mine.evalsize"):
        with pytest.raises(ConfigError, match=f"unknown key '{key}'"):
            load_config("evaluate", ["benchmark=folder", f"{sign}{key}=1"])


@pytest.mark.parametrize("sign", ["", "+"])
def test_a_set_of_ones_own_gets_settings_on_the_command_line(sign: str) -> None:
    entries = {"part": "test", "text_type": "note", "objectives": "{mood: finding the mood, place: finding the place}"}
    mine = [f"{sign}views.sets.Mine.{key}={value}" for key, value in entries.items()]
    assert load_config("evaluate_views", mine).views.sets["Mine"].objectives["mood"] == "finding the mood"
    given = (
        "{repo: me/mine, revision: main, files: [a.jsonl], format: columns, query: 'Q: ', symmetric: false, "
        "negatives: mined, cap: 10, licence: mit, seen_in_evaluation: false}"
    )
    cfg = load_config("build_medi", ["profile=paper", "medi=full", f"{sign}medi.hub.Mine={given}"])
    assert cfg.medi.hub["Mine"].files == ["a.jsonl"]
    for verb, key in (("evaluate_views", "views.sets.Mine.txt_type"), ("build_medi", "medi.hub.Mine.fles")):
        with pytest.raises(ConfigError, match=f"unknown key '{key}'"):
            load_config(verb, [f"{sign}{key}=1"])
