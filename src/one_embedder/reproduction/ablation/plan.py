"""What an ablation will do and cost, said before it starts; costs are those of earlier run records."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from one_embedder.config.ablation import Child, children, require_free, variants
from one_embedder.config.compose import typed
from one_embedder.config.schema import Config
from one_embedder.ending import EXIT_USER_ERROR
from one_embedder.errors import OneEmbedderError
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.reproduction.ablation.child import (
    ChildRecord,
    children_folder,
    read_children,
    require_possible,
    variant_config,
)
from one_embedder.reproduction.ablation.known_tasks import part_of_steps
from one_embedder.reproduction.table1.expected import read_expected
from one_embedder.tracking.identity import NEUTRAL, TRAINING_SECTIONS, facts, resolved
from one_embedder.tracking.manifest import RESOLVED_CONFIG, read_settings
from one_embedder.tracking.run_index import RunFile, run_index


class ShowPlan(Callback):
    """Hydra's hook for the start of a ``--multirun``."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Print the plan of the chosen ablation, if there is one; end the sweep if it cannot work."""
        try:
            cfg = typed(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
            if cfg.ablation.name:
                require_free(cfg.ablation, config.hydra.overrides.task)
                sys.stdout.write(plan(cfg) + "\n")
                sys.stdout.flush()
        except OneEmbedderError as error:  # Hydra would only warn of it, and start every job
            sys.stderr.write(f"error: {error}\n")
            sys.exit(EXIT_USER_ERROR)


def plan(cfg: Config) -> str:
    """Trainings, evaluations and minutes, as lines of text.

    Raises:
        ConfigError: if the settings of a child cannot work.
        DataError: if the record of a child is damaged.
    """
    configurations = require_possible(cfg)
    every = children(cfg.ablation)
    done = {record.id for record in read_children(children_folder(cfg)) if _has_results(record)}
    earlier = _trainings(Path(cfg.paths.experiments))
    trained = _trained(cfg, earlier)
    runs = {child.id: trained.get(_facts(configurations[child.id])) for child in every if child.seed is not None}
    to_train = [configurations[name] for name, run in runs.items() if run is None]
    tasks = cfg.benchmark.tasks or list(_seconds_of_tasks(cfg))
    evaluations = sum(
        not _is_scored(place, tasks)
        for child in every
        if child.id not in done
        for place in _places(cfg, child, configurations[child.id], runs.get(child.id))
    )
    steps = sum(own.trainer.max_steps * part_of_steps(own) for own in to_train)
    seconds = [_estimate(_seconds_of_a_step(cfg, earlier), steps), _estimate(_seconds_of_scoring(cfg), evaluations)]
    return "\n".join(
        [
            f"Ablation {cfg.ablation.name}, profile {cfg.profile}: {cfg.ablation.question}",
            f"  plan      {len(runs)} trainings of {_lengths(configurations[name] for name in runs)} steps (seeds "
            f"{', '.join(map(str, cfg.ablation.seeds))}), {len(runs) - len(to_train)} of them found; "
            f"{evaluations} evaluations to do; {len(done)} of {len(every)} children have run",
            f"  estimate  {_told(seconds)}",
        ]
    )


def _has_results(record: ChildRecord) -> bool:
    """Whether it has run here: a record that came with the checkout has its scores elsewhere."""
    return record.status == "completed" and all(
        (PROJECT_ROOT / evaluation["results"]).is_dir() for evaluation in record.metrics["evaluations"]
    )


def _places(cfg: Config, child: Child, own: Config, run: Path | None) -> list[Path | None]:
    """Where the evaluations of a child leave their results; None for each that waits for its training."""
    every = variants(cfg.ablation, child)
    if child.seed is not None and run is None:
        return [None] * len(every)
    return [Path(str(variant_config(cfg, child, own, variant, run).output)) for variant in every]


def _is_scored(place: Path | None, tasks: Collection[str]) -> bool:
    """Whether each task has a result there; that it is still up to date is checked when its turn comes."""
    return place is not None and bool(tasks) and all((place / "results" / f"{task}.json").is_file() for task in tasks)


def _lengths(trainings: Iterable[Config]) -> str:
    """How many steps they take: ``800``, ``200 to 1600``, or ``up to 800`` where a share of them is taken."""
    every = list(trainings)
    longest = max((own.trainer.max_steps for own in every), default=0)
    if any(own.trainer.share_of_steps for own in every):
        return f"up to {longest}"
    shortest = min((own.trainer.max_steps for own in every), default=0)
    return str(longest) if shortest == longest else f"{shortest} to {longest}"


def _told(seconds: list[float | None]) -> str:
    if None in seconds:
        return "none: there is no earlier run of this encoder to go by"
    minutes = [round((value or 0.0) / 60) for value in seconds]
    return f"{minutes[0]} minutes of training and {minutes[1]} of evaluation, by the earlier runs of this encoder"


def _estimate(each: list[float], count: float) -> float | None:
    if not count:
        return 0.0
    return fmean(each) * count if each else None


def _trainings(experiments: Path) -> list[RunFile]:
    """Every training that has ended, those that came with the project included."""
    each = {run.target: run for run in run_index(experiments).values()}
    return [run for run in each.values() if (run.manifest["status"], run.manifest["name"]) == ("completed", "train")]


def _seconds_of_a_step(cfg: Config, earlier: Sequence[RunFile]) -> list[float]:
    """At the speed of each earlier run of the same encoder."""
    costs = [run.manifest["cost"] for run in earlier if run.manifest["model"]["base"] == cfg.encoder.name_or_path]
    return [cost["wall_s"] / cost["steps"] for cost in costs]


def _seconds_of_scoring(cfg: Config) -> list[float]:
    """Of one evaluation, its tasks as long as in earlier ones; where there are none, of those of the recorded table."""
    times = _seconds_of_tasks(cfg)
    wanted = cfg.benchmark.tasks or list(times)
    known = [fmean(times[task]) for task in wanted if task in times]
    if known:
        return [fmean(known) * len(wanted)]
    recorded = read_expected(PROJECT_ROOT / cfg.table.expected)
    stages = recorded.shown.recorded["cost"]["stages"] if recorded else {}
    return [seconds for stage, seconds in stages.items() if stage.startswith("evaluate")]


def _seconds_of_tasks(cfg: Config) -> dict[str, list[float]]:
    """Task -> how long it took in each earlier evaluation of the benchmark."""
    times: dict[str, list[float]] = defaultdict(list)
    pattern = f"*/{cfg.benchmark.name}_{cfg.benchmark.split}*/results/*.json"
    for path in (Path(cfg.paths.experiments) / "results").glob(pattern):
        with suppress(ValueError, LookupError, TypeError):  # a broken result is no reason to have no estimate
            seconds = float(json.loads(path.read_text(encoding="utf-8"))["evaluation_time"])
            times[path.stem].append(seconds)
    return times


def _trained(cfg: Config, earlier: Sequence[RunFile]) -> dict[str, Path]:
    """What a completed training on the present data was made with -> its run folder."""
    data = Path(cfg.medi.folder) / "medi" / "manifest.json"
    if not data.is_file():
        return {}
    sha256 = json.loads(data.read_text(encoding="utf-8"))["sha256"]
    found = {}
    for run in earlier:
        folder = (Path(cfg.paths.experiments) / run.target).parent
        if (folder / RESOLVED_CONFIG).is_file() and sha256 in [item["sha256"] for item in run.manifest["data"]]:
            found[_of_values(read_settings(folder))] = folder
    return found


def _facts(cfg: Config) -> str:
    return _of_values(resolved(cfg))


def _of_values(values: Mapping[str, Any]) -> str:
    """What decides about a training; keys that an older run did not know had their neutral value."""
    return json.dumps(facts({**NEUTRAL, **values}, TRAINING_SECTIONS), sort_keys=True)
