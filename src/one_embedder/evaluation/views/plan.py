"""What is to be scored: the sets and their texts, the instruction of each labeling, and what a result depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from one_embedder.config.schema import Config
from one_embedder.config.views import scored_sets
from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.plan import versions
from one_embedder.evaluation.views.cells import Labeling
from one_embedder.evaluation.views.steering import NO_INSTRUCTION
from one_embedder.instructions.detail import at_detail
from one_embedder.medi.sources.view_sets import ViewSet, read_view_sets, task_name

PROTOCOL = 1
"""Raised when a score comes out differently on the same texts, so that older results are not taken for current ones."""


@dataclass(frozen=True)
class ViewJob:
    """One set to score.

    Attributes:
        name: of the set.
        texts: N test texts.
        labelings: labeling -> which of the texts have a class in it, and which.
        instructions: what the texts are joined with, ``NO_INSTRUCTION`` (empty) among them.
        identity: everything that its result depends on, but the encoder.
    """

    name: str
    texts: tuple[str, ...]
    labelings: Mapping[str, Labeling]
    instructions: Mapping[str, str]
    identity: Mapping[str, Any]

    def identity_with(self, revision: str) -> dict[str, Any]:
        """Everything, the encoder of that revision included."""
        return {"encoder_revision": revision, **self.identity}


def view_jobs(cfg: Config) -> list[ViewJob]:
    """The sets that ``cfg.views`` asks for, read and checked.

    Raises:
        ConfigError: if no set is asked for, there is no root, or a labeling is called as what has no instruction.
        DataError: if a set is not there, or cannot be used.
    """
    names = scored_sets(cfg)
    if not names:
        raise ConfigError(
            f"views={cfg.views.name} has no set of the part {cfg.views.part!r}: choose a file of conf/views, as in "
            "views=public views.root=DIR, or another views.part"
        )
    if named := [name for name, settings in cfg.views.sets.items() if NO_INSTRUCTION in settings.objectives]:
        raise ConfigError(
            f"views.sets.{named[0]}.objectives: a labeling cannot be called {NO_INSTRUCTION}, which stands for no "
            "instruction; give it another name, in the set's file too"
        )
    return [_job(cfg, views) for views in read_view_sets(cfg, cfg.views.root, names, "test")]


def _job(cfg: Config, views: ViewSet) -> ViewJob:
    drawn = views.drawn(cfg.views.texts_per_set, cfg.views.seed)
    labelings = {name: Labeling.of(classes) for name, classes in drawn.labels.items()}
    for name, labeling in labelings.items():
        if labeling.classes < 2:
            raise DataError(
                f"view set {views.name}: of the {len(drawn.texts)} test texts that are scored fewer than two classes "
                f"of the labeling {name!r} have two; give it more test texts, or raise views.texts_per_set"
            )
    instructions = {name: "" for name in (NO_INSTRUCTION,)} | {
        name: at_detail(instruction.render(), cfg.instruction_detail, task_name(views.name, name))
        for name, instruction in views.instructions.items()
    }
    return ViewJob(views.name, drawn.texts, labelings, instructions, _identity(cfg, views, instructions))


def _identity(cfg: Config, views: ViewSet, instructions: Mapping[str, str]) -> dict[str, Any]:
    settings = cfg.views
    identity: dict[str, Any] = {
        "protocol": PROTOCOL,
        "data_sha256": views.sha256,
        "instructions": dict(instructions),
        "settings": {
            "texts_per_set": settings.texts_per_set,
            "neighbours": settings.neighbours,
            "repeats": settings.repeats,
            "seed": settings.seed,
        },
        "versions": versions(),
    }
    return identity if cfg.evaluation.dtype == "float32" else identity | {"dtype": cfg.evaluation.dtype}
