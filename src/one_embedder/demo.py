"""``python -m one_embedder.demo``: ten sentences under two instructions and none, and their nearest neighbours.

The sentences describe parameters of functions, as documentation does, and two classes cross in them: what a parameter
belongs to, and its type. A model that reads its instruction finds others of the same subject, or of the same type, as
it is told. How far a model does so on real texts is measured by ``evaluate_views``.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from one_embedder.config.caches import settle_caches
from one_embedder.config.quiet import quiet
from one_embedder.ending import told
from one_embedder.files.location import PROJECT_ROOT

if TYPE_CHECKING:
    from one_embedder.embedding.embedder import InstructionEmbedder

_BACKBONE = "minilm"


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


def parser() -> ArgumentParser:
    """The command line."""
    made = ArgumentParser(
        prog="python -m one_embedder.demo",
        description="Show what an instruction changes: the same ten sentences under two of them, and under none.",
        allow_abbrev=False,
    )
    made.add_argument(
        "model", nargs="?", help="a folder or hub id [INSTRUCTOR of your Table 1 if it is here, or minilm]"
    )
    return made


def work(options: Namespace) -> None:
    """Import late, embed, print."""
    quiet()
    settle_caches()
    from one_embedder.embedding.embedder import InstructionEmbedder

    model, what = (options.model, options.model) if options.model else _default()
    neighbours = nearest(InstructionEmbedder(model))
    sys.stdout.write(f"Model: {what}\n\n{report(neighbours)}\n")


def _default() -> tuple[str, str]:
    """The checkpoint of the default run if it was trained here, else its backbone; and which of them it is."""
    if (PROJECT_ROOT / "experiments" / "runs").is_dir():  # else nothing was trained, nor need its packages be here
        from one_embedder.results import trained_encoder

        if (trained := trained_encoder()) is not None:
            return str(trained), f"{trained}, INSTRUCTOR of Table 1, trained here"
    return _BACKBONE, f"{_BACKBONE}, which has not learned to read instructions; make reproduce-table1 teaches it"


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


def main() -> NoReturn:
    """Console script."""
    options = parser().parse_args()
    sys.exit(told(lambda: work(options)))


if __name__ == "__main__":
    main()
