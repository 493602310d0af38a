"""Documented objects -> training tasks: every kind of task in every domain that has the material.

The same texts stand in tasks that disagree about what makes them alike: a parameter's description belongs with its
function, with parameters of its type, with parameters of its name, with passages from its section. Which one is meant
is what the instruction says.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pydoc_data import topics

from one_embedder.instructions.template import Instruction
from one_embedder.medi.mining.candidates import CandidateTask, LabelTask, PairTask, RelationTask
from one_embedder.medi.sources.documentation.extract import DocObject
from one_embedder.medi.sources.documentation.labels import action, related_links, section_passages, type_label
from one_embedder.medi.sources.documentation.text import is_prose, plain, spelled_out

Pairs = Iterator[tuple[str, str, str]]
Items = Iterator[tuple[str, str]]

OBJECTS_PER_DOMAIN = 320
FULL = frozenset(
    {"summary_to_details", "example_to_function", "parameter_to_function", "wording",
     "section", "type", "parameter_owner", "exception"}
)  # fmt: skip
"""Kinds of task that get all their rows; the others, which serve breadth, get ``SMALL_SHARE`` of them.

Our choice: these have a counterpart in the benchmark. Grouping by area has one too, but training on all its rows did
not help there: in single runs the dev split's area clustering fell below the untrained encoder's, with all rows and
with this share alike, so the rows went to other kinds.
"""
EVERYWHERE = frozenset({"condition_to_function", "exception", "related"})
"""Kinds of task that few objects have material for: they look at all objects of a domain, not at a sample."""
SMALL_SHARE = 0.3
MIN_TEXTS = 48
"""A task with fewer texts is left out: it would not fill a few batches."""
MIN_PER_LABEL = 4


@dataclass(frozen=True)
class PairKind:
    """A kind of text-output task: its name, both instructions' parts and where its pairs come from."""

    name: str
    query: tuple[str, str]
    document: tuple[str, str]
    pairs: Callable[[Sequence[DocObject]], Pairs]


@dataclass(frozen=True)
class LabelKind:
    """A kind of classification task: its name, its instruction's parts and where its labelled texts come from."""

    name: str
    instruction: tuple[str, str]
    items: Callable[[Sequence[DocObject]], Items]


def signature(obj: DocObject) -> str:
    """``name(first, second)``, at most six arguments."""
    return f"{obj.name}({', '.join(obj.arguments[:6])})"


def _owned(
    texts: Callable[[DocObject], Iterable[str]], to: Callable[[DocObject], str]
) -> Callable[[Sequence[DocObject]], Pairs]:
    """Pairs (text of an object, another text of it), where both are there."""

    def pairs(objects: Sequence[DocObject]) -> Pairs:
        for obj in objects:
            document = to(obj)
            for text in texts(obj):
                if text and document and text != document:
                    yield text, document, obj.key

    return pairs


def _summary(obj: DocObject) -> str:
    return obj.summary if is_prose(obj.summary, 3) else ""


def _details(obj: DocObject) -> str:
    return obj.details if is_prose(obj.details, 6) else ""


def parameter_texts(obj: DocObject, most: int = 3) -> list[str]:
    """Descriptions of an object's first parameters, where they are prose."""
    return [item.description for item in obj.parameters if is_prose(item.description)][:most]


def _conditions(obj: DocObject) -> list[str]:
    return [condition for _, condition in obj.raises if is_prose(condition)]


def _returned(obj: DocObject) -> list[str]:
    return [text for text in obj.returns if is_prose(text)][:1]


def _named_parameters(objects: Sequence[DocObject]) -> Pairs:
    for obj in objects:
        for item in obj.parameters[:3]:
            if is_prose(item.description):
                yield f"{spelled_out(item.name)} of {spelled_out(obj.name)}", item.description, obj.key


def _shortened(objects: Sequence[DocObject]) -> Pairs:
    """A summary and what is left of it when every third word is gone."""
    for obj in objects:
        tokens = obj.summary.split()
        if len(tokens) >= 6:
            yield obj.summary, " ".join(word for i, word in enumerate(tokens) if i % 3 != 1), obj.key


PAIR_KINDS = (
    PairKind("signature_to_summary", ("function signature", "retrieving its summary"), ("summary", "retrieval"),
             _owned(lambda o: [signature(o)] if o.arguments else [], _summary)),
    PairKind("summary_to_signature", ("summary", "retrieving the function signature"),
             ("function signature", "retrieval"),
             _owned(lambda o: [_summary(o)], lambda o: signature(o) if o.arguments else "")),
    PairKind("name_to_summary", ("name", "retrieving its summary"), ("summary", "retrieval"),
             _owned(lambda o: [spelled_out(o.name)], _summary)),
    PairKind("summary_to_details", ("summary", "retrieving the detailed description"),
             ("detailed description", "retrieval"),
             _owned(lambda o: [_summary(o)], _details)),
    PairKind("details_to_summary", ("detailed description", "retrieving its summary"), ("summary", "retrieval"),
             _owned(lambda o: [_details(o)], _summary)),
    PairKind("parameter_to_function", ("parameter description", "retrieving the function that takes it"),
             ("summary", "retrieval"), _owned(lambda o: parameter_texts(o, 2), _summary)),
    PairKind("parameter_name_to_description", ("parameter name", "retrieving its description"),
             ("parameter description", "retrieval"), _named_parameters),
    PairKind("condition_to_function", ("error condition", "retrieving the function that raises it"),
             ("summary", "retrieval"), _owned(_conditions, _summary)),
    PairKind("returns_to_function", ("return value", "retrieving the function that returns it"),
             ("summary", "retrieval"), _owned(_returned, _summary)),
    PairKind("example_to_function", ("code example", "retrieving the function that it shows"),
             ("summary", "retrieval"), _owned(lambda o: [o.example], _summary)),
    PairKind("function_to_example", ("summary", "retrieving a code example"), ("code example", "retrieval"),
             _owned(lambda o: [_summary(o)], lambda o: o.example)),
    PairKind("notes_to_function", ("note", "retrieving the function it is about"), ("summary", "retrieval"),
             _owned(lambda o: [o.notes] if is_prose(o.notes, 6) else [], _summary)),
    PairKind("wording", ("sentence", "measuring similar wording"), ("sentence", "measuring similar wording"),
             _shortened),
)  # fmt: skip


def _summaries_by(label: Callable[[DocObject], str]) -> Callable[[Sequence[DocObject]], Items]:
    def items(objects: Sequence[DocObject]) -> Items:
        for obj in objects:
            if _summary(obj) and label(obj):
                yield obj.summary, label(obj)

    return items


def _parameters_by(label: Callable[[DocObject, int], str]) -> Callable[[Sequence[DocObject]], Items]:
    def items(objects: Sequence[DocObject]) -> Items:
        for obj in objects:
            for i, item in enumerate(obj.parameters[:4]):
                if is_prose(item.description) and label(obj, i):
                    yield item.description, label(obj, i)

    return items


def _conditions_by_exception(objects: Sequence[DocObject]) -> Items:
    for obj in objects:
        for exception, condition in obj.raises:
            if is_prose(condition):
                yield condition, exception.rsplit(".", 1)[-1]


LABEL_KINDS = (
    LabelKind("area", ("summary", "grouping by topic"),
              _summaries_by(lambda o: f"{o.package}.{o.area}" if o.area else "")),
    LabelKind("class", ("summary", "grouping by class"), _summaries_by(lambda o: o.owner)),
    LabelKind("kind", ("summary", "grouping by kind of object"), _summaries_by(lambda o: o.kind)),
    LabelKind("action", ("summary", "grouping by action"), _summaries_by(lambda o: action(o.summary))),
    LabelKind("package", ("summary", "grouping by package"), _summaries_by(lambda o: o.package)),
    LabelKind("section", ("passage", "grouping by section"), lambda objects: section_passages(objects)),
    LabelKind("type", ("parameter description", "grouping by type"),
              _parameters_by(lambda o, i: type_label(o.parameters[i].type))),
    LabelKind("parameter_name", ("parameter description", "grouping by parameter name"),
              _parameters_by(lambda o, i: o.parameters[i].name.strip("*"))),
    LabelKind("parameter_owner", ("parameter description", "grouping by function"), _parameters_by(lambda o, i: o.key)),
    LabelKind("exception", ("error condition", "grouping by exception"), _conditions_by_exception),
)  # fmt: skip


def training_tasks(objects: Sequence[DocObject], rows_per_task: int) -> list[CandidateTask]:
    """Every kind of task in every training domain, at most about ``rows_per_task`` texts or pairs each."""
    tasks: list[CandidateTask] = []
    for domain in dict.fromkeys(obj.domain for obj in objects if obj.side == "train"):
        everything = [obj for obj in objects if obj.side == "train" and obj.domain == domain and _summary(obj)]
        material = _Material(_sample(everything), sorted(everything, key=lambda obj: _hash(obj.key)))
        tasks += _pair_tasks(domain, material, rows_per_task)
        tasks += _label_tasks(domain, material, rows_per_task)
        tasks += _relation_tasks(domain, material, rows_per_task)
    return tasks + _topic_tasks()


@dataclass(frozen=True)
class _Material:
    """A domain's objects in the order of a hash of their names: a sample of the richest, and all."""

    sample: Sequence[DocObject]
    everything: Sequence[DocObject]

    def of(self, kind: str) -> Sequence[DocObject]:
        return self.everything if kind in EVERYWHERE else self.sample


def _sample(objects: list[DocObject]) -> list[DocObject]:
    """The objects with most sections, ties broken by a hash of their names, in that order."""

    def rank(obj: DocObject) -> tuple[int, bytes]:
        sections = (obj.details, obj.parameters, obj.returns, obj.raises, obj.example, obj.related, obj.notes)
        return -sum(map(bool, sections)), _hash(obj.key)

    ranked = sorted(objects, key=rank)
    rich, rest = ranked[: OBJECTS_PER_DOMAIN // 2], ranked[OBJECTS_PER_DOMAIN // 2 :]
    spread = sorted(rest, key=lambda obj: _hash(obj.key))[: OBJECTS_PER_DOMAIN - len(rich)]
    return sorted([*rich, *spread], key=lambda obj: _hash(obj.key))


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _share(kind: str, limit: int) -> int:
    return limit if kind in FULL else round(SMALL_SHARE * limit)


def _pair_tasks(domain: str, material: _Material, limit: int) -> Iterator[PairTask]:
    for kind in PAIR_KINDS:
        distinct = {pair[0]: pair for pair in kind.pairs(material.of(kind.name))}
        pairs = tuple(distinct.values())[: _share(kind.name, limit)]
        if len(pairs) >= MIN_TEXTS:
            query, document = (
                Instruction(text_type, domain, objective) for text_type, objective in (kind.query, kind.document)
            )
            yield PairTask(f"{kind.name}/{domain}", query, document, pairs)


def _label_tasks(domain: str, material: _Material, limit: int) -> Iterator[CandidateTask]:
    """Each kind twice: text with text of the same label, and text with the label's own words."""
    for kind in LABEL_KINDS:
        items = _frequent(dict(kind.items(material.of(kind.name))), _share(kind.name, limit))
        if len(items) >= MIN_TEXTS and len({label for _, label in items}) >= 2:
            text_type, objective = kind.instruction
            instruction = Instruction(text_type, domain, objective)
            yield LabelTask(f"{kind.name}/{domain}", instruction, items)
            named = tuple((text, spelled_out(label), label) for text, label in items)
            purpose = objective.removeprefix("grouping by ")
            yield PairTask(f"{kind.name}_name/{domain}", instruction, Instruction(purpose, domain, "retrieval"), named)


def _frequent(labelled: dict[str, str], limit: int) -> tuple[tuple[str, str], ...]:
    """Texts whose label occurs often enough, no label more than its fair share."""
    counts = Counter(labelled.values())
    frequent = [label for label, count in counts.items() if count >= MIN_PER_LABEL]
    share = max(MIN_PER_LABEL, 2 * limit // max(1, len(frequent)))
    taken: Counter[str] = Counter()
    items = []
    for text, label in labelled.items():
        if counts[label] >= MIN_PER_LABEL and taken[label] < share:
            taken[label] += 1
            items.append((text, label))
    return tuple(items[:limit])


def _relation_tasks(domain: str, material: _Material, limit: int) -> Iterator[RelationTask]:
    """The functions linked in See Also: at most as many as there may be rows, with all their links."""
    objects = material.of("related")
    every = related_links(objects)
    links = {key: every[key] for key in sorted(every, key=_hash)[:limit]}
    if len(links) >= MIN_TEXTS:
        linked = set(links).union(*links.values())
        items = {obj.key: obj.summary for obj in objects if obj.key in linked}
        yield RelationTask(
            f"related/{domain}", Instruction("summary", domain, "retrieving related functions"), items, links
        )


def _topic_tasks() -> list[CandidateTask]:
    """Prose by topic from the language reference that Python ships: title -> text, and paragraphs of one topic."""
    titled, paragraphs = [], []
    for _, text in sorted(topics.topics.items()):
        title, _, body = text.strip().partition("\n")
        blocks = [plain(block) for block in body.split("\n\n")]
        prose = [block for block in blocks if is_prose(block, 8)][:8]
        if prose:
            titled.append((plain(title), prose[0], title))
            paragraphs += [(block, title) for block in prose]
    reference = "language reference"
    return [
        PairTask("title_to_text/language reference", Instruction("title", reference, "retrieving the text under it"),
                 Instruction("paragraph", reference, "retrieval"), tuple(titled)),
        LabelTask("topic/language reference", Instruction("paragraph", reference, "grouping by topic"),
                  _frequent(dict(paragraphs), 400)),
    ]  # fmt: skip
