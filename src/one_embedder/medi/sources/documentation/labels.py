"""Human-made signals in documentation, as labels and links: types, actions, sections, See Also."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from one_embedder.medi.sources.documentation.extract import DocObject
from one_embedder.medi.sources.documentation.text import is_prose

_TYPES = (
    ("bool", r"\bbool"),
    ("callable", r"\b(callable|function)\b"),
    ("graph", r"\b(networkx )?(di)?graph\b"),
    ("mapping", r"\b(dict|mapping)"),
    ("choice", r"\{|literal"),
    ("array", r"\b(array|ndarray|tensor|matrix|sparse)"),
    ("data frame", r"\b(dataframe|series|index)\b"),
    ("integer", r"\bint\b|\bint(eger)?s?\b"),
    ("number", r"\b(float|number|scalar|real|numeric)"),
    ("string", r"\b(str|string|path)"),
    ("sequence", r"\b(list|tuple|sequence|iterable|set|container)"),
)
_NO_VERBS = frozenset(
    {"the", "this", "these", "an", "if", "for", "whether", "class", "method", "function", "raised", "deprecated"}
)
_THIRD_PERSON = {"returns": "return", "does": "do", "has": "have"}


def type_label(declared: str) -> str:
    """The family of a declared parameter type, "" where it has none of ours or several readings."""
    text = declared.lower()
    return next((label for label, pattern in _TYPES if re.search(pattern, text)), "")


def action(summary: str) -> str:
    """The verb that a summary opens with, in its base form; "" where it opens with something else.

    A word counts as the verb if it is capitalised, alphabetic and followed by more words.
    """
    match = re.match(r"([A-Z][a-z]{2,})\s+\S", summary)
    if match is None:
        return ""
    verb = match[1].lower()
    if verb in _NO_VERBS:
        return ""
    return _THIRD_PERSON.get(verb, verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb)


def section_passages(objects: Sequence[DocObject]) -> Iterator[tuple[str, str]]:
    """(passage, section it stands in), one of each section an object has."""
    for obj in objects:
        passages = {
            "summary": obj.summary,
            "description": obj.details,
            "parameters": obj.parameters[0].description if obj.parameters else "",
            "returns": obj.returns[0] if obj.returns else "",
            "raises": obj.raises[0][1] if obj.raises else "",
            "notes": obj.notes,
        }
        for section, text in passages.items():
            if is_prose(text):
                yield text, section


def related_links(objects: Sequence[DocObject]) -> Mapping[str, frozenset[str]]:
    """See Also links between the objects, in both directions: key -> keys.

    A name is resolved within the package: to an object of the same module or class first, else to the only object
    of that name; ambiguous and unknown names are left out.
    """
    index: dict[tuple[str, str], list[DocObject]] = defaultdict(list)
    for obj in objects:
        index[obj.package, obj.name].append(obj)
    links: dict[str, set[str]] = defaultdict(set)
    for obj in objects:
        for name in obj.related:
            other = _resolve(obj, name, index)
            if other is not None and other.key != obj.key and other.summary != obj.summary:
                links[obj.key].add(other.key)
                links[other.key].add(obj.key)
    return {key: frozenset(links[key]) for key in sorted(links)}


def _resolve(obj: DocObject, name: str, index: Mapping[tuple[str, str], list[DocObject]]) -> DocObject | None:
    found = index.get((obj.package, name.rsplit(".", 1)[-1]), [])
    near = [other for other in found if other.key.endswith(f".{name}")] or found
    closest = [other for other in near if other.module == obj.module and other.owner == obj.owner] or [
        other for other in near if other.area == obj.area
    ]
    choice = closest or near
    return choice[0] if len(choice) == 1 else None
