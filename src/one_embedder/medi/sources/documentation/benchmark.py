"""Documented objects of held-out packages -> the documentation benchmark, one root of task folders for each side.

Nine categories, as in the paper's headline table. Labels, links and pairings come from the documentation's authors:
See Also, module membership, section structure, declared types, named exceptions. Three categories have no human
signal here and use a stated construction with a known order: STS grades (``RelatednessSTS``: how close two objects
stand in the package; ``WordingSTS``: the share of words kept), and the quality of summaries and hypotheses
(``corruptions``).
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from one_embedder.medi.sources.documentation.extract import DocObject, Parameter
from one_embedder.medi.sources.documentation.labels import related_links, section_passages, type_label
from one_embedder.medi.sources.documentation.text import is_prose
from one_embedder.medi.sources.documentation.training_tasks import parameter_texts

Rows = list[dict[str, Any]]
Files = dict[str, Rows]

QUERIES = 150
CORPUS = 400
CANDIDATES = 10
PER_LABEL = 32
CLASSIFICATION_TRAIN_PER_LABEL = 16
PAIRS = 300
POOL = 300
DOCUMENTS = 60


def documentation_benchmark(objects: Sequence[DocObject], side: str) -> dict[str, Files]:
    """Folder of each task -> its files' rows, for the packages of one side (``dev`` or ``test``).

    A task for which the packages hold no material is left out.
    """
    tasks = _Benchmark([obj for obj in objects if obj.side == side and is_prose(obj.summary, 3)], side).tasks()
    return {folder: files for folder, files in tasks.items() if all(files.values())}


def corruptions(text: str, other: str, rng: random.Random) -> list[tuple[float, str]]:
    """A text at five known qualities: (grade, text), from 4 (as written) down to 0 (another text).

    3 loses a fifth of its words, 2 loses half, 1 has half of its words replaced by another text's.
    """
    tokens = text.split()
    spare = other.split() or tokens
    halves = set(rng.sample(range(len(tokens)), len(tokens) // 2))
    fifth = set(rng.sample(range(len(tokens)), max(1, len(tokens) // 5)))
    return [
        (4.0, text),
        (3.0, " ".join(token for i, token in enumerate(tokens) if i not in fifth)),
        (2.0, " ".join(token for i, token in enumerate(tokens) if i not in halves)),
        (1.0, " ".join(rng.choice(spare) if i in halves else token for i, token in enumerate(tokens))),
        (0.0, other),
    ]


class _Benchmark:
    """All tasks of one side; every choice comes from one generator seeded by task and side."""

    def __init__(self, objects: list[DocObject], side: str) -> None:
        self.side = side
        self.objects = sorted(objects, key=lambda obj: hashlib.blake2b(obj.key.encode()).digest())
        self.by_key = {obj.key: obj for obj in self.objects}
        self.links = related_links(self.objects)
        self.by_area: dict[str, list[DocObject]] = defaultdict(list)
        for obj in self.objects:
            self.by_area[f"{obj.package}.{obj.area}"].append(obj)

    def tasks(self) -> dict[str, Files]:
        return {
            "eval/Retrieval/RelatedRetrieval": self.related_retrieval(),
            "eval/Retrieval/DetailsRetrieval": self.retrieval([(o.summary, o.details, o.key) for o in self.objects]),
            "eval/Retrieval/ExampleRetrieval": self.retrieval([(o.example, o.summary, o.key) for o in self.objects]),
            "eval/Retrieval/ParameterRetrieval": self.retrieval(
                [(text, o.summary, o.key) for o in self.objects for text in parameter_texts(o, 1)]
            ),
            "eval/Reranking/RelatedReranking": {"test": self.related_reranking()},
            "eval/Reranking/ParameterReranking": {"test": self.parameter_reranking()},
            "eval/Clustering/AreaClustering": {"test": self.labelled(self.areas(), PER_LABEL)},
            "eval/Clustering/SectionClustering": {"test": self.labelled(self.sections(), 2 * PER_LABEL)},
            "eval/Clustering/TypeClustering": {"test": self.labelled(self.types(), PER_LABEL)},
            "eval/PairClassification/SameFunctionPairs": {"test": self.same_pairs("function")},
            "eval/PairClassification/SameTypePairs": {"test": self.same_pairs("type")},
            "eval/PairClassification/RelatedPairs": {"test": self.related_pairs()},
            "eval/Classification/AreaClassification": self.classification(self.areas()),
            "eval/Classification/SectionClassification": self.classification(self.sections()),
            "eval/Classification/TypeClassification": self.classification(self.types()),
            "eval/STS/RelatednessSTS": {"test": self.relatedness()},
            "eval/STS/WordingSTS": {"test": self.wording()},
            "eval/Summarization/DetailsSummaries": {"test": self.summaries()},
            "prompt_retrieval/ParameterType": self.prompts(
                [(p.description, p.type) for p in self.described_parameters(3) if p.type]
            ),
            "prompt_retrieval/ExceptionName": self.prompts(
                [(text, name) for o in self.objects for name, text in o.raises if is_prose(text)]
            ),
            "prompt_retrieval/ReturnDescription": self.prompts(
                [(o.summary, o.returns[0]) for o in self.objects if o.returns and is_prose(o.returns[0])]
            ),
            "billboard/SummaryQuality": self.billboard(
                [(o.key, o.summary, [o.details]) for o in self.objects if o.details]
            ),
            "billboard/ParameterQuality": self.parameter_billboard(),
        }  # fmt: skip

    def rng(self, task: str) -> random.Random:
        return random.Random(f"{self.side}/{task}")

    def retrieval(self, pairs: Iterable[tuple[str, str, str]]) -> Files:
        """Query -> the other text of the same object; the corpus is the other texts of all objects."""
        usable = [pair for pair in pairs if pair[0] and is_prose(pair[1], 3)]
        usable = list({document: (query, document, key) for query, document, key in usable}.values())[:CORPUS]
        asked = usable[:QUERIES]
        return {
            "corpus": [{"_id": f"d:{key}", "title": "", "text": document} for _, document, key in usable],
            "queries": [{"_id": f"q:{key}", "text": query} for query, _, key in asked],
            "qrels_test": [{"query-id": f"q:{key}", "corpus-id": f"d:{key}", "score": 1} for _, _, key in asked],
        }

    def related_retrieval(self) -> Files:
        """Summary -> summaries of the functions named in See Also; a query's own summary is not in question."""
        asked = [key for key in self.links if self.links[key]]
        asked = self.rng("related").sample(sorted(asked), min(QUERIES, len(asked)))
        wanted = set(asked).union(*(self.links[key] for key in asked))
        rest = [obj.key for obj in self.objects if obj.key not in wanted]
        corpus = sorted(wanted) + rest[: max(0, CORPUS - len(wanted))]
        return {
            "corpus": [{"_id": key, "title": "", "text": self.by_key[key].summary} for key in corpus],
            "queries": [{"_id": key, "text": self.by_key[key].summary} for key in asked],
            "qrels_test": [
                {"query-id": key, "corpus-id": other, "score": 1} for key in asked for other in sorted(self.links[key])
            ],
        }  # fmt: skip

    def related_reranking(self) -> Rows:
        """Linked summaries before unlinked ones of the same area."""
        rng = self.rng("related_reranking")
        rows = []
        for key in rng.sample(sorted(self.links), len(self.links)):
            obj = self.by_key[key]
            positive = [self.by_key[other].summary for other in sorted(self.links[key])][:4]
            unlinked = [
                o.summary for o in self.neighbours(obj) if o.key not in self.links[key] and o.summary not in positive
            ]
            if len(unlinked) >= CANDIDATES - 4:
                rows.append({"id": key, "query": obj.summary, "positive": positive, "negative": unlinked[:CANDIDATES]})
        return rows[:QUERIES]

    def parameter_reranking(self) -> Rows:
        """A function's own parameter descriptions before those of other functions of its area."""
        rows = []
        for obj in self.objects:
            own = parameter_texts(obj)
            foreign = [text for other in self.neighbours(obj) for text in parameter_texts(other, 1) if text not in own]
            if len(own) >= 2 and len(foreign) >= CANDIDATES:
                rows.append({"id": obj.key, "query": obj.summary, "positive": own, "negative": foreign[:CANDIDATES]})
        return rows[:QUERIES]

    def neighbours(self, obj: DocObject) -> list[DocObject]:
        """Other objects of the same area, in an order of their own for each object."""
        others = [other for other in self.by_area[f"{obj.package}.{obj.area}"] if other.summary != obj.summary]
        return self.rng(f"neighbours/{obj.key}").sample(others, min(len(others), 3 * CANDIDATES))

    def described_parameters(self, most: int | None = None) -> Iterator[Parameter]:
        """Parameters whose description is prose, of each object's first ``most``."""
        return (p for o in self.objects for p in o.parameters[:most] if is_prose(p.description))

    def areas(self) -> list[tuple[str, str]]:
        return [(o.summary, f"{o.package}.{o.area}") for o in self.objects if o.area]

    def sections(self) -> list[tuple[str, str]]:
        return list(section_passages(self.objects))

    def types(self) -> list[tuple[str, str]]:
        typed = [(p.description, type_label(p.type)) for p in self.described_parameters()]
        return [(text, label) for text, label in typed if label]

    def labelled(self, items: Iterable[tuple[str, str]], per_label: int) -> Rows:
        """Balanced texts of every label that has enough of them."""
        by_label: dict[str, list[str]] = defaultdict(list)
        for text, label in dict(items).items():
            by_label[label].append(text)
        frequent = sorted(label for label, texts in by_label.items() if len(texts) >= per_label)
        rows = [
            {"text": text, "label": code, "label_text": label}
            for code, label in enumerate(frequent)
            for text in by_label[label][:per_label]
        ]
        self.rng(f"labelled/{frequent}").shuffle(rows)
        return rows

    def classification(self, items: Iterable[tuple[str, str]]) -> Files:
        """Balanced train and test rows with the same labels; no text stands in both."""
        rows = self.labelled(items, PER_LABEL + CLASSIFICATION_TRAIN_PER_LABEL)
        seen: Counter[int] = Counter()
        train: Rows = []
        test: Rows = []
        for row in rows:
            seen[row["label"]] += 1
            (train if seen[row["label"]] <= CLASSIFICATION_TRAIN_PER_LABEL else test).append(row)
        return {"train": train, "test": test}

    def same_pairs(self, what: str) -> Rows:
        """Parameter descriptions: the same function's (different types), or the same type (different functions).

        Both tasks pair the same kind of text; what makes a positive in one is left out of the positives of the other.
        """
        items = [
            (p.description, o.key, type_label(p.type), f"{o.package}.{o.area}")
            for o in self.objects
            for p in o.parameters[:4]
            if is_prose(p.description) and type_label(p.type)
        ]
        rng = self.rng(f"pairs/{what}")
        positive: Rows = []
        negative: Rows = []
        for first in rng.sample(items, len(items)):
            if len(positive) == PAIRS // 2:
                break
            wanted = [i for i in items if (i[1] == first[1]) != (i[2] == first[2]) and i[0] != first[0]]
            function = [i for i in wanted if i[1] == first[1]]
            kind = [i for i in wanted if i[2] == first[2]]
            if function and kind:
                same_function, same_type = rng.choice(function), rng.choice(kind)
                right, wrong = (same_function, same_type) if what == "function" else (same_type, same_function)
                positive.append({"sent1": first[0], "sent2": right[0], "label": 1})
                negative.append({"sent1": first[0], "sent2": wrong[0], "label": 0})
        rows = positive + negative
        rng.shuffle(rows)
        return rows

    def related_pairs(self) -> Rows:
        """Linked by See Also, or of the same area and not linked."""
        rng = self.rng("related_pairs")
        rows = []
        for key in rng.sample(sorted(self.links), len(self.links)):
            obj = self.by_key[key]
            unlinked = [o for o in self.neighbours(obj) if o.key not in self.links[key]]
            if unlinked:
                linked = self.by_key[rng.choice(sorted(self.links[key]))]
                rows.append({"sent1": obj.summary, "sent2": linked.summary, "label": 1})
                rows.append({"sent1": obj.summary, "sent2": unlinked[0].summary, "label": 0})
        return rows[:PAIRS]

    def relatedness(self) -> Rows:
        """Grade 3: linked by See Also; 2: same area; 1: same package; 0: the other package."""
        rng = self.rng("relatedness")
        rows = []
        for key in rng.sample(sorted(self.links), min(len(self.links), PAIRS // 4)):
            obj = self.by_key[key]
            others = {
                3: [self.by_key[other] for other in sorted(self.links[key])],
                2: [o for o in self.neighbours(obj) if o.key not in self.links[key]],
                1: [o for o in self.objects if o.package == obj.package and o.area != obj.area],
                0: [o for o in self.objects if o.package != obj.package],
            }
            rows += [
                {"sentence1": obj.summary, "sentence2": rng.choice(found).summary, "score": grade}
                for grade, found in others.items()
                if found
            ]
        return rows

    def wording(self) -> Rows:
        """A sentence and itself with some words replaced by another sentence's; the score is the share kept, 0-5."""
        rng = self.rng("wording")
        sentences = [o.summary for o in self.objects if len(o.summary.split()) >= 6]
        rows = []
        for sentence in sentences[:PAIRS]:
            tokens = sentence.split()
            lost = set(rng.sample(range(len(tokens)), rng.randint(0, len(tokens))))
            spare = rng.choice(sentences).split()
            edited = " ".join(rng.choice(spare) if i in lost else token for i, token in enumerate(tokens))
            rows.append({"sentence1": sentence, "sentence2": edited, "score": 5 * (1 - len(lost) / len(tokens))})
        return rows

    def summaries(self) -> Rows:
        """Detailed descriptions as references; the object's own summary and its corruptions as candidates."""
        rng = self.rng("summaries")
        usable = [o for o in self.objects if is_prose(o.details, 12) and len(o.summary.split()) >= 5]
        rows = []
        for obj in usable[:DOCUMENTS]:
            graded = corruptions(obj.summary, rng.choice(self.neighbours(obj) or usable).summary, rng)
            rng.shuffle(graded)
            rows.append({
                "id": obj.key,
                "text": obj.details,
                "human_summaries": [obj.details],
                "machine_summaries": [text for _, text in graded],
                "relevance": [grade for grade, _ in graded],
            })  # fmt: skip
        return rows

    def prompts(self, pairs: Iterable[tuple[str, str]]) -> Files:
        """Demonstrations and evaluation inputs, no input in both."""
        distinct = list(dict(pairs).items())
        self.rng("prompts").shuffle(distinct)
        share = min(QUERIES, len(distinct) // 3)
        rows = [{"id": i, "input": text, "output": output} for i, (text, output) in enumerate(distinct)]
        return {"train": rows[share : share + POOL], "eval": rows[:share]}

    def billboard(self, items: Iterable[tuple[str, str, list[str]]]) -> Files:
        """Hypotheses of known quality against references, in the layout of Billboard; one system a grade."""
        rng = self.rng("billboard")
        usable = [item for item in items if len(item[1].split()) >= 5 and all(is_prose(ref, 8) for ref in item[2])]
        hypotheses, references = [], []
        for number, (key, text, refs) in enumerate(usable[:DOCUMENTS]):
            references.append({"seg_id": key, "set_id": number, "refs": refs})
            for grade, hypothesis in corruptions(text, rng.choice(usable)[1], rng):
                hypotheses.append(
                    {
                        "SYS": f"grade{grade:.0f}",
                        "seg_id": key,
                        "set_id": number,
                        "hyp": hypothesis,
                        "human_score": grade,
                    }
                )
        return {"hyps": hypotheses, "references": references}

    def parameter_billboard(self) -> Files:
        """Descriptions of a parameter against those of parameters of the same name in other functions."""
        by_name: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for obj in self.objects:
            for item in obj.parameters:
                if is_prose(item.description, 8):
                    by_name[item.name].append((f"{obj.key}:{item.name}", item.description))
        items = []
        for name in sorted(by_name):
            distinct = list({text: (key, text) for key, text in by_name[name]}.values())
            if len(distinct) >= 3:
                items.append((distinct[0][0], distinct[0][1], [text for _, text in distinct[1:4]]))
        self.rng("parameter_billboard").shuffle(items)
        return self.billboard(items)
