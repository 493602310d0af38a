"""A training text that stands in a benchmark is found and dropped, and only such a text."""

from __future__ import annotations

from pathlib import Path

from one_embedder.instruction import Instruction
from one_embedder.medi.candidates import LabelTask, PairTask, RelationTask
from one_embedder.medi.leakage import BenchmarkTexts, drop_overlapping, normalised
from one_embedder.medi.sources.documentation.benchmark import write_benchmark

ASK = Instruction("text")
LONG = "one two three four five six seven eight nine ten"


def benchmark(root: Path) -> BenchmarkTexts:
    rows = [{"id": "kept id", "query": "Return the mean.", "positive": [LONG], "negative": ["Another text"]}]
    write_benchmark({"eval/Reranking/Toy": {"test": rows}}, root)
    return BenchmarkTexts.read(root)


def test_normal_form_keeps_words_and_numbers_only() -> None:
    assert normalised("Hello,  World-2!") == "hello world 2"


def test_same_words_overlap_whatever_their_case_and_punctuation(tmp_path: Path) -> None:
    assert benchmark(tmp_path).overlaps("return THE mean!")


def test_eight_words_in_a_row_overlap_and_seven_do_not(tmp_path: Path) -> None:
    texts = benchmark(tmp_path)
    assert texts.overlaps("zero two three four five six seven eight nine zero")
    assert not texts.overlaps("zero two three four five six seven eight zero")


def test_identifiers_are_not_texts(tmp_path: Path) -> None:
    assert not benchmark(tmp_path).overlaps("kept id")


def test_every_shape_of_task_loses_its_overlapping_texts_and_no_others(tmp_path: Path) -> None:
    texts = benchmark(tmp_path)
    links = {"a": frozenset({"b", "c"}), "b": frozenset({"a"})}
    tasks = [
        PairTask("pairs", ASK, ASK, (("fine", "good", "a"), ("fine", LONG, "b"), ("Return the mean", "fine", "c"))),
        LabelTask("labels", ASK, (("fine", "x"), ("another text", "y"))),
        RelationTask("links", ASK, {"a": "fine", "b": LONG, "c": "good"}, links),
    ]  # fmt: skip
    kept, lost = drop_overlapping(tasks, texts)
    assert lost == {"pairs": 2, "labels": 1, "links": 1}
    assert kept[2].links == {"a": frozenset({"c"})}  # type: ignore[union-attr]
    assert not any(texts.overlaps(text) for task in kept for text in task.texts())
    assert all(task.texts() for task in kept)
