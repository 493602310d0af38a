"""What was published of the models that can be run: scores task by task, and the columns that follow from them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from one_embedder.errors import ConfigError, DataError
from one_embedder.files.documents import read_yaml
from one_embedder.reproduction.statistics.consistency import points, tolerance
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS, RowSpec, rows_of
from one_embedder.reproduction.steps.profiles import EVALUATION_ONLY
from one_embedder.reproduction.table1.published import PublishedTable
from one_embedder.reproduction.table1.verdicts import ExpectedCell


@dataclass(frozen=True)
class PublishedModel:
    """A published model.

    Attributes:
        name: hub id.
        backbone: the model it was finetuned from; None for a backbone.
        source: of the scores.
        scores: task -> points.
        printed: category that was published as a mean alone -> number of tasks, points.
    """

    name: str
    backbone: str | None
    source: str
    scores: Mapping[str, float]
    printed: Mapping[str, tuple[int, float]]

    def columns(self, tasks: Mapping[str, str]) -> dict[str, float]:
        """Category -> points over these very tasks, and with all nine their mean.

        Args:
            tasks: task -> category. A category of which a task has no published score is left out, unless it was
                published as the mean of so many tasks.
        """
        columns = {}
        for column in COLUMNS:
            own = [task for task, category in tasks.items() if category == column]
            if own and all(task in self.scores for task in own):
                columns[column] = fmean(self.scores[task] for task in own)
            elif column in self.printed and len(own) == self.printed[column][0]:
                columns[column] = self.printed[column][1]
        if len(columns) == len(COLUMNS):
            columns[AVERAGE] = fmean(columns[column] for column in COLUMNS)
        return columns

    def without(self, category: str) -> PublishedModel:
        """The same without what was printed of a category."""
        return replace(self, printed={name: value for name, value in self.printed.items() if name != category})


@dataclass(frozen=True)
class Beside:
    """The rows of a profile whose numbers belong beside published ones.

    Attributes:
        rows: the backbone, and INSTRUCTOR.
        models: row id -> the published model.
        tolerances: row id -> (ok, near), points.
        clustering: (ok, near) of one clustering task: k-means from another start gives that much more or less.
        told: what has to be told with the table.
    """

    rows: tuple[RowSpec, ...]
    models: Mapping[str, PublishedModel]
    tolerances: Mapping[str, tuple[float, float]]
    clustering: tuple[float, float]
    told: Sequence[str]

    def expected(self, tasks: Mapping[str, str]) -> dict[str, dict[str, ExpectedCell]]:
        """Row id -> column -> published number over these tasks (task -> category), with its tolerances."""
        counts = Counter(tasks.values())
        return {
            row: {
                column: ExpectedCell(value, *self.tolerance(row, column, counts[column]))
                for column, value in model.columns(tasks).items()
            }
            for row, model in self.models.items()
        }

    def tolerance(self, row: str, column: str, tasks: int = 1) -> tuple[float, float]:
        """(ok, near) of the mean of so many tasks of a column; chance in clustering evens out with their number."""
        ok, near = self.tolerances[row]
        if column != "Clustering":
            return ok, near
        by_chance = [bound / math.sqrt(tasks) for bound in self.clustering]
        return max(ok, by_chance[0]), max(near, by_chance[1])


@dataclass(frozen=True)
class PublishedModels:
    """All of them.

    Attributes:
        models: by hub id.
        tolerances: ``recheck`` (a published model, run again), ``retrain`` and ``clustering`` (a task of it, by
            chance) -> (ok, near), points.
    """

    models: Mapping[str, PublishedModel]
    tolerances: Mapping[str, tuple[float, float]]

    def beside(
        self, profile: str, encoder: str, *, backbone: str | None, with_language_model: bool, told: Sequence[str]
    ) -> Beside:
        """The rows of a profile, each with the model that it stands beside.

        Args:
            profile: ``released`` or ``paper``.
            encoder: what the profile runs on, by hub id or as a folder of the same name: the published model itself
                (released), or what it was finetuned from (paper).
            backbone: hub id or folder of the backbone, in place of the published one's hub id.
            with_language_model: whether prompt retrieval is scored with one, as the published means were; what it
                gives otherwise stands beside nothing.
            told: what has to be told with the table.

        Raises:
            ConfigError: if nothing was published of ``encoder``.
        """
        finetuned = [model for model in self.models.values() if model.backbone is not None]
        names = {model.name if profile == EVALUATION_ONLY else str(model.backbone): model for model in finetuned}
        found = [name for name in names if Path(name).name == Path(encoder).name]
        if not found:
            raise ConfigError(
                f"profile={profile} stands beside published numbers, and there are none of "
                f"encoder.name_or_path={encoder!r}: take one of {', '.join(names)}, or a folder named like one"
            )
        model = names[found[0]]
        below = self.models[str(model.backbone)]
        path = backbone or (below.name if profile == EVALUATION_ONLY else encoder)
        rows = rows_of(profile, model.name, path)
        kinds = ("retrain" if spec.is_trained else "recheck" for spec in rows)
        models = (
            (below, model)
            if with_language_model
            else (below.without("PromptRetrieval"), model.without("PromptRetrieval"))
        )
        return Beside(
            rows,
            {spec.id: own for spec, own in zip(rows, models, strict=True)},
            {spec.id: self.tolerances[kind] for spec, kind in zip(rows, kinds, strict=True)},
            self.tolerances["clustering"],
            told,
        )


def load_published_models(path: Path, table: PublishedTable) -> PublishedModels:
    """Read the published models.

    Args:
        path: the file.
        table: the paper's, for the categories that were published as means alone.

    Raises:
        DataError: if the file is not such a file, or a model lacks a task.
    """
    try:
        content = read_yaml(path)
        categories = {str(task): str(category) for task, category in content["tasks"].items()}
        alone = [column for column in COLUMNS if column not in categories.values()]
        models = {}
        for entry in content["models"]:
            where = f"{path}, {entry['name']}"
            scores = {str(task): points(score, f"{where}, {task}") for task, score in entry["scores"].items()}
            if set(scores) != set(categories):
                raise DataError(f"{path}: {entry['name']} has not the tasks {sorted(set(scores) ^ set(categories))}")
            row = table.row(entry["paper_row"]).scores if entry["paper_row"] else None
            printed = {column: (table.task_counts[column], row[column]) for column in alone} if row else {}
            models[entry["name"]] = PublishedModel(entry["name"], entry["backbone"], entry["source"], scores, printed)
        tolerances = {
            kind: (tolerance(entry["ok"], f"{path}, {kind}"), tolerance(entry["near"], f"{path}, {kind}"))
            for kind, entry in ((kind, content["tolerances"][kind]) for kind in ("recheck", "retrain", "clustering"))
        }
        return PublishedModels(models, tolerances)
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: not a file of published models ({error!r}); restore it with `git checkout {path}`"
        ) from error
