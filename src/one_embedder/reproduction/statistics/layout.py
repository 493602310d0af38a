"""What Table 1 looks like: its columns, its rows, and how each row is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

AVERAGE = "average"

COLUMN_HEADERS = {
    "Retrieval": "Retr.",
    "Reranking": "Rerank",
    "Clustering": "Clust.",
    "PairClassification": "Pair",
    "Classification": "Class.",
    "STS": "STS",
    "Summarization": "Summ.",
    "PromptRetrieval": "Prompt",
    "TextEvaluation": "Text ev.",
}
"""Category -> short header, in the order of the paper's table. ``average`` is the mean of these nine."""

COLUMNS = tuple(COLUMN_HEADERS)


@dataclass(frozen=True)
class RowSpec:
    """One row of Table 1.

    Attributes:
        id: name in files.
        label: name shown to readers.
        trained_with_instructions: None where nothing is trained.
        evaluated_with_instructions: whether the benchmark's instructions are given to the model.
        encoder: what is scored, where nothing is trained; None: the encoder of the configuration.
    """

    id: str
    label: str
    trained_with_instructions: bool | None
    evaluated_with_instructions: bool
    encoder: str | None = None

    @property
    def is_trained(self) -> bool:
        """Whether this row needs a training run (one a seed)."""
        return self.trained_with_instructions is not None


BACKBONE = RowSpec("backbone", "backbone", None, False)
INSTRUCTED_BACKBONE = RowSpec("backbone_with_instructions", "backbone with instructions (untrained)", None, True)
WITHOUT = RowSpec("finetuned_without_instructions", "finetuned without instructions", False, False)
INSTRUCTOR = RowSpec("instructor", "INSTRUCTOR (finetuned with instructions)", True, True)

ROWS = (BACKBONE, INSTRUCTED_BACKBONE, WITHOUT, INSTRUCTOR)
"""Of the profiles that ask whether instructions help on data of their own."""


def rows_of(profile: str, model: str, backbone: str) -> tuple[RowSpec, RowSpec]:
    """The rows of a profile that stands beside published numbers: the backbone and INSTRUCTOR.

    Args:
        profile: ``released``, where nothing is trained, or ``paper``.
        model: hub id of the published INSTRUCTOR.
        backbone: hub id or folder of what it was finetuned from.
    """
    below = replace(BACKBONE, label=f"backbone ({Path(backbone).name})", encoder=backbone)
    if profile == "released":
        label = f"INSTRUCTOR ({Path(model).name})"
        return below, replace(INSTRUCTOR, label=label, trained_with_instructions=None)
    return below, replace(INSTRUCTOR, label=f"INSTRUCTOR ({Path(backbone).name}, finetuned here)")


RELATIVE_GAIN = "relative gain over backbone, %"
