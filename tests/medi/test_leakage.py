"""A training text that stands in a benchmark is found and dropped, and only such a text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from one_embedder.errors import DataError
from one_embedder.files.json_lines import JsonLines
from one_embedder.instructions.template import Instruction
from one_embedder.medi.mining.candidates import LabelTask, PairTask, RelationTask
from one_embedder.medi.mining.leakage import BenchmarkTexts, drop_overlapping, normalised
from one_embedder.medi.sources.assembly import write_task_files

ASK = Instruction("text")
LONG = "one two three four five six seven eight nine ten"


def benchmark(root: Path) -> BenchmarkTexts:
    rows = [{"id": "kept id", "query": "Return the mean.", "positive": [LONG], "negative": ["Another text"]}]
    write_task_files({"eval/Reranking/Toy": {"test": rows}}, root)
    return BenchmarkTexts.read(root)


def test_normal_form_keeps_words_and_numbers_only() -> None:
    assert normalised("Hello,  World-2!") == "hello world 2"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller", "Möller"),
        ("Öl", "Äl"),
        ("naïve", "na ve"),
        ("5 кг", "5 м"),
        ("где мой wifi?", "здесь нет wifi"),
        ("北京 app", "南京 app"),
    ],
)
def test_letters_of_every_script_tell_texts_apart(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize(
    ("one", "other"), [("caf\u00e9", "CAFE\u0301"), ("\uff15 \uff4b\uff47", "5 kg"), ("ﬁnd it", "Find it!")]
)
def test_one_text_in_two_codings_is_the_same(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_same_words_overlap_whatever_their_case_and_punctuation(tmp_path: Path) -> None:
    assert benchmark(tmp_path).overlaps("return THE mean!")


def test_eight_words_in_a_row_overlap_and_seven_do_not(tmp_path: Path) -> None:
    texts = benchmark(tmp_path)
    assert texts.overlaps("zero two three four five six seven eight nine zero")
    assert not texts.overlaps("zero two three four five six seven eight zero")


def test_a_text_without_a_letter_or_digit_never_overlaps(tmp_path: Path) -> None:
    write_task_files({"eval/Classification/Marks": {"test": [{"text": "?!", "label": 1}]}}, tmp_path)
    assert not BenchmarkTexts.read(tmp_path).overlaps("...")


def test_a_text_in_another_script_overlaps_as_a_whole(tmp_path: Path) -> None:
    write_task_files({"eval/Clustering/Chinese": {"test": [{"text": "北京大学", "label": 1}]}}, tmp_path)
    texts = BenchmarkTexts.read(tmp_path)
    assert texts.overlaps("北京大学!") and not texts.overlaps("南京大学")


def test_words_in_a_row_overlap_where_a_text_mixes_scripts(tmp_path: Path) -> None:
    passage = "Летом 2019 года компания открыла новый завод недалеко от города Омска"
    write_task_files({"eval/Clustering/Russian": {"test": [{"text": passage, "label": 1}]}}, tmp_path)
    texts = BenchmarkTexts.read(tmp_path)
    assert texts.overlaps(f"{passage}, сообщает газета 12 мая.")
    assert not texts.overlaps("Летом 2019 года вышел фильм")


def test_a_blank_last_line_is_nothing_and_a_broken_one_is_named(tmp_path: Path) -> None:
    benchmark(tmp_path)
    more = tmp_path / "eval/STS/More"
    more.mkdir(parents=True)
    (more / "test.jsonl").write_text('{"sentence1": "Some other words"}\n\n')
    assert BenchmarkTexts.read(tmp_path).overlaps("some other words")
    (more / "test.jsonl").write_text('{"sentence1": "Some other words"}\n{"sentence1"\n')
    with pytest.raises(DataError, match=r"More/test\.jsonl, row 2: not a JSON object"):
        BenchmarkTexts.read(tmp_path)


def test_another_benchmark_has_another_hash_and_the_same_one_the_same(tmp_path: Path) -> None:
    first, again = benchmark(tmp_path / "a"), benchmark(tmp_path / "b")
    write_task_files({"eval/Classification/Marks": {"test": [{"text": "more", "label": 1}]}}, tmp_path / "b")
    assert first.sha256 == again.sha256 != BenchmarkTexts.read(tmp_path / "b").sha256


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


DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.skipif(not DATA.is_dir(), reason="the reference data are not here")
@pytest.mark.parametrize(
    ("training", "task"),
    [
        ("train_core/task889_goemotions_classification", "Classification/Imdb-subset"),
        ("train_core/task080_piqa_answer_generation", "STS/STS16"),
        ("train_core/task024_cosmosqa_answer_generation", "PairClassification/QQP-subset"),
    ],
)
def test_overlap_that_is_known_is_found(training: str, task: str, tmp_path: Path) -> None:
    known = json.loads((DATA / "overlap_8gram.json").read_text())[training][task]
    (tmp_path / "eval" / task).parent.mkdir(parents=True)
    shutil.copytree(DATA / "eval" / task, tmp_path / "eval" / task)
    benchmark = BenchmarkTexts.read(tmp_path)
    rows = JsonLines.read(DATA / "superni" / training.split("/")[0], training.split("/")[1]).rows
    found = sum(benchmark.overlaps(row["input"]) or any(map(benchmark.overlaps, row["output"])) for row in rows)
    assert 0 < known <= found < len(rows) / 2


def test_a_folder_without_tasks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no task files below eval, billboard, prompt_retrieval"):
        BenchmarkTexts.read(tmp_path)
