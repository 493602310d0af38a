"""Steering: what the right instruction is worth for a labeling, beside the instructions of the other labelings.

The table of a set is S[instruction, labeling]. Its instructions are those of the K labelings and none at all. Of a
labeling, *right* is the score under its own instruction, *other* the mean score under the other labelings', *none* the
score without an instruction. Steering is right minus other. Embeddings that do not depend on the instruction have a
steering of exactly 0, whatever they tell about their texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

NO_INSTRUCTION = "none"
"""The row of the table for texts without an instruction."""

COLUMNS = ("steering", "right", "other", "none", "right_minus_none")

Table = Mapping[str, Mapping[str, Any]]
"""Instruction (a labeling's name, or ``NO_INSTRUCTION``) -> labeling -> score, or an array of scores of resamples."""


def steering(table: Table) -> dict[str, dict[str, Any]]:
    """Labeling -> column of ``COLUMNS`` -> score.

    Args:
        table: of at least two labelings.
    """
    labelings = [name for name in table if name != NO_INSTRUCTION]
    return {labeling: _of_labeling(table, labeling, labelings) for labeling in labelings}


def mean_over_labelings(table: Table) -> dict[str, Any]:
    """Column -> mean over the labelings of a set."""
    found = steering(table).values()
    return {column: np.mean([scores[column] for scores in found], axis=0) for column in COLUMNS}


def _of_labeling(table: Table, labeling: str, labelings: list[str]) -> dict[str, Any]:
    right, none = table[labeling][labeling], table[NO_INSTRUCTION][labeling]
    other = np.mean([table[name][labeling] for name in labelings if name != labeling], axis=0)
    return {
        "steering": right - other,
        "right": right,
        "other": other,
        "none": none,
        "right_minus_none": right - none,
    }
