"""``make verify-harness``: does this evaluation give scores that others published?

all-MiniLM-L6-v2 is scored without instructions on the tasks of ``experiments/expected/minilm_published.yaml``, from a
folder that holds exactly MTEB's rows, and every score is compared with the published one. An evaluation that fails here
is wrong, whatever model it is used on.
"""

from __future__ import annotations

import json
import logging
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from one_embedder.config.caches import settle_caches
from one_embedder.config.compose import load_config
from one_embedder.config.quiet import quiet
from one_embedder.config.schema import Config
from one_embedder.ending import told
from one_embedder.errors import DataError
from one_embedder.evaluation.benchmarks import spellings
from one_embedder.evaluation.tasks.folder import TaskFolder, discover
from one_embedder.files.documents import read_json, read_yaml
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.reproduction.show.grid import Grid
from one_embedder.reproduction.statistics.consistency import number, points, tolerance
from one_embedder.reproduction.steps.places import require_as_much
from one_embedder.reproduction.table1.verdicts import Circumstances, Comparison, ExpectedCell, Line, compare
from one_embedder.tracking.manifest import read_manifest, write_atomically

if TYPE_CHECKING:
    from one_embedder.evaluation.encoder import TextEncoder

PUBLISHED = PROJECT_ROOT / "experiments" / "expected" / "minilm_published.yaml"
RECORD = PROJECT_ROOT / "experiments" / "harness" / "minilm.json"

log = logging.getLogger(__name__)

_ANYWHERE = Circumstances({}, "published", {})
"""A published number holds wherever its task is scored."""


@dataclass(frozen=True)
class PublishedTask:
    """A task's published score.

    Attributes:
        task: its name in MTEB.
        category: one of ``benchmarks.CATEGORIES``.
        score: points.
        within: how far an obtained score may be from it, points.
    """

    task: str
    category: str
    score: float
    within: float


@dataclass(frozen=True)
class PublishedModel:
    """The published scores of one model.

    Attributes:
        model: its name.
        source: where they were published.
        tasks: in the order of the table.
    """

    model: str
    source: str
    tasks: tuple[PublishedTask, ...]


def read_published(path: Path = PUBLISHED) -> PublishedModel:
    """Read a file of published scores.

    Raises:
        DataError: if it is not one.
    """
    try:
        content = read_yaml(path)
        tasks = tuple(
            PublishedTask(
                row["task"], row["category"], points(row["published"], where), tolerance(row["within"], where)
            )
            for row in content["tasks"]
            for where in [f"{path}, {row['task']}"]
        )
        return PublishedModel(content["model"], f"{content['source']['work']}, {content['source']['place']}", tasks)
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: not published scores ({error!r}); restore it with `git checkout {path}`") from error


def folders_of(published: PublishedModel, root: Path) -> dict[str, TaskFolder]:
    """Published task -> its folder below ``root``, which has MTEB's name or that without the category.

    Raises:
        DataError: if there is none of them.
    """
    folders = discover(root)
    found = {
        task.task: folder
        for task in published.tasks
        for folder in folders
        if task.category == folder.category and task.task in spellings(folder.name, folder.category)
    }
    if not found:
        raise DataError(f"{root}: holds none of {', '.join(task.task for task in published.tasks)}")
    return found


def configuration(root: Path, folders: Mapping[str, TaskFolder], overrides: Sequence[str] = ()) -> Config:
    """The backbone without instructions on these folders; results are kept below ``experiments/results``."""
    cfg = load_config("evaluate", ["encoder=minilm", "benchmark=folder", "instructions=none", *overrides])
    cfg.benchmark.root = str(root)
    cfg.benchmark.tasks = [folder.name for folder in folders.values()]
    cfg.output = cfg.output or str(Path(cfg.paths.experiments) / "results" / "harness")
    return cfg


def verify(
    root: Path, published: PublishedModel, overrides: Sequence[str] = (), encoder: TextEncoder | None = None
) -> dict[str, Any]:
    """Score the model on the published tasks that ``root`` holds, on as many rows as MTEB has.

    Args:
        root: a benchmark folder.
        published: what to compare with.
        overrides: further settings, as on the command line of ``evaluate``.
        encoder: scored in place of the configured one.

    Returns:
        The record: task -> score (0-1), and what it was obtained with. Give it to ``judged``.

    Raises:
        DataError: if ``root`` holds none of the tasks, or other rows of all of them.
    """
    from one_embedder.evaluation.run import evaluate

    folders = folders_of(published, root)
    cfg = configuration(root, folders, overrides)
    quiet()
    settle_caches()
    folders = _with_the_rows_of_mteb(folders, cfg)
    cfg.benchmark.tasks = [folder.name for folder in folders.values()]
    scores = {score.task: score.main_score for score in evaluate(cfg, encoder)}
    manifest = read_manifest(Path(cfg.output or ""))
    facts = {key: manifest[key] for key in ("started_at", "model", "code", "environment", "hardware")}
    return {"schema": 1, "scores": {task: scores[folder.name] for task, folder in folders.items()}, **facts}


def _with_the_rows_of_mteb(folders: Mapping[str, TaskFolder], cfg: Config) -> dict[str, TaskFolder]:
    """Those that may be compared; the others are told, and missing in the comparison."""
    from one_embedder.reproduction.compare.mteb_rows import unlike_mteb

    reasons = {task: unlike_mteb(task, folder, cfg.benchmark.protocol) for task, folder in folders.items()}
    told = [reason for reason in reasons.values() if reason]
    for reason in told:
        log.error("%s; it is not compared. Complete the rows, or remove the folder", reason)
    if len(told) == len(folders):
        raise DataError(f"{'; '.join(told)}. Published scores are of MTEB's rows: complete them")
    return {task: folder for task, folder in folders.items() if not reasons[task]}


def judged(published: PublishedModel, record: Mapping[str, Any] | None) -> Comparison:
    """A verdict a task; in points, three decimals as published. Without a record nothing was run."""
    expected = {task.task: ExpectedCell(task.score, task.within, task.within) for task in published.tasks}
    line = Line(published.model)
    scores = {} if record is None else {line: record["scores"]}
    obtained = {model: {task: round(100 * score, 3) for task, score in own.items()} for model, own in scores.items()}
    required = [(line, task.task) for task in published.tasks]
    return compare({line: expected}, _ANYWHERE, obtained, _ANYWHERE, required=required)


def harness_grid(published: PublishedModel, record: Mapping[str, Any] | None) -> Grid:
    """One line a task: published, obtained, difference, what is allowed, verdict."""
    rows = [
        [
            task.task,
            f"{task.score:.3f}",
            "-" if cell.obtained is None else f"{cell.obtained:.3f}",
            "-" if cell.delta is None else f"{cell.delta:+.3f}",
            f"{task.within:g}",
            str(cell.verdict),
        ]
        for task, cell in zip(published.tasks, judged(published, record).cells, strict=True)
    ]
    return Grid(["task", "published", "obtained", "difference", "allowed", "verdict"], rows)


def recorded_harness(published: PublishedModel, record: Mapping[str, Any] | None) -> str:
    """The recorded comparison as Markdown, with what it was obtained with; every cell ``not run`` without a record."""
    table = harness_grid(published, record).markdown()
    if record is None:
        return f"{table}\n\nPoints. Published: {published.source}."
    versions, machine = record["environment"], record["hardware"]
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("mteb", "torch", "transformers", "scikit-learn"))
    caption = (
        f"Points. Published: {published.source}. Obtained: {record['started_at'][:10]}, commit "
        f"{str(record['code']['commit'])[:7]}, {libraries}; {machine['cpu']}."
    )
    return f"{table}\n\n{caption}"


def read_record(path: Path = RECORD) -> dict[str, Any] | None:
    """The record that ``--record`` wrote; None when there is none.

    Raises:
        DataError: if it is not one, or a score of it is none.
    """
    if not path.is_file():
        return None
    try:
        record = dict(read_json(path))
        record["environment"], record["hardware"], record["code"]
        for task, score in record["scores"].items():
            number(score, f"{path}, {task}", -1.0, 1.0)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a record of the harness ({error!r}); restore it with `git checkout`") from error
    return record


def parser() -> ArgumentParser:
    """The command line."""
    made = ArgumentParser(
        prog="python -m one_embedder.reproduction.compare.harness",
        description="Score all-MiniLM-L6-v2 without instructions and compare with published scores.",
        allow_abbrev=False,
    )
    made.add_argument("root", help="a benchmark folder with the rows of MTEB's tasks")
    made.add_argument("overrides", nargs="*", metavar="key=value", help="as for evaluate: evaluation.batch_size=32")
    made.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(PROJECT_ROOT)}, for the README")
    return made


def work(options: Namespace) -> int:
    """Verify, print the table, and say by the exit code whether every score came out."""
    published = read_published()
    if not options.root:
        tasks = ", ".join(task.task for task in published.tasks)
        raise DataError(
            "name a folder of tasks: make verify-harness BENCHMARK=/path/to/folder. It holds MTEB's own rows of any of "
            f"{tasks}, as in eval/STS/STS12/test.jsonl.gz; the README gives the layout"
        )
    record = verify(Path(options.root).expanduser(), published, options.overrides)
    sys.stdout.write(f"{harness_grid(published, record).text()}\n")
    if options.record:
        there = read_record(RECORD)
        require_as_much(RECORD, {"tasks": len(there["scores"]) if there else 0}, {"tasks": len(record["scores"])})
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(RECORD, json.dumps(record, indent=1) + "\n")
    return judged(published, record).exit_code


def main() -> NoReturn:
    """Console script."""
    options = parser().parse_intermixed_args()  # options may stand between the overrides
    codes: list[int] = []
    sys.exit(told(lambda: codes.append(work(options))) or max(codes, default=0))


if __name__ == "__main__":
    main()
