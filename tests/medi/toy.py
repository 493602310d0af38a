"""Small MEDI rows with something to learn: a query and its positive name the same topic in different words."""

from __future__ import annotations

import random
from copy import deepcopy
from functools import cache

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.encoder.tokenize import InstructionTokenizer
from one_embedder.medi.record import MediRow

TOPICS = 6
WORDS = 4
INSTRUCTION = "Represent the toy sentence for retrieval: "


def toy_rows(rows_by_task: dict[int, int], seed: int = 0) -> list[MediRow]:
    """Rows grouped by task, as many of each task as said."""
    rng = random.Random(seed)
    return [_row(task, rng) for task, rows in rows_by_task.items() for _ in range(rows)]


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
