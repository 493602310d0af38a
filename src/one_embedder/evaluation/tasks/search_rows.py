"""The files of retrieval and reranking tasks: queries, documents, and which of them belong together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from one_embedder.evaluation.tasks.judgements import read_judgements, relevance
from one_embedder.files.json_lines import JsonLines

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchRows:
    """A search task.

    Attributes:
        documents: id -> text.
        queries: id -> text.
        relevant: query id -> document id -> gain, on any scale; 0 is judged and not relevant.
        candidates: query id -> ids of the documents to rank; None: all of them.
    """

    documents: dict[str, str]
    queries: dict[str, str]
    relevant: dict[str, dict[str, int]]
    candidates: dict[str, list[str]] | None = None


def read_retrieval(folder: Path, split: str) -> SearchRows:
    """Read ``corpus``, ``queries`` and the judgements.

    Raises:
        DataError: if a file or row is unusable, or a judgement is of a query that does not exist.
    """
    corpus, queries = JsonLines.read(folder, "corpus"), JsonLines.read(folder, "queries")
    documents = dict(zip(corpus.ids("_id"), _documents(corpus), strict=True))
    asked = dict(zip(queries.ids("_id"), queries.texts("text"), strict=True))
    return SearchRows(documents, asked, relevance(read_judgements(folder, split), asked, documents))


def read_reranking(folder: Path, split: str) -> SearchRows:
    """Read ``<split>``: each query with its positive and negative candidates.

    Candidate ids are spelled as in mteb's reranking sets, because ties are broken by id: in favour of negatives. A text
    that is both positive and negative is no exact tie: rounding, which depends on its place, says which comes first.

    Raises:
        DataError: if the file or a row is unusable, or a query lacks positives or negatives.
    """
    rows = JsonLines.read(folder, split)
    queries = dict(zip(rows.ids("id"), rows.texts("query"), strict=True))
    documents: dict[str, str] = {}
    relevant: dict[str, dict[str, int]] = {}
    judged = zip(queries, rows.text_lists("positive"), rows.text_lists("negative"), strict=True)
    both = 0
    for query, positives, negatives in judged:
        both += not set(positives).isdisjoint(negatives)
        good = {f"apositive_{query}_{i:05d}": text for i, text in enumerate(positives)}
        bad = {f"negative_{query}_{i:05d}": text for i, text in enumerate(negatives)}
        documents |= good | bad
        relevant[query] = dict.fromkeys(good, 1) | dict.fromkeys(bad, 0)
    if both:
        log.warning(
            "%s: %d queries have a text among their positives and their negatives alike; rounding decides which of the "
            "two ranks first, so take one of them out",
            *(rows.path, both),
        )
    return SearchRows(documents, queries, relevant, {query: list(ids) for query, ids in relevant.items()})


def _documents(corpus: JsonLines) -> list[str]:
    """Title and text of each document joined by a space, as mteb reads them; either may be empty, and both.

    Raises:
        DataError: if a text is none, or a title that is there is none or has another spelling.
    """
    documents = []
    for row, values in enumerate(corpus.rows):
        if other := [key for key in values if key != "title" and key.strip().lower() == "title"]:
            raise corpus.error(row, f"field {other[0]!r} is not read; call it 'title', or take it out")
        title = "" if values.get("title") is None else corpus.string(row, "title")
        documents.append(f"{title} {corpus.string(row, 'text')}".strip())
    if empty := documents.count(""):
        log.info("%s: %d of %d documents have neither title nor text; they count", corpus.path, empty, len(documents))
    return documents
