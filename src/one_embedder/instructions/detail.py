"""How much an instruction says: the paper's levels of detail (its figure 5)."""

from __future__ import annotations

import re
from functools import lru_cache

from one_embedder.errors import DataError
from one_embedder.instructions.template import Instruction

DETAILS = ("detailed", "simple", "tag")
"""``detailed``: as written. ``simple``: domain and kind of text alone. ``tag``: the name of the data set alone."""

_JOINTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_./\s]+")


@lru_cache(maxsize=65536)  # a training row has one of a few hundred instructions
def at_detail(instruction: str, detail: str, task: str) -> str:
    """The instruction at a level of detail, in the spelling of the paper's examples (``Wikipedia Questions; Input: ``).

    Args:
        instruction: written by the template; an empty one is none at any level.
        detail: one of ``DETAILS``.
        task: name of the task or data set, the source of a tag.

    Raises:
        DataError: a simple one is asked for of an instruction that does not follow the template.
    """
    if detail == "detailed" or not instruction.strip():
        return instruction
    if detail == "tag":
        return f"{_JOINTS.sub(' ', task).strip()}; Input: "
    try:
        parsed = Instruction.parse(instruction)
    except ValueError as error:
        raise DataError(f"instruction_detail=simple, task {task}: {error}; use detailed or tag") from error
    return f"{parsed.domain} {parsed.text_type}; Input: " if parsed.domain else f"{parsed.text_type}; Input: "
