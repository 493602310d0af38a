"""Docstring markup -> plain English, and the few text measures that the tasks need."""

from __future__ import annotations

import re

_ROLE = re.compile(r":[a-zA-Z:]+:`~?\.?([^`<]+?)(?:\s*<[^`]*>)?`")
_LITERAL = re.compile(r"`{1,2}~?([^`]+?)`{1,2}_{0,2}")
_DIRECTIVE = re.compile(r"^\s*\.\. .*$", re.MULTILINE)
_EMPHASIS = re.compile(r"\*{1,2}([^*\s][^*]*)\*{1,2}")
_MATH = re.compile(r"\\[a-zA-Z]+|[{}$]")
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[a-z]{2,}")


def plain(text: str | None, max_words: int = 24) -> str:
    """Prose without reStructuredText markup, on one line, cut after ``max_words`` words."""
    if not text:
        return ""
    text = _DIRECTIVE.sub(" ", text)
    text = _ROLE.sub(r"\1", text)
    text = _LITERAL.sub(r"\1", text)
    text = _EMPHASIS.sub(r"\1", text)
    text = _MATH.sub(" ", text)
    return " ".join(_SPACE.sub(" ", text).split(" ")[:max_words]).strip()


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text, maxsplit=1)[0]


def words(text: str) -> list[str]:
    """Lower-case alphabetic words of two letters or more."""
    return _WORD.findall(text.lower())


def is_prose(text: str, min_words: int = 4) -> bool:
    """Whether a text has enough English words to mean something, rather than being symbols or code."""
    return len(words(text)) >= min_words and sum(map(len, words(text))) >= 0.5 * len(text)


def spelled_out(name: str) -> str:
    """An identifier as words: ``read_csvFile`` -> ``read csv file``."""
    return _SPACE.sub(" ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_.]+", " ", name)).strip().lower()
