"""Small MEDI rows with something to learn: a query and its positive name the same topic in different words."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config, ViewSetConfig
from one_embedder.encoder.tokenize import InstructionTokenizer
from one_embedder.medi.row import LABEL_KEYS, RELEASED_KEYS, MediRow
from one_embedder.medi.store import FURTHER_LABELS, further_negatives

TOPICS = 6
WORDS = 4
OBJECTS = "river stone lamp garden market winter engine letter window island".split()
INSTRUCTION = "Represent the toy sentence for retrieval: "


def toy_rows(rows_by_task: dict[int, int], seed: int = 0) -> list[MediRow]:
    """Rows grouped by task, as many of each task as said."""
    rng = random.Random(seed)
    return [_row(task, rng) for task, rows in rows_by_task.items() for _ in range(rows)]


def row_of(item: Mapping[str, Any]) -> MediRow:
    """The row that an item of ``Medi.dataset`` holds."""
    query, positive, negative = ((item[f"{key}_instruction"], item[f"{key}_text"]) for key in RELEASED_KEYS.values())
    labels: dict[str, Any] = {name: item[key] for name, key in LABEL_KEYS.items()}
    labels["further_negative_labels"] = tuple(item[FURTHER_LABELS])
    further = tuple(further_negatives(item))
    return MediRow(item["task_id"], item["task_name"], query, positive, negative, further, **labels)


@cache
def toy_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, ``</s>`` at the end."""
    sides = [f"{side}{topic}_{word}" for side in "qd" for topic in range(TOPICS) for word in range(WORDS)]
    words = ["<pad>", "</s>", "<unk>", *sides, *INSTRUCTION.split()]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )


def full() -> Config:
    """The configuration of medi=full, as a copy that a test may change: composing it takes half a second."""
    return deepcopy(_full())


def instruction_tokenizer(max_length: int = 32) -> InstructionTokenizer:
    """The toy words, joined with instructions."""
    return InstructionTokenizer(toy_tokenizer(), max_length)


@cache
def _full() -> Config:
    return load_config("build_medi", ["medi=full"])


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """JSON lines, packed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def sentiment(count: int = 60) -> list[dict[str, Any]]:
    """Instances of a classification task of Super-NaturalInstructions."""
    return [
        {"id": str(i), "input": f"The {OBJECTS[i % 10]} number {i} pleased us.", "output": [("good", "bad")[i % 2]]}
        for i in range(count)
    ]


def stories(count: int = 60) -> list[dict[str, Any]]:
    """Instances of one whose outputs are texts."""
    return [
        {
            "id": str(i),
            "input": f"Begin with the {OBJECTS[i % 10]} {i}.",
            "output": [f"Then the {OBJECTS[i % 7]} {i} fell."],
        }
        for i in range(count)
    ]


def view_rows(count: int = 48) -> list[dict[str, Any]]:
    """Texts with two independent labelings, which their words tell: what it is about, and how it is said."""
    things, moods = ("river", "engine", "garden"), {"good": "We liked", "bad": "Nobody wanted"}
    rows = []
    for i in range(count):
        thing, mood = things[i % 3], ("good", "bad")[i // 3 % 2]
        text = f"{moods[mood]} the {thing} with the {OBJECTS[i % 10]} number {i}."
        split = "train" if i % 4 < 2 else "test"
        rows.append({"id": i, "text": text, "labels": {"thing": thing, "mood": mood}, "split": split})
    return rows


def write_view_set(root: Path, name: str, rows: Sequence[Mapping[str, Any]] | None = None) -> Path:
    """One view set below ``root``; its file."""
    path = root / name / "texts.jsonl.gz"
    write_rows(path, view_rows() if rows is None else rows)
    return path


def view_set(part: str, **changes: Any) -> ViewSetConfig:
    """The entry in ``views.sets`` of such a set."""
    entry = {
        "text_type": "remark",
        "domain": "toy",
        "objectives": {"thing": "naming the thing", "mood": "telling moods"},
    }
    return ViewSetConfig(part=part, **{**entry, **changes})  # type: ignore[arg-type]


def described(category: str, domain: str, **more: Any) -> dict[str, Any]:
    """What such a task says of itself."""
    return {"Definition": ["Do it."], "Categories": [category], "Domains": [domain], "Source": ["made up"], **more}


def compact_super_ni(root: Path) -> Path:
    """Two tasks and a held-out one, as a compact copy of Super-NaturalInstructions."""
    mood = described("Sentiment Analysis", "Reviews -> Movies", **{"Instance License": ["CC BY 4.0"]})
    table = [
        {"task": "task2_mood", "subset": "train_core", **mood},
        {"task": "task1_story", "subset": "train_ext", **described("Story Composition", "Story")},
        {"task": "task3_hidden", "subset": "heldout", **described("Title Generation", "News")},
    ]
    write_rows(root / "tasks.jsonl.gz", table)
    write_rows(root / "train_core" / "task2_mood.jsonl.gz", sentiment())
    write_rows(root / "train_ext" / "task1_story.jsonl.gz", stories())
    return root


def _row(task: int, rng: random.Random) -> MediRow:
    topic, other = rng.sample(range(TOPICS), 2)
    return MediRow(
        task_id=task,
        task_name=f"task {task}",
        query=(INSTRUCTION, _text("q", topic, rng)),
        positive=(INSTRUCTION, _text("d", topic, rng)),
        negative=(INSTRUCTION, _text("d", other, rng)),
    )


def _text(side: str, topic: int, rng: random.Random) -> str:
    return " ".join(f"{side}{topic}_{rng.randrange(WORDS)}" for _ in range(rng.randint(2, 6)))
