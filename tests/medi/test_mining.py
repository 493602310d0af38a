"""The two mining rules against literal loops, and what may never become a row."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_embedder.instructions.template import Instruction
from one_embedder.medi.mining import rules as mining
from one_embedder.medi.mining.candidates import CandidateTask, LabelTask, OutputTask, PairTask, RelationTask, TripleTask
from one_embedder.medi.mining.negatives import best
from one_embedder.medi.mining.rules import FALSE_NEGATIVE_SIMILARITY, embed_texts, mine

ASK = Instruction("question", "toy", "retrieving answers")


def embeddings(texts: list[str], seed: int = 0) -> dict[str, np.ndarray]:
    """Random unit vectors, all a little alike."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(len(texts), 6)) + 0.3
    return dict(zip(texts, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_pair_negative_maximises_input_similarity_minus_output_similarity(seed: int) -> None:
    pairs = tuple((f"x{i}", f"y{i}", f"g{i}") for i in range(12))
    found = embeddings([text for pair in pairs for text in pair[:2]], seed)
    rows = mine(PairTask("toy", ASK, ASK, pairs), 0, found, limit=100)
    assert len(rows) == len(pairs)
    for i, row in enumerate(rows):
        scores = {
            f"y{j}": found[f"x{i}"] @ found[f"x{j}"] - found[f"y{i}"] @ found[f"y{j}"]
            for j in range(12)
            if j != i and found[f"y{i}"] @ found[f"y{j}"] <= FALSE_NEGATIVE_SIMILARITY
        }
        assert row.query[1] == f"x{i}"
        assert row.positive[1] == f"y{i}"
        assert row.negative[1] == max(scores, key=lambda text: scores[text])


def test_pair_negative_is_never_of_the_same_group_or_the_same_text() -> None:
    pairs = (("x0", "y0", "a"), ("x1", "y1", "a"), ("x2", "y0", "b"), ("x3", "y3", "c"))
    rows = mine(PairTask("toy", ASK, ASK, pairs), 0, embeddings(["x0", "x1", "x2", "x3", "y0", "y1", "y3"]), limit=9)
    allowed = {"x0": {"y3"}, "x1": {"y0", "y3"}, "x2": {"y1", "y3"}, "x3": {"y0", "y1"}}
    assert rows
    assert all(row.negative[1] in allowed[row.query[1]] for row in rows)


@pytest.mark.parametrize("seed", range(5))
def test_pair_negative_is_never_another_output_of_the_input_wherever_it_stands(seed: int) -> None:
    pairs = tuple(row for i in range(12) for row in ((f"q{i}", f"a{i}", f"q{i}"), (f"q{i}", f"b{i}", f"q{i}"),
                                                     (f"r{i}", f"b{i}", f"r{i}")))  # fmt: skip
    found = embeddings(sorted({text for pair in pairs for text in pair[:2]}), seed)
    rows = mine(PairTask("toy", ASK, ASK, pairs), 0, found, limit=100)
    right = {(query, document) for query, document, _ in pairs}
    assert len(rows) == len(pairs)
    assert right.isdisjoint((row.query[1], row.negative[1]) for row in rows)


@pytest.mark.parametrize("seed", range(5))
def test_label_rule_pairs_similar_texts_by_label(seed: int) -> None:
    items = tuple((f"t{i}", "even" if i % 2 == 0 else "odd") for i in range(20))
    found = embeddings([text for text, _ in items], seed)
    rows = mine(LabelTask("toy", ASK, items), 0, found, limit=100)
    label = dict(items)
    assert len(rows) == len(items)
    for row in rows:
        text = row.query[1]
        others = [other for other in label if label[other] != label[text]]
        eligible = [other for other in others if found[text] @ found[other] <= FALSE_NEGATIVE_SIMILARITY]
        assert label[row.positive[1]] == label[text] == row.label
        assert row.negative_label == label[row.negative[1]]
        assert row.positive[1] != text
        assert row.negative[1] == max(eligible, key=lambda other: found[text] @ found[other])


@pytest.mark.parametrize("seed", range(3))
def test_texts_with_a_label_in_common_are_never_negatives(seed: int) -> None:
    labels = {f"t{i}": {"even" if i % 2 == 0 else "odd"} | ({"third"} if i % 3 == 0 else set()) for i in range(20)}
    items = tuple((text, label) for label in ("even", "odd", "third") for text in labels if label in labels[text])
    found = embeddings(list(labels), seed)
    rows = mine(LabelTask("toy", ASK, items), 0, found, limit=100)
    assert {row.query[1] for row in rows} == labels.keys()
    for row in rows:
        others = [text for text in labels if labels[text].isdisjoint(labels[row.query[1]])]
        eligible = [text for text in others if found[row.query[1]] @ found[text] <= FALSE_NEGATIVE_SIMILARITY]
        assert row.label in labels[row.query[1]] & labels[row.positive[1]]
        assert row.negative[1] == max(eligible, key=lambda text: found[row.query[1]] @ found[text])


@pytest.mark.parametrize("seed", range(3))
def test_output_rule_adds_similarities_for_positives_and_subtracts_them_for_negatives(seed: int) -> None:
    items = tuple((f"x{i}", f"y{i}") for i in range(14))
    found = embeddings([text for item in items for text in item], seed)
    rows = mine(OutputTask("toy", ASK, items), 0, found, limit=100)
    assert len(rows) >= 10
    for row in rows:
        i = int(row.query[1][1:])
        others = [j for j in range(14) if j != i]
        alike = {j: (float(found[f"x{i}"] @ found[f"x{j}"]), float(found[f"y{i}"] @ found[f"y{j}"])) for j in others}
        eligible = [j for j in others if max(alike[j]) <= FALSE_NEGATIVE_SIMILARITY]
        assert row.positive[1] == f"x{max(others, key=lambda j: sum(alike[j]))}"
        assert row.negative[1] == f"x{max(eligible, key=lambda j: alike[j][0] - alike[j][1])}"


def test_triples_are_taken_as_they_are() -> None:
    rows = mine(TripleTask("toy", ASK, (("a", "b", "c"), ("d", "e", "f"))), 2, {}, limit=1)
    assert [(row.task_id, row.query[1], row.positive[1], row.negative[1]) for row in rows] == [(2, "a", "b", "c")]


def test_label_task_with_one_label_gives_no_rows() -> None:
    items = tuple((f"t{i}", "same") for i in range(5))
    assert mine(LabelTask("toy", ASK, items), 0, embeddings([text for text, _ in items]), limit=10) == []


def test_relation_negative_is_not_linked() -> None:
    items = {f"k{i}": f"t{i}" for i in range(8)}
    links = {"k0": frozenset({"k1", "k2"}), "k1": frozenset({"k0"}), "k2": frozenset({"k0"})}
    rows = mine(RelationTask("toy", ASK, items, links), 3, embeddings(list(items.values())), limit=10)
    assert [(row.query[1], row.positive[1]) for row in rows] == [("t0", "t1"), ("t0", "t2"), ("t1", "t0"), ("t2", "t0")]
    assert all(row.negative[1] not in {"t0", "t1", "t2"} or row.query[1] != "t0" for row in rows)
    assert {row.task_id for row in rows} == {3}


def test_near_copies_are_never_negatives() -> None:
    items = (("a", "left"), ("b", "left"), ("c", "right"))
    vectors = {"a": np.array([1.0, 0.0]), "b": np.array([0.0, 1.0]), "c": np.array([0.999, 0.04])}
    rows = mine(LabelTask("toy", ASK, items), 0, vectors, limit=10)
    assert ("a", "c") not in {(row.query[1], row.negative[1]) for row in rows}
    assert ("b", "c") in {(row.query[1], row.negative[1]) for row in rows}


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"t{i}" for i in range(23)]
    found = embeddings([*names, *(f"y{i}" for i in range(23))])
    tasks = [
        PairTask("pairs", ASK, ASK, tuple((f"t{i}", f"y{i % 20}", f"g{i % 9}") for i in range(23))),
        LabelTask("labels", ASK, tuple((name, str(i % 3)) for i, name in enumerate(names))),
        RelationTask("links", ASK, {n: n for n in names}, {n: frozenset({names[i - 1]}) for i, n in enumerate(names)}),
    ]
    whole = [mine(task, 0, found, limit=limit) for task in tasks for limit in (7, 100)]
    monkeypatch.setattr(mining, "CELLS", 5 * 23)
    assert [mine(task, 0, found, limit=limit) for task in tasks for limit in (7, 100)] == whole
    assert all(len(rows) >= 7 for rows in whole)


def four_kinds(texts: list[str]) -> list[CandidateTask]:
    """The texts as a task of each kind that is mined."""
    outputs = texts[1:] + texts[:1]
    return [
        PairTask("pairs", ASK, ASK, tuple(zip(texts, outputs, texts, strict=True))),
        OutputTask("outputs", ASK, tuple(zip(texts, outputs, strict=True))),
        LabelTask("labels", ASK, tuple((text, text[-1]) for text in texts)),
        RelationTask("links", ASK, {t: t for t in texts}, {t: frozenset({outputs[i]}) for i, t in enumerate(texts)}),
    ]


def peak_of_mining(task: CandidateTask, limit: int) -> int:
    """Bytes."""
    found = embeddings(task.texts())
    tracemalloc.start()
    try:
        mine(task, 0, found, limit)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", range(4))
def test_one_long_text_costs_its_own_length_and_not_everybodys(kind: int) -> None:
    texts = [f"text {i}" for i in range(500)]
    short, long = (four_kinds([*texts, last])[kind] for last in ("text 500", 100_000 * "x"))
    assert peak_of_mining(long, 9) < peak_of_mining(short, 9) + 5e6  # padded, they are 200 MB


@pytest.mark.parametrize("kind", range(4))
def test_memory_grows_with_a_tasks_size_and_not_with_its_square(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "CELLS", 2**16)
    small, large = (four_kinds([f"text {i}" for i in range(count)])[kind] for count in (1000, 4000))
    assert peak_of_mining(large, 9) < 4.5 * peak_of_mining(small, 9)
    assert peak_of_mining(large, 9) < 4000 * 4000


@given(values=st.lists(st.text(max_size=3) | st.sampled_from(["a", "a\0", ""]), min_size=1, max_size=20))
def test_equal_texts_and_no_others_have_equal_numbers(values: list[str]) -> None:
    codes = mining._codes(values)
    assert codes.dtype == np.int64
    assert all((codes[i] == codes[j]) == (a == b) for i, a in enumerate(values) for j, b in enumerate(values))


@given(scores=st.lists(st.integers(0, 4) | st.just(-np.inf), min_size=1, max_size=30), count=st.integers(1, 12))
def test_the_best_of_many_are_those_that_sorting_all_of_them_gives(scores: list[float], count: int) -> None:
    finite = [i for i, score in enumerate(scores) if score > -np.inf]
    expected = sorted(finite, key=lambda i: (-scores[i], i))[:count]
    assert best(np.array(scores, dtype=np.float64), count).tolist() == expected


def test_each_distinct_text_is_embedded_once() -> None:
    asked: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.eye(len(texts))

    task = LabelTask("toy", ASK, (("b", "x"), ("a", "y")))
    embed_texts([task, task, PairTask("pairs", ASK, ASK, (("a", "c", "g"),))], encode)
    assert asked == ["a", "b", "c"]


def test_rows_do_not_depend_on_the_last_digits_of_embeddings_even_where_texts_tie() -> None:
    """Texts that differ only beyond the miner's length have one embedding, give or take what a machine rounds."""
    texts = [f"t{i}" for i in range(30)]
    distinct = embeddings(texts[:10])
    exact = {text: distinct[texts[i % 10]].astype(np.float32) for i, text in enumerate(texts)}
    rng = np.random.default_rng(1)
    noisy = {text: vector + np.float32(1e-9) * rng.normal(size=6) for text, vector in exact.items()}
    pairs = tuple(zip(texts, reversed(texts), texts, strict=True))
    items = tuple((text, str(i % 3)) for i, text in enumerate(texts))
    tasks = [
        PairTask("p", ASK, ASK, pairs),
        OutputTask("o", ASK, tuple(p[:2] for p in pairs)),
        LabelTask("l", ASK, items),
    ]
    for task in tasks:
        rows = mine(task, 0, exact, limit=99)
        assert len(rows) > 20
        assert mine(task, 0, noisy, limit=99) == rows
