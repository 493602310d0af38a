"""Ten sentences under three instructions: which one is nearest to each, and what it has in common with it.

Topic, sentiment and form cross in the sentences, so that a model which reads its instruction can choose others as
neighbours under each of the three. How far a model does so on real texts is measured by ``evaluate_views``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from one_embedder.embedding.embedder import InstructionEmbedder


class Sentence(NamedTuple):
    """A sentence and its three classes."""

    text: str
    topic: str
    sentiment: str
    form: str


SENTENCES = (
    Sentence("The film was a delight from start to finish.", "film", "good", "statement"),
    Sentence("The film was dull and far too long.", "film", "bad", "statement"),
    Sentence("Have you ever seen such a wonderful film?", "film", "good", "question"),
    Sentence("Why is this film so boring?", "film", "bad", "question"),
    Sentence("My new phone is fast and lovely to use.", "phone", "good", "statement"),
    Sentence("My new phone is slow and breaks all the time.", "phone", "bad", "statement"),
    Sentence("Who would not love such a beautiful phone?", "phone", "good", "question"),
    Sentence("Why does this awful phone break all the time?", "phone", "bad", "question"),
    Sentence("The soup in this place is delicious.", "food", "good", "statement"),
    Sentence("Who could eat such a terrible soup?", "food", "bad", "question"),
)
INSTRUCTIONS: Mapping[str, str] = {
    "topic": "Represent the sentence for retrieving sentences about the same topic: ",
    "sentiment": "Represent the sentence for sentiment classification: ",
    "form": "Represent the sentence for telling questions from statements: ",
}
"""Class of a sentence -> the instruction that asks for it."""


def nearest(embedder: InstructionEmbedder) -> dict[str, list[int]]:
    """Each class of ``INSTRUCTIONS`` -> the nearest other sentence of each sentence, under its instruction."""
    found = {}
    for name, instruction in INSTRUCTIONS.items():
        embeddings = embedder.encode([sentence.text for sentence in SENTENCES], instruction)
        similarity = embedder.similarity(embeddings, embeddings).fill_diagonal_(-1.0)
        found[name] = similarity.argmax(dim=1).tolist()
    return found


def report(neighbours: Mapping[str, Sequence[int]]) -> str:
    """The sentences with their neighbours, what these have in common with them, and how many of them changed."""
    width = max(len(sentence.text) for sentence in SENTENCES)
    lines = [f"    {'':{width}}  nearest, when asked for", f"    {'':{width}}  {_cells(neighbours)}"]
    for number, sentence in enumerate(SENTENCES):
        numbers = [found[number] + 1 for found in neighbours.values()]
        lines.append(f"{number + 1:>2}  {sentence.text:{width}}  {_cells(numbers)}")
    lines += ["", "    of the ten nearest, so many have the same"]
    for name in INSTRUCTIONS:
        shared = [_shared(name, found) for found in neighbours.values()]
        lines.append(f"    {name:{width}}  {_cells(shared)}")
    return "\n".join([*lines, "", _changed(neighbours)])


def _cells(values: Mapping[str, object] | Sequence[object]) -> str:
    return "".join(f"{value!s:>11}" for value in values)


def _shared(name: str, nearest: Sequence[int]) -> int:
    """How many sentences are of the same class as their nearest one."""
    return sum(getattr(SENTENCES[i], name) == getattr(SENTENCES[j], name) for i, j in enumerate(nearest))


def _changed(neighbours: Mapping[str, Sequence[int]]) -> str:
    count = sum(len(set(each)) > 1 for each in zip(*neighbours.values(), strict=True))
    return f"The instruction changes the nearest neighbour of {count} of the {len(SENTENCES)} sentences."
