"""``python -m one_embedder.compare``: models and a folder of tasks -> one table with intervals."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from one_embedder.config.caches import settle_caches
from one_embedder.config.quiet import quiet
from one_embedder.ending import told
from one_embedder.errors import ConfigError, DataError
from one_embedder.extras import needing

if TYPE_CHECKING:
    from one_embedder.config.schema import Config
    from one_embedder.evaluation.tasks.folder import TaskFolder

_DEPTHS = {"eval": 1, "billboard": 0, "prompt_retrieval": 0}  # part of a root -> folders between it and a task's
_DESCRIPTION = """\
Score models on tasks of a folder and print their scores with intervals, and the difference of each from the first.
Results are kept in experiments/evaluations: the same command with one model more scores only that one."""


def parser() -> ArgumentParser:
    """The command line."""
    made = ArgumentParser(prog="python -m one_embedder.compare", description=_DESCRIPTION, allow_abbrev=False)
    add = made.add_argument
    add("models", nargs="+", metavar="MODEL", help="minilm, a local folder or a hub id; LABEL=MODEL names its column")
    add("--task", type=Path, required=True, metavar="FOLDER", help="a task's folder, ROOT/eval/STS/Mine, or ROOT")
    add(
        "--instructions", metavar="NAME", help="for all: none, generic, ... of conf/instructions [each model's prompts]"
    )
    add("--resamples", type=int, default=1000, help="of the bootstrap over test items [%(default)s]")
    return made


def work(options: Namespace) -> None:
    """Import late, score each model, print the table."""
    quiet()
    settle_caches()
    with needing("one-embedder[evaluate]"):
        from one_embedder.encoder.locate import locate
        from one_embedder.reproduction.compare.side_by_side import Evaluations, table_of
        from one_embedder.reproduction.compare.side_by_side_record import difference_grid, interval_grid
        from one_embedder.reproduction.show.grid import Grid

        if options.resamples < 1:  # before any model is scored
            raise ConfigError(f"--resamples={options.resamples} must be at least 1")
        models = [_labelled(model) for model in options.models]
        _refuse_alike(models)
        _root_of(options.task)
        for _, model in models:  # all of them, before the first is scored
            locate(model)
        rows = [f"{label}={_scored(model, options)}" for label, model in models]
        evaluations = Evaluations.read(rows, resamples=options.resamples)
    table = table_of(evaluations)
    grid, differences = interval_grid(table), difference_grid(table)
    first = evaluations.rows[0].spec.label
    headers = [*grid.headers, *(f"{other} minus {first}" for other in differences.headers[1:])]
    lines = [[*scores, *line[1:]] for scores, line in zip(grid.rows, differences.rows, strict=True)]
    sys.stdout.write(f"{Grid(headers, lines).text()}\nPoints, with 95 % bootstrap intervals over the test items.\n")


def _labelled(model: str) -> tuple[str, str]:
    label, equals, named = model.partition("=")
    return (label, named) if equals and not Path(model).is_dir() else (model.replace("=", " "), model)


def _refuse_alike(models: Sequence[tuple[str, str]]) -> None:
    labels = [label for label, _ in models]
    for label, model in models:
        if not label.strip():
            raise ConfigError(f"'{label}={model}' has no label; write LABEL=MODEL or MODEL")
        if labels.count(label) > 1:
            raise ConfigError(f"two models are labelled {label!r}: name them, as in LABEL=MODEL")


def _scored(model: str, options: Namespace) -> Path:
    """Where the results of the model are, scored now or before."""
    from one_embedder.embedding.embedder import InstructionEmbedder
    from one_embedder.evaluation.plan import Plan, Share
    from one_embedder.evaluation.run import evaluate

    cfg = _settings(model, options)
    embedder = InstructionEmbedder(model)
    evaluate(cfg, embedder)
    return Share.of(cfg, Plan.of(cfg), embedder.revision).output


def _settings(model: str, options: Namespace) -> Config:
    from one_embedder.config.compose import load_config
    from one_embedder.evaluation.tasks.folder import discover

    root, tasks = _root_of(options.task)
    chosen = ["benchmark=folder", f"instructions={options.instructions or 'none'}", "tracking=disabled"]
    cfg = load_config("evaluate", chosen)
    cfg.encoder.name_or_path = model
    cfg.benchmark.root, cfg.benchmark.tasks = str(root), tasks
    if options.instructions is None:
        cfg.instructions.table = _prompts(model, discover(root, tasks))
    return cfg


def _prompts(model: str, tasks: Sequence[TaskFolder]) -> dict[str, dict[str, str]]:
    """The instruction table that the prompts in a model's folder make, under the names that mteb looks for.

    A side whose task is not named there gets the prompt called ``query`` or ``document``, if there is one.
    """
    from one_embedder.embedding.prompts import read_prompts
    from one_embedder.encoder.locate import locate
    from one_embedder.evaluation.task_instructions import sides_of

    prompts, _ = read_prompts(locate(model))

    def prompt(task: str, side: str) -> str:
        names = (f"{task}-{side}", task, side) if side != "text" else (task,)
        return next((prompts[name] for name in names if name in prompts), "")

    return {task.name: {side: prompt(task.name, side) for side in sides_of(task.category)} for task in tasks}


def _root_of(folder: Path) -> tuple[Path, list[str] | None]:
    """The root that a task's folder lies below, and the task; of a root itself all tasks."""
    folder = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100 - takes out "..", and follows no link
    if any((folder / name).is_dir() for name in _DEPTHS):
        return folder, None
    for name, depth in _DEPTHS.items():
        if folder.is_dir() and len(folder.parents) > depth + 1 and folder.parents[depth].name == name:
            return folder.parents[depth + 1], [folder.name]
    raise DataError(
        f"{folder} is no folder of tasks: name one such as ROOT/eval/STS/Mine, or ROOT; docs/evaluation.md says more"
    )


def main() -> NoReturn:
    """Console script."""
    options = parser().parse_args()
    sys.exit(told(lambda: work(options)))


if __name__ == "__main__":
    main()
