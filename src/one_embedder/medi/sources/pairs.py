"""Pairs of texts from a folder, as further training tasks.

Every ``*.jsonl`` or ``*.jsonl.gz`` in the folder is read, but for ``about``, which may describe the others; the fields
of a file's first row say what it is:

- ``sentence1, sentence2``: paraphrases; a task a file, hard negatives are mined.
- ``query, positive``: what is looked for and where it is found, two kinds of text with an instruction each; the same.
- ``premise, hypothesis, label``: natural language inference. Hypotheses of one premise become a triple: the premise,
  one that it entails and one that contradicts it. Files whose names differ only in the split are one task.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from one_embedder.errors import ConfigError, DataError
from one_embedder.files.json_lines import SUFFIXES, JsonLines
from one_embedder.instructions.template import Instruction
from one_embedder.medi.mining.candidates import PairTask, TripleTask

ABOUT = "about"
LABELS = ("entailment", "neutral", "contradiction", "-")
"""Of natural language inference; SNLI writes the last one where its annotators did not agree."""
INSTRUCTION = Instruction("sentence", objective="measuring semantic similarity")
SPLITS = re.compile(r"_(train|dev|validation|test|pairs)$")

# Treebank tokenization, undone: "do n't , -LRB- see" is how the pairs are written and nobody else writes.
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]"}


Sides = Mapping[str, Mapping[str, str]]
"""``query`` and ``document`` -> parts of the template."""


def read_pairs(folder: Path, limit: int, written: Mapping[str, Sides]) -> list[PairTask | TripleTask]:
    """The tasks in ``folder``, in order of their names.

    Args:
        folder: the files.
        limit: pairs of a file that are read, from its start; triples are few enough to be read whole.
        written: file of query and positive -> its instructions.

    Raises:
        ConfigError: if such a file has no instructions.
        DataError: if there is no file, or one is of no kind.
    """
    found = {path.name.split(".jsonl")[0] for path in folder.glob("*.jsonl*") if path.name.endswith(SUFFIXES)}
    names = sorted(found - {ABOUT})
    if not names:
        raise DataError(
            f"{folder}: no .jsonl or .jsonl.gz file with sentence pairs; set medi.pairs to a folder of them"
        )
    pairs: list[PairTask | TripleTask] = []
    inference: dict[str, list[JsonLines]] = defaultdict(list)
    for name in names:
        rows = JsonLines.read(folder, name)
        if {"sentence1", "sentence2"} <= rows.rows[0].keys():
            pairs.append(_paraphrases(SPLITS.sub("", name), rows, limit))
        elif {"query", "positive"} <= rows.rows[0].keys():
            pairs.append(_asymmetric(name, rows, limit, written.get(name, {})))
        elif {"premise", "hypothesis", "label"} <= rows.rows[0].keys():
            inference[SPLITS.sub("", name)].append(rows)
        else:
            raise rows.error(
                0,
                f"the fields {sorted(rows.rows[0])} are neither sentence1, sentence2 nor query, positive nor premise, "
                "hypothesis, label",
            )
    return sorted([*pairs, *(_triples(name, files) for name, files in inference.items())], key=lambda task: task.name)


def _paraphrases(name: str, rows: JsonLines, limit: int) -> PairTask:
    both = zip(rows.texts("sentence1"), rows.texts("sentence2"), strict=True)
    pairs = dict.fromkeys((untokenized(one), untokenized(two)) for one, two in both)
    different = [(one, two, one) for one, two in pairs if one != two]
    return PairTask(name, INSTRUCTION, INSTRUCTION, tuple(different[:limit]))


def _asymmetric(name: str, rows: JsonLines, limit: int, written: Sides) -> PairTask:
    query, document = (_instruction(name, side, written) for side in ("query", "document"))
    pairs = dict.fromkeys(zip(rows.texts("query"), rows.texts("positive"), strict=True))
    return PairTask(name, query, document, tuple((one, two, one) for one, two in pairs if one != two)[:limit])


def _instruction(name: str, side: str, written: Sides) -> Instruction:
    where = f"medi.pair_instructions.{name}"
    if side not in written:
        raise ConfigError(
            f"{where}.{side} is missing: a file of query and positive needs an instruction for both, such as "
            f"'+{where}={{query: {{text_type: question}}, document: {{text_type: answer}}}}'"
        )
    try:
        return Instruction(**written[side])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}.{side}: {error}; write text_type and, as needed, domain and objective") from error


def _triples(name: str, files: list[JsonLines]) -> TripleTask:
    hypotheses: dict[str, dict[str, str]] = defaultdict(dict)
    for rows in files:
        premises, texts, labels = rows.texts("premise"), rows.texts("hypothesis"), rows.texts("label")
        for row, label in enumerate(labels):
            if label not in LABELS:
                raise rows.error(row, f"field 'label' must be one of {', '.join(LABELS)}, got {label!r:.60}")
        rows.refuse_contradictions(zip(premises, texts, strict=True), labels, "label")
        for premise, hypothesis, label in zip(premises, texts, labels, strict=True):
            hypotheses[untokenized(premise)].setdefault(label, untokenized(hypothesis))
    complete = [
        (premise, of["entailment"], of["contradiction"])
        for premise, of in hypotheses.items()
        if {"entailment", "contradiction"} <= of.keys()
    ]
    return TripleTask(name, INSTRUCTION, tuple(complete))


def untokenized(text: str) -> str:
    """Text without the spaces that a treebank tokenizer puts before punctuation and clitics."""
    for token, bracket in _BRACKETS.items():
        text = text.replace(token, bracket)
    text = re.sub(r" (n't|'(?:s|re|ve|ll|d|m)|[.,!?;:%)\]])(?= |$)", r"\1", text)
    return re.sub(r"([(\[]) ", r"\1", text).strip()
