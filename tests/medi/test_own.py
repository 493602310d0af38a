"""One's own pairs become training data and a benchmark that shares nothing with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.embedding import embedder as embedder_module
from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.plan import Plan
from one_embedder.evaluation.task_instructions import TaskInstructions
from one_embedder.files.json_lines import JsonLines
from one_embedder.medi.build import build
from one_embedder.medi.row import MediRow
from one_embedder.medi.sources.own.held_back import divide, same
from one_embedder.medi.sources.own.pairs import Pair, read_pairs
from one_embedder.medi.store import load_medi
from tests.composed import composed
from tests.medi.toy import row_of

ROWS = [{"query": f"How do I clean lamp {i}?", "positive": f"Wipe number {i} with a cloth."} for i in range(60)]


class Embedder:
    """Stands in for the miner's encoder: a random unit vector for each text."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def encode(self, texts: list[str], **_: Any) -> np.ndarray:
        vectors = np.stack([np.random.default_rng(list(text.encode())).normal(size=8) for text in texts])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True)
def quick_miner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder_module, "InstructionEmbedder", Embedder)


def written(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def configured(path: Path, *overrides: str) -> Config:
    where = [f"medi.path={path}", f"paths.data={path.parent / 'data'}"]
    return composed("build_medi", ["profile=own", *where, *overrides])


def rows_of(folder: Path) -> list[MediRow]:
    return [row_of(item) for item in load_medi(folder / "medi").dataset]


def task_files(folder: Path, task: str) -> dict[str, list[dict[str, Any]]]:
    place = folder / "benchmark" / "test" / "eval" / "Retrieval" / task
    return {name: JsonLines.read(place, name).rows for name in ("queries", "corpus", "qrels_test")}


def texts_trained_on(folder: Path) -> set[str]:
    return {same(text) for row in rows_of(folder) for _, text in (row.query, row.positive, *row.negatives)}


def test_pairs_become_rows_with_mined_negatives_and_a_tenth_of_the_queries_a_benchmark(tmp_path: Path) -> None:
    folder = build(configured(written(tmp_path / "faq.jsonl", ROWS)))
    rows, task = rows_of(folder), task_files(folder, "faq")
    assert (len(rows), len(task["queries"])) == (54, 6)
    answers = {row["query"]: row["positive"] for row in ROWS}
    for row in rows:
        assert row.task_name == "faq" and answers[row.query[1]] == row.positive[1]
        assert row.negative[1] in answers.values() and row.negative[1] != row.positive[1]
    queries, corpus = ({row["_id"]: row["text"] for row in task[name]} for name in ("queries", "corpus"))
    asked = {queries[row["query-id"]]: corpus[row["corpus-id"]] for row in task["qrels_test"]}
    assert asked.items() <= answers.items() and len(asked) == 6
    assert texts_trained_on(folder).isdisjoint(map(same, (*queries.values(), *corpus.values())))


TEXTS = st.sampled_from([f"text {letter}" for letter in "abcdefghijklmnop"])
PAIRS = st.lists(st.builds(Pair, TEXTS, TEXTS, st.lists(TEXTS, max_size=2).map(tuple)), min_size=2, max_size=30)


@given(pairs=PAIRS, share=st.floats(0.01, 0.6))
@settings(deadline=None)
def test_no_text_is_on_both_sides_whatever_the_rows_share(pairs: list[Pair], share: float) -> None:
    try:
        divided = divide(pairs, share)
    except DataError:
        return
    trained, held = (
        {text for pair in side for text in (pair.query, pair.positive, *pair.negatives)}
        for side in (divided.training, divided.held_back)
    )
    assert trained and held and trained.isdisjoint(held)
    assert len(divided.training) + len(divided.held_back) == len(pairs)
    assert divided.queries <= max(1, round(share * len({pair.query for pair in pairs})))


def test_the_choice_of_queries_does_not_depend_on_the_order_of_the_file() -> None:
    pairs = [Pair(row["query"], row["positive"]) for row in ROWS]
    assert set(divide(pairs, 0.2).held_back) == set(divide(pairs[::-1], 0.2).held_back)


def test_rows_that_all_share_a_text_are_refused_with_the_way_out() -> None:
    with pytest.raises(DataError, match=r"no queries can be held back: .* medi\.held_back=0"):
        divide([Pair(f"query {i}", "the one answer") for i in range(50)], 0.1)


def test_without_a_share_everything_is_trained_on_and_there_is_no_benchmark(tmp_path: Path) -> None:
    folder = build(configured(written(tmp_path / "faq.jsonl", ROWS), "medi.held_back=0"))
    assert len(rows_of(folder)) == 60 and not (folder / "benchmark").exists()


def test_negatives_may_be_a_text_a_list_null_empty_or_missing(tmp_path: Path) -> None:
    given_ways = [{"negative": "no"}, {"negatives": ["no", "never"]}, {"negative": None}, {"negatives": []}, {}]
    rows = [row | given_ways[i % 5] for i, row in enumerate(ROWS)]
    pairs = read_pairs(str(written(tmp_path / "faq.jsonl", rows)))
    assert [pair.negatives for pair in pairs[:5]] == [("no",), ("no", "never"), (), (), ()]
    built = build(configured(tmp_path / "faq.jsonl"))
    given_negatives = {pair.query: pair.negatives for pair in pairs}
    for row in rows_of(built):
        found = tuple(text for _, text in row.negatives)
        assert found and found == (given_negatives[row.query[1]] or found)


def test_a_negative_that_answers_the_query_elsewhere_is_left_out(tmp_path: Path) -> None:
    rows = [{"query": "q", "positive": "a", "negative": "b"}, {"query": "q", "positive": "b"}]
    assert read_pairs(str(written(tmp_path / "faq.jsonl", rows))) == [Pair("q", "a"), Pair("q", "b")]


@pytest.mark.parametrize("spelled", [str, str.upper])
def test_no_right_answer_of_a_query_is_mined_whatever_its_spelling(spelled: Any, tmp_path: Path) -> None:
    rows = [row for i in range(20) for row in (
        {"query": f"Who helps with {i}?", "positive": f"Page {i}."},
        {"query": spelled(f"Who helps with {i}?"), "positive": f"Our staff {i}."},
        {"query": f"Whom do I call about {i}?", "positive": f"Our staff {i}."},
    )]  # fmt: skip
    built = rows_of(build(configured(written(tmp_path / "faq.jsonl", rows), "medi.held_back=0")))
    right = {(same(row["query"]), row["positive"]) for row in rows}
    assert len(built) == len(rows)
    assert right.isdisjoint((same(row.query[1]), row.negative[1]) for row in built)


def test_queries_that_share_only_a_latin_word_are_different_ones() -> None:
    words = "один два три четыре пять шесть семь восемь девять десять"
    pairs = [Pair(f"Где {word} wifi?", f"Здесь {word}.") for word in words.split()]
    assert divide(pairs, 0.1).queries == 1


def test_a_csv_is_read_like_json_lines(tmp_path: Path) -> None:
    lines = [
        "query,positive,negative",
        *(f'{r["query"]},"{r["positive"]}",{"no" * (i % 2)}' for i, r in enumerate(ROWS)),
    ]
    (tmp_path / "faq.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())  # as a spreadsheet saves it
    rows = [row | {"negative": "no" * (i % 2)} for i, row in enumerate(ROWS)]
    assert read_pairs(str(tmp_path / "faq.csv")) == read_pairs(str(written(tmp_path / "faq.jsonl", rows)))


def test_instructions_of_a_row_come_before_those_of_the_command_line(tmp_path: Path) -> None:
    rows = [row | ({"query_instruction": "Represent the ticket:"} if i % 2 else {}) for i, row in enumerate(ROWS)]
    words = ["medi.query_instruction=Represent the question:", "medi.document_instruction=Represent the answer: "]
    cfg = configured(written(tmp_path / "faq.jsonl", rows), *words, "medi.min_rows_per_task=2")
    folder = build(cfg)
    found = {(row.task_name, row.query[0], row.positive[0], row.negative[0]) for row in rows_of(folder)}
    answer = "Represent the answer: "
    assert found == {
        ("faq", "Represent the question: ", answer, answer),
        ("faq_2", "Represent the ticket: ", answer, answer),
    }
    cfg.benchmark.root = str(folder / "benchmark" / "test")
    assert Plan.of(cfg).instructions["faq_2"] == TaskInstructions("Represent the ticket: ", answer)


def test_one_instruction_a_side_is_named_as_sentence_transformers_looks_for_it(tmp_path: Path) -> None:
    cfg = configured(written(tmp_path / "faq.jsonl", ROWS), "medi.query_instruction=Represent the question:")
    assert load_medi(build(cfg) / "medi").prompts == {
        "query": "Represent the question: ",
        "faq-query": "Represent the question: ",
    }


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"query": "only"}, r"row 3: field 'positive' is missing; the row has \['query'\]"),
        ({"query": "q", "positive": " "}, r"row 3: field 'positive' is empty"),
        ({"query": "q", "positive": ["a"]}, r"row 3: field 'positive' is .*not a string"),
        ({"query": "q", "positive": "a", "negatives": ["b", 7]}, r"row 3: field 'negatives' is 7 \(int\)"),
        ({"query": "q", "positive": "a", "query_instruction": 7}, r"row 3: field 'query_instruction' is 7"),
        (["q", "a"], r"row 3: not a JSON object but list"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_field(row: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        build(configured(written(tmp_path / "faq.jsonl", [*ROWS[:2], row])))
    assert {path.name for path in tmp_path.iterdir()} - {"data"} == {"faq.jsonl"}
    assert not any(path.is_dir() for path in (tmp_path / "data").iterdir() if path.name != "own")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("faq.csv", b"query,positive\nq,a\nq\n", r"line 3: 1 cells, where the header has 2"),
        ("faq.csv", b"query,positive\nq,a\nq,\n", r"row 3: field 'positive' is empty"),
        ("faq.csv", b"query;positive\nq;a\n", r"row 2: field 'query' is missing; the row has \['query;positive'\]"),
        ("faq.csv", b"query,positive\nq,\xe4\n", r"line 2 is not UTF-8"),
        (
            "faq.csv",
            b"query,positive,negative,negative\nq,a,b,c\n",
            r"has 2 columns 'negative'; rename all but one",
        ),
        ("faq.csv", b"query,positive,positive\nq,a,b\n", r"has 2 columns 'positive'"),
        (
            "faq.csv",
            b"query,positive,negatives\nq,a,b\nq,a,\"['b', 'c']\"\n",
            r"row 3: field 'negatives' is a list as programs print it.* further row of the same pair",
        ),
        ("faq.jsonl", b"", r"there is no pair in it"),
        ("faq.xlsx", b"", r"ends in \.jsonl, \.jsonl\.gz or \.csv"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_where(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=told):
        build(configured(tmp_path / name))


def test_a_missing_path_file_and_too_few_pairs_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"medi\.path is not given: .* medi\.path=pairs\.jsonl"):
        build(load_config("build_medi", ["profile=own", f"paths.data={tmp_path}"]))
    with pytest.raises(DataError, match=r"medi\.path=.*gone\.jsonl: there is no such file"):
        build(configured(tmp_path / "gone.jsonl"))
    with pytest.raises(DataError, match=r"9 pairs are left .* medi\.min_rows_per_task=8 here"):
        build(configured(written(tmp_path / "faq.jsonl", ROWS[:10])))


def test_the_same_file_is_not_built_again_and_a_longer_one_is(tmp_path: Path) -> None:
    cfg = configured(written(tmp_path / "faq.jsonl", ROWS[:50]))
    first = (build(cfg) / "build.json").read_text()
    assert (build(cfg) / "build.json").read_text() == first
    written(tmp_path / "faq.jsonl", ROWS)
    assert json.loads((build(cfg) / "build.json").read_text())["rows"] == 54


def test_what_stands_in_a_benchmark_of_ones_own_is_left_out(tmp_path: Path) -> None:
    task = tmp_path / "tasks" / "eval" / "STS" / "Mine"
    task.mkdir(parents=True)
    written(task / "test.jsonl", [{"sentence1": ROWS[3]["query"], "sentence2": "other", "score": 1}])
    path = written(tmp_path / "faq.jsonl", ROWS)
    folder = build(configured(path, f"medi.leakage={tmp_path / 'tasks'}", "medi.held_back=0"))
    assert len(rows_of(folder)) == 59 and same(ROWS[3]["query"]) not in texts_trained_on(folder)
