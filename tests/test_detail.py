from __future__ import annotations

import pytest

from one_embedder.config.checks import choices_of
from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.instructions.detail import DETAILS, at_detail

INSTRUCTION = "Represent the Wikipedia question for retrieving supporting documents: "


@pytest.mark.parametrize(
    ("detail", "task", "expected"),
    [
        ("detailed", "NQ", INSTRUCTION),
        ("simple", "NQ", "Wikipedia question; Input: "),
        ("tag", "NaturalQuestions", "Natural Questions; Input: "),
        ("tag", "parameter_to_function/web", "parameter to function web; Input: "),
    ],
)
def test_each_level_says_what_the_papers_example_says(detail: str, task: str, expected: str) -> None:
    assert at_detail(INSTRUCTION, detail, task) == expected


def test_an_instruction_without_a_domain_is_simply_its_kind_of_text() -> None:
    assert at_detail("Represent the question for retrieval: ", "simple", "NQ") == "question; Input: "


@pytest.mark.parametrize("detail", DETAILS)
def test_no_instruction_stays_none_at_every_level(detail: str) -> None:
    assert at_detail("", detail, "NQ") == ""


def test_an_instruction_off_the_template_cannot_be_made_simple() -> None:
    with pytest.raises(DataError, match=r"instruction_detail=simple, task NQ: .*use detailed or tag"):
        at_detail("Find what fits: ", "simple", "NQ")


def test_the_configuration_knows_every_level() -> None:
    assert set(choices_of(Config, "instruction_detail")) == set(DETAILS)
