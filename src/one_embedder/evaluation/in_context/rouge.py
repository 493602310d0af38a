"""ROUGE-L of answers, by the words of the published metric or by words of any script.

The published one (the package rouge_score) knows runs of a-z and 0-9 and drops all else: of a text in Chinese nothing
is left, so that even the right answer would score 0.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from one_embedder.config.schema import PromptTaskConfig

UNSPACED = frozenset({"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"})
"""Scripts that put no spaces between words, by the first word of their characters' Unicode names."""


class UnicodeTokenizer(Tokenizer):  # type: ignore[misc]  # rouge_score has no types
    """Runs of letters and digits of any script; of ``UNSPACED`` ones single characters, with their marks.

    Of an ASCII text these are the words of the published metric.
    """

    def __init__(self, use_stemmer: bool) -> None:
        """Make a tokenizer; ``use_stemmer`` stems ASCII words as the published metric does."""
        self._published = DefaultTokenizer(use_stemmer)

    def tokenize(self, text: str) -> list[str]:
        """The words, in lower case."""
        words = _words(unicodedata.normalize("NFKC", text).casefold())
        return [token for word in words for token in (self._published.tokenize(word) if word.isascii() else [word])]


class RougeL:
    """Scores the answers of one task. The answers of a task with labels are compared by the labels' numbers.

    The released scripts score numbers too: of words, "not equivalent" for "equivalent" would be two thirds right.

    Attributes:
        compares: what it reads, for messages.
    """

    def __init__(self, settings: PromptTaskConfig, words: str = "latin") -> None:
        """Make the metric of a task; ``words`` as ``prompt_retrieval.words``."""
        self._latin = words == "latin"
        self.compares = "words of a-z and 0-9; prompt_retrieval.words=unicode those of any script"
        if not self._latin:
            self.compares = "words of letters and digits"
        kind = DefaultTokenizer if self._latin else UnicodeTokenizer
        self._tokenizer = kind(settings.stemmer)
        self._scorer = RougeScorer(["rougeL"], tokenizer=self._tokenizer)
        self._numbers = {word: str(number) for number, word in enumerate(dict.fromkeys(settings.labels.values()))}

    def reads(self, answer: str) -> bool:
        """Whether anything of a right answer is a word, so that another can be compared with it."""
        return bool(self._tokenizer.tokenize(self._compared(answer)))

    def drops(self, answer: str) -> bool:
        """Whether letters or digits of an answer are not compared."""
        compared = self._compared(answer)
        return self._latin and any(character.isalnum() and not character.isascii() for character in compared)

    def scores(self, expected: Sequence[str], outputs: Sequence[str]) -> NDArray[np.float64]:
        """(N,) F measures, 0-1, of N answers for N right ones; with labels 1 or 0."""
        pairs = zip(map(self._compared, expected), map(self._compared, outputs), strict=True)
        return np.array([self._scorer.score(right, given)["rougeL"].fmeasure for right, given in pairs])

    def _compared(self, text: str) -> str:
        return self._numbers.get(text, text)


def _words(text: str) -> list[str]:
    words: list[str] = []
    before = ""  # what the last word is, if the text goes on in it: a "run" of letters, or one "alone"
    for character in text:
        kind = unicodedata.category(character)[0]
        if kind not in "LNM" or (kind == "M" and not before):
            before = ""
            continue
        alone = unicodedata.name(character, "").split(" ")[0] in UNSPACED
        if kind == "M" or (before == "run" and not alone):
            words[-1] += character
        else:
            words.append(character)
            before = "alone" if alone else "run"
    return words
