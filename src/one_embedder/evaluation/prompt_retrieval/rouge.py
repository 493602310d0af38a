"""ROUGE-L: the F measure of the longest common subsequence of two texts' words.

What a word is decides which languages can be scored. The published scores (``rouge_l``) are of the rouge-score package,
whose words are runs of a-z and 0-9: of Chinese or Russian it sees nothing. ``rouge_l_unicode`` takes the letters and
digits of every script; of scripts that are written without spaces each character is a word, as in multilingual ROUGE
and BLEU. Of ASCII texts both give the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from rouge_score import tokenizers
from rouge_score.rouge_scorer import RougeScorer

_WITHOUT_SPACES = ("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TAI")


class Tokenizer(Protocol):
    """What rouge-score asks for."""

    def tokenize(self, text: str) -> list[str]:
        """The words of a text, in order."""


class UnicodeTokenizer:
    """Words of every script, in lower case and NFKC.

    Args:
        use_stemmer: stems of words of a-z, as rouge-score takes them.
    """

    def __init__(self, use_stemmer: bool = False) -> None:
        self._ascii = tokenizers.DefaultTokenizer(use_stemmer)

    def tokenize(self, text: str) -> list[str]:
        """The words of a text, in order; marks stay with what they stand on."""
        words: list[str] = []
        joining = ""  # which kinds of character continue the last word: letters, marks, numbers
        for character in unicodedata.normalize("NFKC", text).lower():
            kind = unicodedata.category(character)[0]
            alone = kind != "M" and unicodedata.name(character, "").startswith(_WITHOUT_SPACES)
            if kind in joining and not alone:
                words[-1] += character
                continue
            if kind in "LMN":
                words.append(character)
            joining = ("M" if alone else "LMN") if kind in "LMN" else ""
        return [self._ascii.tokenize(word)[0] if word.isascii() else word for word in words]


TOKENIZERS: dict[str, Callable[[bool], Tokenizer]] = {
    "rouge_l": tokenizers.DefaultTokenizer,
    "rouge_l_unicode": UnicodeTokenizer,
}
"""Of each value of ``prompt_retrieval.metric``."""


def rouge_l(expected: Sequence[str], outputs: Sequence[str], *, metric: str, stemmer: bool = False) -> np.ndarray:
    """(N,) ROUGE-L F measures, 0-1; nan where the right answer has no word, and so nothing could be right.

    Args:
        expected: right answers.
        outputs: one for each.
        metric: one of ``TOKENIZERS``.
        stemmer: compare stems of English words.
    """
    tokenizer = TOKENIZERS[metric](stemmer)
    scorer = RougeScorer(["rougeL"], tokenizer=tokenizer)
    scores = [
        scorer.score(right, given)["rougeL"].fmeasure if tokenizer.tokenize(right) else np.nan
        for right, given in zip(expected, outputs, strict=True)
    ]
    return np.array(scores, dtype=np.float64)


def loses_letters(text: str, metric: str) -> bool:
    """Whether a text has letters or digits that are part of no word."""
    return metric == "rouge_l" and any(character.isalnum() and not character.isascii() for character in text)
