"""What the report page begins with: the answer in one sentence and one figure, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.show.figures import averages_figure, inline_svg
from one_embedder.reproduction.show.page_model import Drawing, Section
from one_embedder.reproduction.statistics.decision import NOT_SUPPORTED, ONE_SEED, SUPPORTED
from one_embedder.reproduction.statistics.layout import AVERAGE, INSTRUCTOR
from one_embedder.reproduction.table1.tables import ABSENT, bounds_of, format_difference, format_interval

Record = Mapping[str, Any]
"""The content of ``table1/<profile>.json``."""

_ANSWERS = {SUPPORTED: "Yes", NOT_SUPPORTED: "No", ONE_SEED: "One seed cannot say"}


def answer_section(record: Record) -> Section:
    """The answer that a table gives."""
    caption = f"Average of the nine categories with its interval, profile {record['profile']}"
    drawing = Drawing(inline_svg(averages_figure(record), caption), caption)
    title = "Does finetuning with instructions pay?"
    return Section("answer", "answer", title, paragraphs=[_answer(record)], drawings=[drawing])


def basis_section(first: Record, others: Mapping[str, Record]) -> Section:
    """What the answer rests on, and what other tables say.

    Args:
        first: the table that answers.
        others: title -> the same of other data, or of one's own run.
    """
    bootstrap, steps = first["bootstrap"], " or ".join(map(str, first["steps"]))
    seeds, tasks = max(len(row["seeds"]) for row in first["rows"]), first["tasks"]
    trained = f"{seeds} seed{'s' if seeds != 1 else ''}, {steps} steps each" if seeds else "no training of ours"
    rests = (
        f"Profile {first['profile']}: {trained}; {sum(tasks.values())} tasks in {len(tasks)} categories. Intervals "
        f"hold {100 * bootstrap['confidence']:g} % of {bootstrap['resamples']} redraws of test items and seeds."
    )
    elsewhere = [f"{title}. {_answer(record)}" for title, record in others.items()]
    return Section("basis", "basis", "What it rests on", paragraphs=[rests, first["statement"], *elsewhere])


def _answer(record: Record) -> str:
    """Yes or no by the rule of ``decision`` and the table's last claim, with the numbers behind it."""
    average = next(bounds_of(row, AVERAGE) for row in record["rows"] if row["id"] == INSTRUCTOR.id)
    scored = ABSENT if average is None else format_interval(average)
    if not record["claims"]:
        return f"Nothing was compared: INSTRUCTOR scores {scored} points."
    *_, last = record["claims"]
    verdict = _ANSWERS.get(last["verdict"], "Undecided")
    difference = format_difference(Interval(**last["difference"]))
    return f"{verdict}. INSTRUCTOR scores {scored} points. {last['claim']}: {last['verdict']}, {difference} points."
