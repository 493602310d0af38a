"""What the numbers of a run depend on: its data, its settings, its environment."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config, TaskFolderConfig
from one_embedder.errors import DataError
from one_embedder.evaluation.tasks.folder import OWN_FOLDERS, folders_with_rows, settings_of
from one_embedder.files.json_lines import content_sha256
from one_embedder.files.location import LOCK
from one_embedder.reproduction.steps.profiles import EVALUATION_ONLY
from one_embedder.reproduction.table1.verdicts import Circumstances
from one_embedder.tracking.identity import config_hash, effective

# Seeds are left out: expected numbers are means over seeds with tolerances made from them. Data settings are left out:
# the data's own hash says more.
_SECTIONS = ("instruction_detail", "encoder", "sampler", "loss", "optimizer", "schedule", "trainer", "instructions")


def circumstances(cfg: Config, data: Mapping[str, str]) -> Circumstances:
    """Circumstances of a run of ``cfg`` on ``data`` (name -> sha256) here and now."""
    scoring = replace(cfg.evaluation, batch_size=0)  # without effect on the scores
    scored = effective("evaluation", asdict(scoring))
    evaluated = [cfg.benchmark.name, cfg.benchmark.split, cfg.benchmark.tasks, scored, *_prompts(cfg), *_protocol(cfg)]
    settings = config_hash(cfg, _SECTIONS, json.dumps(evaluated))
    return Circumstances(dict(data), settings, data_environment())


def _prompts(cfg: Config) -> list[Any]:
    """What of prompt retrieval is not the default: learner, centring, tasks of the benchmark, metric, selection."""
    prompts = cfg.prompt_retrieval
    held = {folder.name for folder in (Path(cfg.benchmark.root) / OWN_FOLDERS["PromptRetrieval"]).glob("*")}
    tasks = {name: asdict(task) for name, task in sorted(prompts.tasks.items()) if name in held}
    plain = prompts.learner == "nearest" and prompts.centring is None and not tasks
    model = asdict(replace(prompts.model, batch_size=0)) if prompts.learner == "model" else None
    shared = [
        value for value, default in ((prompts.metric, "rouge_l"), (prompts.selection, "similar")) if value != default
    ]
    return shared if plain else [prompts.learner, model, prompts.centring, tasks, *shared]


def _protocol(cfg: Config) -> list[Any]:
    """The settings of the benchmark's tasks that depart from their category's protocol."""
    tasks = sorted(Path(cfg.benchmark.root).glob("eval/*/*"))
    settings = {task.name: settings_of(task.name, task.parent.name, cfg.benchmark.protocol) for task in tasks}
    plain = _departure(TaskFolderConfig())
    chosen = {name: values for name, task in settings.items() if (values := _departure(task)) != plain}
    return [chosen] if chosen else []


def _departure(task: TaskFolderConfig) -> dict[str, Any]:
    """The settings of a task. When the first results were recorded, identical ids were ignored in all of them."""
    values = asdict(task)
    if task.ignore_identical_ids is not False:
        del values["ignore_identical_ids"]
    return values


def data_environment() -> dict[str, str]:
    """What the documentation data is read from. The same environment must give the same data."""
    lock = sha256(LOCK.read_bytes()).hexdigest()[:16] if LOCK.is_file() else "none"
    return {"python": platform.python_version(), "lock": lock, "platform": f"{platform.system()} {platform.machine()}"}


def data_identity(cfg: Config) -> dict[str, str]:
    """Content hashes of the training data, where there is training, and of the benchmark that ``cfg`` names.

    Raises:
        DataError: if either is not there; ``build_medi`` makes both.
    """
    manifest = Path(cfg.medi.folder) / "medi" / "manifest.json"
    medi = {}
    if cfg.profile != EVALUATION_ONLY:
        if not manifest.is_file():
            raise _absent(cfg, manifest)
        medi = {"medi": str(json.loads(manifest.read_text(encoding="utf-8"))["sha256"])}
    return {**medi, "benchmark": _registry_identity(cfg) if cfg.benchmark.mteb else _folders_identity(cfg)}


def _folders_identity(cfg: Config) -> str:
    root = Path(cfg.benchmark.root)
    folders = folders_with_rows(root)
    if not folders:
        raise _absent(cfg, root)
    benchmark = sha256()
    for folder in folders:
        benchmark.update(f"{folder.relative_to(root).as_posix()}\0{content_sha256(folder)}\0".encode())
    return benchmark.hexdigest()


def _registry_identity(cfg: Config) -> str:
    """Of the tasks that are there, by revision or content."""
    from one_embedder.evaluation.tasks.chosen import select_tasks

    facts = {task.name: dict(task.identity) for task in select_tasks(cfg.benchmark).tasks}
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _absent(cfg: Config, path: Path) -> DataError:
    return DataError(
        f"{path}: there is no data here; build it with `python -m one_embedder.build_medi profile={cfg.profile}`"
    )
