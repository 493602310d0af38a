"""Ten sentences under two instructions and none: which one is nearest to each, and what the two have in common.

The sentences describe parameters of functions, as documentation does, and two classes cross in them: what a parameter
belongs to, and its type. A model that reads its instruction finds others of the same subject, or of the same type, as
it is told. How far a model does so on real texts is measured by ``evaluate_views``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from one_embedder.embedding.embedder import InstructionEmbedder


class Sentence(NamedTuple):
    """A sentence and its two classes."""

    text: str
    subject: str
    type: str


SENTENCES = (
    Sentence("If True, drop the empty rows of the table.", "table", "boolean"),
    Sentence("Number of rows of the table to show.", "table", "integer"),
    Sentence("Name of the table's column to sort by.", "table", "string"),
    Sentence("If True, turn the image upside down.", "image", "boolean"),
    Sentence("Width of the image in pixels.", "image", "integer"),
    Sentence("Name of the file that the image is written to.", "image", "string"),
    Sentence("If True, try again when the server does not answer.", "server", "boolean"),
    Sentence("Number of connections to the server.", "server", "integer"),
    Sentence("Name of the server to connect to.", "server", "string"),
    Sentence("Whether the table has a header.", "table", "boolean"),
)
INSTRUCTIONS: Mapping[str, str] = {
    "nothing": "",
    "subject": "Represent the parameter description for grouping by function: ",
    "type": "Represent the parameter description for grouping by type: ",
}
"""What is asked for -> the instruction; nothing, or a class of the sentences."""


def nearest(embedder: InstructionEmbedder) -> dict[str, list[int]]:
    """Each key of ``INSTRUCTIONS`` -> the nearest other sentence of each sentence, under its instruction."""
    found = {}
    for name, instruction in INSTRUCTIONS.items():
        embeddings = embedder.encode([sentence.text for sentence in SENTENCES], instruction)
        similarity = embedder.similarity(embeddings, embeddings).fill_diagonal_(-1.0)
        found[name] = similarity.argmax(dim=1).tolist()
    return found


def report(neighbours: Mapping[str, Sequence[int]]) -> str:
    """The sentences with their neighbours, and what these have in common with them."""
    width = max(len(sentence.text) for sentence in SENTENCES)
    lines = [f"    {'':{width}}  nearest, when asked for", f"    {'':{width}}  {_cells(neighbours)}"]
    for number, sentence in enumerate(SENTENCES):
        numbers = [found[number] + 1 for found in neighbours.values()]
        lines.append(f"{number + 1:>2}  {sentence.text:{width}}  {_cells(numbers)}")
    lines += ["", "    of the ten nearest, so many have the same"]
    for name in ("subject", "type"):
        shared = [_shared(name, found) for found in neighbours.values()]
        lines.append(f"    {name:{width}}  {_cells(shared)}")
    return "\n".join(lines)


def _cells(values: Mapping[str, object] | Sequence[object]) -> str:
    return "".join(f"{value!s:>11}" for value in values)


def _shared(name: str, nearest: Sequence[int]) -> int:
    """How many sentences are of the same class as their nearest one."""
    return sum(getattr(SENTENCES[i], name) == getattr(SENTENCES[j], name) for i, j in enumerate(nearest))
