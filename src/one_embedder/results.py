"""Results as pandas frames, for notebooks and for questions of your own: what is recorded, and what ran here.

The column ``whose`` tells them apart: ``recorded`` came with the project, ``your run`` was made on this machine. Scores
are points (0-100). ``ONE_EMBEDDER_EXPERIMENTS`` and ``ONE_EMBEDDER_DATA`` name other folders than the project's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from one_embedder.errors import DataError
from one_embedder.evaluation.resampling import Interval
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.medi.store import load_medi
from one_embedder.reproduction.ablation.record import AblationRecord, read_records
from one_embedder.reproduction.compare.harness import read_record
from one_embedder.reproduction.compare.side_by_side_record import read_side_by_side
from one_embedder.reproduction.show.wandb_tables import ablation_claims, table1_claims
from one_embedder.reproduction.statistics.layout import INSTRUCTOR
from one_embedder.reproduction.steps.places import RECORDED, table_places
from one_embedder.reproduction.table1.record import read_table1
from one_embedder.reproduction.table1.tables import bounds_of
from one_embedder.reproduction.views.record import read_steering

EXPERIMENTS = "ONE_EMBEDDER_EXPERIMENTS"
DATA = "ONE_EMBEDDER_DATA"
_RUN = ["whose", "table", "profile"]
_BOUNDS = ["points", "low", "high"]


def scores() -> pd.DataFrame:
    """Every score of every table: ``whose, table, profile, model, seeds, column, points, low, high``.

    ``table`` is ``table1``, the name of an ablation, ``views`` (``views_train`` and ``views_dev`` for sets that were
    not for testing), ``looked_at`` (exploratory runs on views), ``folder`` or ``harness``. ``column`` is a category,
    ``average``, a task, or of views a measure, a set and what is measured. ``seeds`` counts the trainings behind a
    mean (of ``folder`` the evaluations, untrained encoders' too); ``low`` and ``high`` are missing where there is no
    interval.

    Raises:
        DataError: a record is damaged.
    """
    lines = [
        *(line for part in ("table1", "views") for line in _row_scores(part)),
        *(line for whose, record in _ablations() for line in _cell_scores(whose, record)),
        *_other_scores(),
    ]
    return pd.DataFrame(lines, columns=[*_RUN, "model", "seeds", "column", *_BOUNDS])


def tasks(profile: str = "documentation") -> pd.DataFrame:
    """Table 1 task by task: ``whose, model, seed, category, task, metric, items, points``; untrained: no seed.

    Raises:
        DataError: there is no Table 1 of this profile, or it is damaged.
    """
    frames = []
    for whose, path in _tables(profile).items():
        read_table1(path)  # refuses tasks of which the table's categories are not the means
        file = path.with_name(f"{profile}_tasks.csv")
        if not file.is_file():
            raise DataError(f"{file} is gone; restore it (git checkout), or run the table again")
        frames.append(pd.read_csv(file).assign(whose=whose))
    return pd.concat(frames, ignore_index=True)


def claims() -> pd.DataFrame:
    """Every claim of Table 1 and of the ablations with what decided it.

    Columns: ``whose, table, profile, claim, verdict, points, low, high, p``. ``points`` is the difference, ``p`` is
    corrected (Holm); they are missing where a part of the claim has not run.

    Raises:
        DataError: a record is damaged.
    """
    lines = [
        *([whose, "table1", own["profile"], *row] for whose, own in _records("table1") for row in table1_claims(own)),
        *([whose, own.name, own.profile, *row] for whose, own in _ablations() for row in ablation_claims(own)),
    ]
    return pd.DataFrame(lines, columns=[*_RUN, "claim", "verdict", *_BOUNDS, "p"])


def losses(profile: str = "documentation") -> pd.DataFrame:
    """The logged losses of Table 1's trainings, nats: ``whose, model, seed, step, loss``.

    Each is the loss of one batch, hence of one task: tasks differ far more than steps do. The same seed meets the same
    batches in the same order with instructions and without.

    Raises:
        DataError: there is no Table 1 of this profile.
    """
    frames = [pd.DataFrame(columns=["whose", "model", "seed", "step", "loss"])]
    for whose, path in _tables(profile).items():
        for row in read_table1(path)["rows"]:
            for seed, folder in zip(row["seeds"], row["results"], strict=False):  # an untrained row has no seeds
                frames.append(_loss(path, Path(folder).parent.name).assign(whose=whose, model=row["label"], seed=seed))
    found = [frame for frame in frames if len(frame)]
    return pd.concat(found or frames, ignore_index=True)[frames[0].columns]


def bench() -> pd.DataFrame:
    """Speed and memory, one line a measured number: ``whose, bench, number, value``; units are in the number's name."""
    files = [(whose, path) for whose, place in _places().items() for path in sorted((place / "bench").glob("*.json"))]
    about = {"code", "environment", "hardware", "settings", "sources", "texts_sha256", "sha256"}
    lines = [
        [whose, path.stem, name, value]
        for whose, path in files
        for name, value in _numbers({key: part for key, part in _json(path).items() if key not in about})
    ]
    return pd.DataFrame(lines, columns=["whose", "bench", "number", "value"])


def trained_encoder(profile: str = "documentation") -> Path | None:
    """A checkpoint of Table 1's INSTRUCTOR that is kept here, your own run's first; None where there is none."""
    tables = [read_table1(path) for path in reversed(_paths(profile).values())]
    rows = [row for record in tables for row in record["rows"] if row["id"] == INSTRUCTOR.id]
    runs = [Path(folder).parent.name for row in rows for folder in row["results"]]
    checkpoints = (_experiments() / "runs" / run / "checkpoint" for run in runs)
    return next((folder for folder in checkpoints if (folder / "modules.json").is_file()), None)


def training_rows(profile: str = "documentation") -> pd.DataFrame:
    """The training data that is built here: ``task_name``, and text and instruction of ``query``, ``pos`` and ``neg``.

    Empty where nothing has been built. ``attrs["sha256"]`` names the content.
    """
    folder = _place(DATA, "data") / profile / "medi"
    sides = [f"{side}_{part}" for side in ("query", "pos", "neg") for part in ("instruction", "text")]
    if not (folder / "manifest.json").is_file():
        return pd.DataFrame(columns=["task_name", *sides])
    medi = load_medi(folder)
    rows: pd.DataFrame = medi.dataset.to_pandas()[["task_name", *sides]]
    rows.attrs["sha256"] = medi.sha256
    return rows


def _experiments() -> Path:
    return _place(EXPERIMENTS, "experiments")


def _place(variable: str, usual: str) -> Path:
    return Path(os.environ.get(variable) or PROJECT_ROOT / usual).expanduser()


def _places() -> dict[str, Path]:
    return table_places(_experiments())


def _paths(profile: str) -> dict[str, Path]:
    paths = {whose: place / "table1" / f"{profile}.json" for whose, place in _places().items()}
    return {whose: path for whose, path in paths.items() if path.is_file()}


def _tables(profile: str) -> dict[str, Path]:
    """Whose -> the record of Table 1, of those that are there, at least one."""
    paths = _paths(profile)
    if not paths:
        command = f"make reproduce-table1 PROFILE={profile}"
        raise DataError(f"{_experiments()}: there is no Table 1 of the profile {profile}; run `{command}`")
    return paths


def _records(part: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for whose, place in _places().items():
        for path in sorted((place / part).glob("*.json")):
            if path.stem != "looked_at":
                yield whose, read_table1(path) if part == "table1" else read_steering(path)


def _ablations() -> Iterator[tuple[str, AblationRecord]]:
    for whose, place in _places().items():
        for record in read_records(place / "ablations"):
            yield whose, record


def _row_scores(part: str) -> Iterator[list[Any]]:
    for whose, record in _records(part):
        table = part if record.get("part", "test") == "test" else f"{part}_{record['part']}"
        for row in record["rows"]:
            for column, score in row["scores"].items():
                bounds = _bounds(bounds_of(row, column), score)
                yield [whose, table, record["profile"], row["label"], len(row["seeds"]), column, *bounds]


def _cell_scores(whose: str, record: AblationRecord) -> Iterator[list[Any]]:
    for cell in record.cells:
        for column, score in cell.scores.items():
            bounds = _bounds(cell.intervals.get(column), score)
            yield [whose, record.name, record.profile, cell.label, len(cell.seeds), column, *bounds]


def _other_scores() -> Iterator[list[Any]]:
    """Evaluations side by side, the check of the harness, and exploratory runs: recorded only."""
    for path in sorted((_experiments() / "folder").glob("*.json")):
        for row in read_side_by_side(path)["rows"]:
            for column, content in row["scores"].items():
                bounds = _bounds(Interval(**content))
                yield [RECORDED, "folder", path.stem, row["label"], len(row["evaluations"]), column, *bounds]
    harness = read_record(_experiments() / "harness" / "minilm.json") or {"scores": {}}
    for task, score in harness["scores"].items():
        yield [RECORDED, "harness", "minilm", harness["model"]["base"], 0, task, *_bounds(None, score)]
    if (path := _experiments() / "views" / "looked_at.json").is_file():
        for run in _json(path)["runs"]:
            seeds, sets = int("training" in run), {k: v["sets"] for k, v in run["scores"].items()}
            for name, score in _numbers(sets):
                if not name.endswith("texts"):
                    yield [RECORDED, "looked_at", "mixture", run["run"], seeds, name, *_bounds(None, score)]


def _loss(table: Path, run: str) -> pd.DataFrame:
    """Step and loss; recorded runs keep a copy beside the table. A resumed run repeats steps: the last counts."""
    kept = table.parent / "runs" / f"{run}.csv"
    path = kept if kept.is_file() else _experiments() / "runs" / run / "metrics.csv"
    if not path.is_file():
        return pd.DataFrame(columns=["step", "loss"])
    return pd.read_csv(path).dropna(subset="loss").drop_duplicates("step", keep="last")[["step", "loss"]]


def _bounds(interval: Interval | None, score: float | None = None) -> list[float | None]:
    """Points, low and high; points alone where there is no interval."""
    if interval is None:
        return [None if score is None else 100 * score, None, None]
    return [100 * interval.estimate, 100 * interval.low, 100 * interval.high]


def _numbers(content: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Path -> number, for every number within nested mappings and lists."""
    if isinstance(content, bool | str) or content is None:
        return
    if isinstance(content, int | float):
        yield name, float(content)
        return
    parts = content.items() if isinstance(content, Mapping) else enumerate(content)
    for key, part in parts:
        yield from _numbers(part, f"{name}/{key}" if name else str(key))


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content
    except ValueError as error:
        raise DataError(f"{path}: not a record ({error}); restore it") from error
