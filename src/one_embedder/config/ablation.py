"""An ablation's design: from its axes to the models that are trained, how each is scored, and the cells to compare.

A *child* is one model: a training with its seed, or an untrained reference. Evaluated axes make no children of their
own, only more *variants* to score each child in. A *cell* is what is compared: the runs of all seeds with one variant.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from one_embedder.config.messages import nearest
from one_embedder.config.schema import AblationConfig, AxisConfig, ClaimConfig, HeadroomConfig
from one_embedder.errors import ConfigError

REFERENCE = "reference"
"""The key by which a claim names a reference instead of levels."""

# What Hydra reads without quotes, less the signs that join names, so that different ones cannot be joined to the same.
_NAME = re.compile(r"[A-Za-z0-9_.]+")


@dataclass(frozen=True)
class Child:
    """One model of an ablation.

    Attributes:
        id: ``with+all-s0``: its levels and seed; of a reference its name.
        levels: trained axis -> level.
        settings: dotted key -> value.
        seed: None for a reference, which is not trained.
    """

    id: str
    levels: Mapping[str, str]
    settings: Mapping[str, Any]
    seed: int | None


@dataclass(frozen=True)
class Variant:
    """One way to score a child: evaluated axis -> level, and the settings of these levels."""

    levels: Mapping[str, str]
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of a folder; empty without evaluated axes."""
        return "+".join(self.levels.values())


def children(ablation: AblationConfig) -> list[Child]:
    """References, then every combination of trained levels with every seed."""
    references = [Child(name, {}, settings, None) for name, settings in ablation.references.items()]
    trained = [
        Child(f"{'+'.join(levels.values()) or 'trained'}-s{seed}", levels, settings, seed)
        for levels, settings in _product(_axes(ablation, evaluated=False))
        for seed in ablation.seeds
    ]
    return references + trained


def child_of(ablation: AblationConfig) -> Child:
    """The child that ``ablation.child`` names.

    Raises:
        ConfigError: if there is none of that name.
    """
    known = {child.id: child for child in children(ablation)}
    if ablation.child not in known:
        raise ConfigError(f"ablation.child={ablation.child!r} must be {nearest(str(ablation.child), tuple(known))}")
    return known[ablation.child]


def variants(ablation: AblationConfig, child: Child) -> list[Variant]:
    """How a child is scored: once for each combination of evaluated levels; a reference once, as its settings say."""
    if child.seed is None:
        return [Variant({}, {})]
    return [Variant(levels, settings) for levels, settings in _product(_axes(ablation, evaluated=True))]


def cell_id(ablation: AblationConfig, levels: Mapping[str, str]) -> str:
    """The id of a combination of levels, in the order of the axes."""
    return "+".join(levels[axis] for axis in ablation.axes if axis in levels) or "trained"


def side_ids(ablation: AblationConfig, side: Iterable[Mapping[str, str]]) -> list[str]:
    """The cells of one side of a claim by id; with ``gap_over`` their ids without the level of that axis."""
    return [cell[REFERENCE] if REFERENCE in cell else cell_id(ablation, cell) for cell in side]


def jobs(ablation: DictConfig) -> str:
    """What Hydra's ``--multirun`` sweeps: every child by name, or ``null`` without an ablation.

    Args:
        ablation: the section as composed.
    """
    design = cast(AblationConfig, OmegaConf.to_object(ablation))
    return ",".join(child.id for child in children(design)) if design.name else "null"


def require_free(ablation: AblationConfig, overrides: Iterable[str]) -> None:
    """Refuse a setting on the command line that no trained child would keep.

    Args:
        ablation: which axes it has.
        overrides: what was typed, ``key=value`` each.

    Raises:
        ConfigError: every level of an axis sets the same key.
    """
    for name, axis in ablation.axes.items():
        of_every_level = set.intersection(*(set(level) for level in axis.levels.values())) if axis.levels else set()
        for override in overrides:
            key = override.lstrip("+").partition("=")[0]
            if key in of_every_level:
                raise ConfigError(
                    f"{override} would change nothing: ablation={ablation.name} sets {key} in every level of its axis "
                    f"{name}; leave it out, or change a level: ablation.axes.{name}.levels"
                )


def troubles(ablation: AblationConfig) -> Iterator[str]:
    """What is wrong with a design, one sentence each."""
    if not ablation.name:
        if ablation.child is not None:
            yield f"ablation.child={ablation.child!r} needs ablation=NAME"
        return
    names = [ablation.name, *ablation.axes, *ablation.references]
    names += [level for axis in ablation.axes.values() for level in axis.levels]
    for name in names:
        if not _NAME.fullmatch(name):
            yield f"ablation: the name {name!r} must be letters, digits, _ and . only"
    for name, axis in ablation.axes.items():
        if not axis.levels:
            yield f"ablation.axes.{name} has no levels"
    if len(set(ablation.seeds)) != len(ablation.seeds) or not ablation.seeds or min(ablation.seeds) < 0:
        yield f"ablation.seeds={ablation.seeds!r} must be a non-empty list of different integers >= 0"
    for name, claim in ablation.claims.items():
        yield from _claim_troubles(ablation, name, claim)
    if ablation.headroom.specialists is not None:
        yield from _headroom_troubles(ablation, ablation.headroom)


def _headroom_troubles(ablation: AblationConfig, headroom: HeadroomConfig) -> Iterator[str]:
    where, axis = "ablation.headroom", str(headroom.specialists)
    if axis not in ablation.axes:
        yield f"{where}.specialists={axis!r} must be {nearest(axis, tuple(ablation.axes))}"
        return
    yield from _cell_troubles(ablation, f"{where}.generalist", headroom.generalist, list(ablation.axes))
    yield from _cell_troubles(ablation, f"{where}.instructed", headroom.instructed, list(ablation.axes))
    if headroom.backbone not in ablation.references:
        yield f"{where}.backbone={headroom.backbone!r} must be {nearest(headroom.backbone, tuple(ablation.references))}"
    of_all_tasks = (headroom.generalist.get(axis), headroom.instructed.get(axis))
    kinds = tuple(level for level in ablation.axes[axis].levels if level not in of_all_tasks)
    for kind in headroom.mirrors:
        if kind not in kinds:
            yield f"{where}.mirrors: the kind {kind!r} must be {nearest(kind, kinds)}"


def _claim_troubles(ablation: AblationConfig, name: str, claim: ClaimConfig) -> Iterator[str]:
    where = f"ablation.claims.{name}"
    if not claim.text or not claim.source:
        yield f"{where} needs text and source: what is tested, and who says so"
    if not claim.plus or not claim.minus:
        yield f"{where} needs plus and minus: what shall be above what"
    if claim.gap_over is not None and not ablation.axes.get(claim.gap_over, AxisConfig()).evaluated:
        yield f"{where}.gap_over={claim.gap_over!r} must be an evaluated axis"
    wanted = [axis for axis in ablation.axes if axis != claim.gap_over]
    for cell in [*claim.plus, *claim.minus]:
        if REFERENCE in cell:
            if claim.gap_over is not None or cell[REFERENCE] not in ablation.references:
                yield f"{where}: {cell} must name one of the references {', '.join(ablation.references)}, and no gap"
        else:
            yield from _cell_troubles(ablation, where, cell, wanted)


def _cell_troubles(
    ablation: AblationConfig, where: str, cell: Mapping[str, str], wanted: Sequence[str]
) -> Iterator[str]:
    if sorted(cell) != sorted(wanted):
        yield f"{where}: {cell} must say a level of each of {', '.join(wanted)}, and of nothing else"
        return
    for axis, level in cell.items():
        if level not in ablation.axes[axis].levels:
            yield f"{where}: {axis}={level!r} must be {nearest(level, tuple(ablation.axes[axis].levels))}"


def _axes(ablation: AblationConfig, *, evaluated: bool) -> dict[str, AxisConfig]:
    return {name: axis for name, axis in ablation.axes.items() if axis.evaluated is evaluated}


def _product(axes: Mapping[str, AxisConfig]) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Every combination of levels with its settings; one without any if there are no axes."""
    for chosen in itertools.product(*(axis.levels.items() for axis in axes.values())):
        levels = {name: level for name, (level, _) in zip(axes, chosen, strict=True)}
        yield levels, {key: value for _, settings in chosen for key, value in settings.items()}
