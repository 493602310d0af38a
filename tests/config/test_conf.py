from __future__ import annotations

from pathlib import Path

import pytest

from one_embedder.config.compose import VERBS, load_config
from one_embedder.config.location import CONF, PROJECT_ROOT
from one_embedder.config.schema import Config

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


@pytest.mark.parametrize("profile", ["documentation", "local", "paper", "released", "super_ni"])
def test_a_profile_sets_the_name_of_its_group_and_says_what_it_takes(profile: str) -> None:
    cfg = load_config("reproduce", [f"profile={profile}"])
    assert cfg.profile == profile  # the key has the group's name: Hydra must take the override for the group
    assert cfg.about.description and cfg.about.hardware and cfg.about.time
    assert profile == "documentation" or f"PROFILE={profile}" in cfg.about.command


def test_the_command_line_beats_the_profile() -> None:
    cfg = load_config("train", ["profile=paper", "encoder=gtr_t5_base", "trainer.max_steps=7", "medi.folder=/m"])
    assert cfg.encoder.name_or_path == "sentence-transformers/gtr-t5-base"
    assert (cfg.trainer.max_steps, cfg.medi.folder) == (7, "/m")


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
