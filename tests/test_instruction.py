"""The instruction template, rendered and parsed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import one_embedder
from one_embedder.instructions.template import Instruction

RESERVED = {"the", "a", "an", "for", "to", "input"}
WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZé-", min_size=1, max_size=10).filter(
    lambda word: word.lower() not in RESERVED
)
PHRASE = st.lists(WORD, min_size=1, max_size=4).map(" ".join)

# (written, domain, text type, objective): MEDI's rows, then the spellings of the released evaluation.
PUBLISHED = [
    ("Represent the Wikipedia question for retrieving relevant documents;", "Wikipedia", "question", "retrieving relevant documents"),  # noqa: E501
    ("Represent the Wikipedia document for retrieval;", "Wikipedia", "document", "retrieval"),
    ("Represent the scientific title for retrieving duplicate titles;", "scientific", "title", "retrieving duplicate titles"),  # noqa: E501
    ("Represent the scientific title for retrieval;", "scientific", "title", "retrieval"),
    ("Represent the medicine question for retrieving relevant documents;", "medicine", "question", "retrieving relevant documents"),  # noqa: E501
    ("Represent the medicine document for retrieval;", "medicine", "document", "retrieval"),
    ("Represent the Wikipedia claim for retrieving relevant documents;", "Wikipedia", "claim", "retrieving relevant documents"),  # noqa: E501
    ("Represent the Wikipedia sentence for retrieving relevant documents;", "Wikipedia", "sentence", "retrieving relevant documents"),  # noqa: E501
    ("Represent the Wikipedia document for retrieval; Input:", "Wikipedia", "document", "retrieval"),
    ("Represent the Quora question to retrieve question: ", "Quora", "question", "retrieve question"),
    ("Represent an emotion sentence; Input: ", "emotion", "sentence", None),
    ("Represent the Public medical articles for retrieval: ", "Public medical", "articles", "retrieval"),
    ("represent posts, ", None, "posts", None),
    ("Represent a posts,,, ", None, "posts", None),
    ("Represent the sentence:\n", None, "sentence", None),
    ("Represent counter-arguments: ", None, "counter-arguments", None),
]  # fmt: skip


@pytest.mark.parametrize(("written", "domain", "text_type", "objective"), PUBLISHED)
def test_published_instructions_parse_into_their_parts(
    written: str, domain: str | None, text_type: str, objective: str | None
) -> None:
    assert Instruction.parse(written) == Instruction(text_type, domain, objective)


@given(text_type=WORD, domain=st.none() | PHRASE, objective=st.none() | PHRASE)
def test_parsing_what_was_rendered_gives_the_instruction_back(
    text_type: str, domain: str | None, objective: str | None
) -> None:
    instruction = Instruction(text_type, domain, objective)
    assert Instruction.parse(instruction.render()) == instruction


@given(text_type=PHRASE, domain=st.none() | PHRASE, objective=st.none() | PHRASE)
def test_rendering_what_was_parsed_gives_the_words_back_whatever_the_split(
    text_type: str, domain: str | None, objective: str | None
) -> None:
    written = Instruction(text_type, domain, objective).render()
    assert Instruction.parse(written).render() == written


@pytest.mark.parametrize(
    ("instruction", "written"),
    [
        (Instruction("question"), "Represent the question: "),
        (Instruction("question", domain="Wikipedia"), "Represent the Wikipedia question: "),
        (Instruction("question", objective="retrieval"), "Represent the question for retrieval: "),
        (
            Instruction("question", "Wikipedia", "retrieving supporting documents"),
            "Represent the Wikipedia question for retrieving supporting documents: ",
        ),
        (Instruction(" research \n paper "), "Represent the research paper: "),
    ],
)
def test_an_instruction_renders_to_the_published_spelling(instruction: Instruction, written: str) -> None:
    assert instruction.render() == str(instruction) == written


@pytest.mark.parametrize("text", ["", "   ", "Represent", "Represent the: ", "Embed the question: "])
def test_a_text_that_is_no_instruction_is_refused_with_the_form_it_should_have(text: str) -> None:
    with pytest.raises(ValueError, match="Represent the \\(domain\\) text_type for objective"):
        Instruction.parse(text)


@pytest.mark.parametrize(
    "parts", [{"text_type": " "}, {"text_type": "q", "domain": ""}, {"text_type": "q", "objective": "\n"}]
)
def test_a_blank_part_is_refused_by_name(parts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=list(parts)[-1]):
        Instruction(**parts)


def test_every_instruction_of_the_released_evaluation_parses_and_keeps_its_parts(shared: Path) -> None:
    table = shared / "facts" / "evaluation_instructions.csv"
    with table.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["instruction"]]
    assert len(rows) > 250
    for row in rows:
        parsed = Instruction.parse(row["instruction"])
        assert Instruction.parse(parsed.render()) == parsed


def test_the_package_offers_its_two_public_classes_and_nothing_else() -> None:
    assert one_embedder.Instruction is Instruction
    assert one_embedder.InstructionEmbedder.__name__ == "InstructionEmbedder"
    with pytest.raises(AttributeError, match="Nothing"):
        one_embedder.Nothing  # noqa: B018
