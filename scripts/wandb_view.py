"""A saved view of W&B's workspace for each ablation: what its settings score, and the curves of their trainings.

    pip install wandb-workspaces && wandb login
    python -m scripts.wandb_view OWNER [ABLATION ...]      # all of conf/ablation by default
    python -m scripts.wandb_view OWNER temperature --json  # print it, send nothing

Runs of the ablation are found by their group, and grouped by what it varies. Scores are of runs of kind "evaluate",
curves of runs of kind "train". An ablation's own verdicts are in its run of kind "ablation".
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import wandb_workspaces.reports.v2 as panels
import wandb_workspaces.workspaces as views
from omegaconf import DictConfig, OmegaConf

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.evaluation.benchmarks import CATEGORIES
from one_embedder.files.location import PROJECT_ROOT

CURVES = ("loss", "accuracy", "gradient_norm", "learning_rate", "tokens_per_s", "peak_memory_gib")


def varied(cfg: Config) -> list[str]:
    """The settings that the levels of an ablation's axes change, as paths of a run's configuration."""
    levels = [level for axis in cfg.ablation.axes.values() for level in axis.levels.values()]
    return list(dict.fromkeys(_value_of(cfg, key) for level in levels for key in level))


def view(cfg: Config, owner: str) -> views.Workspace:
    """The workspace of one ablation.

    Args:
        cfg: with the ablation.
        owner: of the W&B project, a user or a team.
    """
    keys = varied(cfg)
    by = panels.Config(keys[0])
    scores = [panels.BarPlot(title=name, metrics=[name], groupby=by) for name in ("mean", *CATEGORIES)]
    curves = [panels.LinePlot(title=name, y=[name], groupby=by, smoothing_factor=0.8) for name in CURVES]
    return views.Workspace(
        entity=owner,
        project=cfg.tracking.project,
        name=cfg.ablation.name.replace("_", " "),
        sections=[
            views.Section(name="Scores, 0 to 1", panels=scores, is_open=True),
            views.Section(name="Trainings", panels=curves, is_open=True),
        ],
        runset_settings=views.RunsetSettings(
            filters=f"Group == '{cfg.tracking.group}'",
            groupby=[views.Metric("JobType"), *map(views.Config, keys)],
        ),
    )


def _value_of(cfg: Config, key: str) -> str:
    """The path of a setting; of a group's choice, that of its name."""
    return f"{key}.name" if isinstance(OmegaConf.select(OmegaConf.create(vars(cfg)), key), DictConfig) else key


def ablations() -> list[str]:
    """The names of conf/ablation."""
    return sorted(path.stem for path in Path(PROJECT_ROOT, "conf", "ablation").glob("*.yaml"))


def main(words: Sequence[str]) -> int:
    """Save the views, or print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("owner", help="of the project on W&B: a user or a team")
    parser.add_argument("ablations", nargs="*", metavar="ABLATION", help=f"of {', '.join(ablations())} [all]")
    parser.add_argument("--json", action="store_true", help="print the definitions and send nothing")
    asked = parser.parse_args(words)
    if unknown := sorted(set(asked.ablations) - set(ablations())):
        parser.error(f"no file conf/ablation/{unknown[0]}.yaml")
    for name in asked.ablations or ablations():
        made = view(load_config("reproduce", [f"ablation={name}"]), asked.owner)
        if asked.json:
            sys.stdout.write(f"{made._to_model().model_dump_json(by_alias=True, exclude_none=True)}\n")
        else:
            made.save_as_new_view()
            sys.stdout.write(f"{name}: {made.url}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
