"""Settings that the command line gives to a verb that does not read them: refused, or they would be taken for done.

Files of ``conf`` may set any section, for all verbs share one schema. ``build_medi`` and ``reproduce`` take every
section: make and grids hand one list of settings to both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from one_embedder.config.help import SCORING, SECTIONS
from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError

_AFTER_SECTION = re.compile(r"[.@=/]")
_THROUGH_PLACES = ("medi",)
"""Also read by the verbs that score: benchmarks and view sets may lie in ``medi.folder`` or ``medi.views``."""

_NO_INSTRUCTIONS = "instructions=none"


def require_read(verb: str, overrides: Iterable[str], cfg: Config) -> None:
    """Refuse a setting on the command line that the verb does not read.

    Args:
        verb: what runs.
        overrides: what was typed, ``key=value`` each.
        cfg: what it made.

    Raises:
        ConfigError: naming the setting and the verbs that read its section.
    """
    if verb not in ("train", "evaluate", "evaluate_views"):
        return
    for override in overrides:
        section = _AFTER_SECTION.split(override.lstrip("+~"))[0]
        readers = [name for name, sections in SECTIONS.items() if section in sections]
        if readers and not _is_read(verb, section, override, cfg):
            raise ConfigError(_told(verb, section, override, readers))


def _is_read(verb: str, section: str, override: str, cfg: Config) -> bool:
    if verb != "train":
        return section in (*SECTIONS[verb], *_THROUGH_PLACES)
    if section in SCORING and cfg.trainer.early_stopping.every_n_steps is not None:
        return True
    of_checkpoint = section == "instructions" and override != _NO_INSTRUCTIONS  # the prompts that it is saved with
    return section in SECTIONS[verb] or of_checkpoint


def _told(verb: str, section: str, override: str, readers: list[str]) -> str:
    if verb == "train" and override == _NO_INSTRUCTIONS:
        return (
            f"{override} is about evaluation, train would read the instructions of its data all the same: "
            "with_instructions=false trains without instructions"
        )
    others = " and ".join(name for name in readers if name != "build_medi")
    remedy = "reproduce ablation=NAME ablation.child=CHILD runs one of its models" if section == "ablation" else ""
    return (
        f"{override} would change nothing: {verb} does not read {section}, {others} would; {remedy or 'leave it out'}"
    )
