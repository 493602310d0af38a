"""Which rows a table has, and what each is trained and scored with."""

from __future__ import annotations

import pytest

from one_embedder.reproduction.statistics.layout import COLUMN_HEADERS, COLUMNS, INSTRUCTOR, ROWS, RowSpec, rows_of


def told(rows: tuple[RowSpec, ...]) -> dict[str, tuple[bool | None, bool, bool]]:
    """Row id -> trained with instructions, scored with them, and whether it is trained at all."""
    return {row.id: (row.trained_with_instructions, row.evaluated_with_instructions, row.is_trained) for row in rows}


def test_rows_that_ask_whether_instructions_help_differ_in_training_and_in_what_they_are_scored_with() -> None:
    assert told(ROWS) == {
        "backbone": (None, False, False),
        "backbone_with_instructions": (None, True, False),
        "finetuned_without_instructions": (False, False, True),
        "instructor": (True, True, True),
    }


@pytest.mark.parametrize(("profile", "trained", "label"), [
    ("released", None, "INSTRUCTOR (instructor-large)"),
    ("paper", True, "INSTRUCTOR (gtr-t5-large, finetuned here)"),
])  # fmt: skip
def test_beside_published_numbers_stand_the_backbone_and_instructor(
    profile: str, trained: bool | None, label: str
) -> None:
    rows = rows_of(profile, "hkunlp/instructor-large", "sentence-transformers/gtr-t5-large")
    assert told(rows) == {"backbone": (None, False, False), INSTRUCTOR.id: (trained, True, trained is not None)}
    assert [row.label for row in rows] == ["backbone (gtr-t5-large)", label]
    assert [row.encoder for row in rows] == ["sentence-transformers/gtr-t5-large", None]


def test_the_columns_are_the_papers_nine_in_its_order() -> None:
    assert len(COLUMNS) == 9 and list(COLUMN_HEADERS) == list(COLUMNS)
    assert (COLUMNS[0], COLUMNS[-1]) == ("Retrieval", "TextEvaluation")
