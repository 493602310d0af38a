"""The unified instruction template: ``Represent the (domain) text_type for objective:`` (paper, section 2.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

# The published instructions vary: any article or none, "for" or "to" before the objective, and one of several endings
# (": " in the checkpoints' examples, ";" in MEDI, "; Input: " in the first release, ", " and " " now and then).
_TEMPLATE = re.compile(
    r"Represent (?:(?:the|an|a) )?"
    r"(?P<subject>(?!(?:the|an|a)?[:;,.]*$).+?)"  # an article alone is no subject
    r"(?: (?:for|to) (?P<objective>.+?))?"
    r"(?:; ?Input)?[:;,.]*\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Instruction:
    """What a text is and what its embedding is for. Runs of white space in the parts become one space.

    Attributes:
        text_type: kind of text ("question", "document"); the only mandatory part.
        domain: where the text comes from ("Wikipedia"), or None.
        objective: what the embedding serves ("retrieving supporting documents"), or None.

    Raises:
        ValueError: if a part is blank.
    """

    text_type: str
    domain: str | None = None
    objective: str | None = None

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if value is None and part.name != "text_type":
                continue
            if not isinstance(value, str) or not value.strip():
                remedy = "give one" if part.name == "text_type" else "leave it out instead"
                raise ValueError(f"the instruction's {part.name} is {value!r}; {remedy}: Instruction('question')")
            object.__setattr__(self, part.name, " ".join(value.split()))

    def render(self, *, article: str = "the", preposition: str = "for", ending: str = ": ") -> str:
        """The instruction as the encoder reads it.

        Args:
            article: before the domain; empty for none.
            preposition: before the objective; "to" goes with "retrieve", "for" with "retrieving".
            ending: by default the published checkpoints'.
        """
        subject = [article, self.domain, self.text_type]
        purpose = [preposition, self.objective] if self.objective else []
        return " ".join(["Represent", *(part for part in subject if part), *purpose]) + ending

    def __str__(self) -> str:
        return self.render()

    @classmethod
    def parse(cls, text: str) -> Instruction:
        """Split a written instruction at the template's joints.

        The template does not mark where the domain ends, so the last word before the objective is taken as the text
        type and the words before it as the domain. Rendering the result gives the same words in the standard spelling,
        and ``parse(instruction.render())`` gives the instruction back if its text type is one word.

        Raises:
            ValueError: if ``text`` does not follow the template.
        """
        match = _TEMPLATE.fullmatch(" ".join(text.split()))
        if match is None:
            raise ValueError(
                f"not an instruction of the form 'Represent the (domain) text_type for objective:': {text!r}"
            )
        *domain, text_type = match["subject"].split()
        return cls(text_type=text_type, domain=" ".join(domain) or None, objective=match["objective"])
