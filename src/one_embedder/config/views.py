"""Which view sets are trained on and which are scored, and what is wrong with that choice."""

from __future__ import annotations

from one_embedder.config.messages import nearest
from one_embedder.config.schema import Config, ViewSetConfig


def trained_sets(cfg: Config) -> list[str]:
    """The view sets that training data are made of; none without ``medi.views``."""
    if cfg.medi.views is None:
        return []
    return cfg.medi.view_sets or _of_part(cfg, "train")


def scored_sets(cfg: Config) -> list[str]:
    """The view sets that steering is measured on."""
    return cfg.views.chosen or _of_part(cfg, cfg.views.part)


def troubles(cfg: Config) -> list[str]:
    """What cannot work, whatever the files hold: one sentence each."""
    told = [line for name, settings in cfg.views.sets.items() for line in _of_set(f"views.sets.{name}", settings)]
    for key, names in (("medi.view_sets", cfg.medi.view_sets), ("views.chosen", cfg.views.chosen)):
        told += [f"{key}: {_unknown(cfg, name)}" for name in names or () if name not in cfg.views.sets]
    if cfg.views.part != "train" and (both := sorted({*trained_sets(cfg)} & {*scored_sets(cfg)})):
        told.append(
            f"view sets {', '.join(both)} would be trained on (medi.view_sets) and scored as sets that training never "
            "saw (views.part, views.chosen): leave them out of one of the two, or say views.part=train"
        )
    if cfg.views.part == "train" and trained_sets(cfg):
        told += [
            f"views.chosen: views.part=train scores the sets that are trained on, and {name} is none of them"
            for name in cfg.views.chosen or ()
            if name not in trained_sets(cfg)
        ]
    return told


def _of_part(cfg: Config, part: str) -> list[str]:
    return [name for name, settings in cfg.views.sets.items() if settings.part == part]


def _of_set(where: str, settings: ViewSetConfig) -> list[str]:
    told = []
    if len(settings.objectives) < 2:
        told.append(
            f"{where}.objectives names {len(settings.objectives)} labeling: steering compares the instructions of at "
            "least two; add another labeling's objective, or leave the set out"
        )
    parts = {"text_type": settings.text_type, "domain": settings.domain} | {
        f"objectives.{labeling}": objective for labeling, objective in settings.objectives.items()
    }
    blank = [key for key, value in parts.items() if value is not None and not value.strip()]
    return told + [f"{where}.{key} is blank: an instruction needs words there" for key in blank]


def _unknown(cfg: Config, name: str) -> str:
    known = tuple(cfg.views.sets)
    if not known:
        return f"{name!r} has no instructions, for views.sets is empty; choose a file of conf/views, as in views=public"
    return (
        f"{name!r} has no instructions in views.sets; give it some, as the sets of conf/views have them, or name "
        f"{nearest(name, known)}"
    )
