"""The list of the thirty data sets, and what becomes of one row of each format."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from one_embedder.config.compose import load_config
from one_embedder.errors import ConfigError, DataError
from one_embedder.files.location import CONF
from one_embedder.instructions.template import Instruction
from one_embedder.medi.sources.hub.chosen_datasets import chosen
from one_embedder.medi.sources.hub.formats import MAX_CHARACTERS, read_example
from one_embedder.medi.sources.hub.task import draw
from tests.medi.toy import full

KEYS = "set query pos neg input output answer provenance title question opa opb opc opd cop".split()


def test_thirty_data_sets_are_listed_and_each_entry_holds() -> None:
    listed = chosen(full().medi)
    assert len(listed) == 30
    assert {name for name, dataset in listed.items() if dataset.seen_in_evaluation} >= {"NQ", "fever", "hotpotqa"}
    assert {dataset.negatives for dataset in listed.values()} == {"given", "mined"}
    for dataset in listed.values():
        for words in filter(None, (dataset.query, dataset.document)):
            ours = dataset.words == "ours"
            assert Instruction.parse(words).objective
            assert not ours or Instruction.parse(words).render() == words + " "
        assert dataset.licence and (dataset.unverified is None or len(dataset.unverified) > 20)
        assert len(dataset.revision) == 40 or (dataset.unverified and "revision" in dataset.unverified)


def test_every_entry_says_all_that_the_list_is_for_and_leaves_nothing_to_defaults() -> None:
    entries = yaml.safe_load((CONF / "medi" / "full.yaml").read_text(encoding="utf-8"))["hub"]
    assert len(entries) == 30
    told = {"repo", "revision", "files", "format", "query", "symmetric", "negatives", "cap", "licence"}
    for name, entry in entries.items():
        assert told | {"seen_in_evaluation"} <= entry.keys(), name
        assert entry["symmetric"] or "document" in entry, name
        assert entry["format"] != "columns" or "columns" in entry, name


def test_instructions_of_medis_own_rows_are_kept_word_for_word() -> None:
    listed = full().medi.hub
    theirs = {name: (entry.query, entry.document) for name, entry in listed.items() if entry.words == "medi"}
    wikipedia = "Represent the Wikipedia document for retrieval;"
    relevant = "Represent the {} for retrieving relevant documents;"
    assert theirs == {
        "NQ": (relevant.format("Wikipedia question"), wikipedia),
        "fever": (relevant.format("Wikipedia claim"), wikipedia),
        "wow": (relevant.format("Wikipedia sentence"), wikipedia),
        "pubmed": (relevant.format("medicine question"), "Represent the medicine document for retrieval;"),
        "specter_train_triples": (
            "Represent the scientific title for retrieving duplicate titles;",
            "Represent the scientific title for retrieval;",
        ),
    }


@pytest.mark.parametrize(
    ("name", "record", "said"),
    [
        (
            "medmcqa",
            {"question": "q", "opa": "a", "opb": "b", "opc": "c", "opd": "d", "cop": 4},
            "column cop: .* got 4",
        ),
        ("medmcqa", {"question": "q", "opa": "a", "cop": 0}, "column opb: missing"),
        ("wow", {"query": "q", "pos": "p"}, "column neg: missing; the row has pos, query"),
        ("eli5", {"input": "q", "output": "an answer"}, "column output: expected a list"),
        ("eli5", ["q", "a"], "expected columns"),
    ],
)
def test_a_row_of_another_form_names_its_column(name: str, record: object, said: str) -> None:
    dataset = full().medi.hub[name]
    with pytest.raises(DataError, match=f"file row 7.*{said}"):
        read_example(record, dataset, "file row 7")


LISTED = full().medi.hub
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@given(record=JSON, name=st.sampled_from(["NQ", "wow", "eli5", "medmcqa"]))
def test_any_record_gives_clean_texts_or_is_told(record: Any, name: str) -> None:
    try:
        example = read_example(record, LISTED[name], "file row 7")
    except DataError as error:
        assert str(error).startswith("file row 7")
    else:
        assert all(text == " ".join(text.split()) for text in (example.query, example.positive, example.negative))


def test_kilt_gives_the_title_where_asked_and_long_texts_are_cut() -> None:
    dataset = full().medi.hub["eli5"]
    record = {"input": "word " * MAX_CHARACTERS, "output": [{"answer": "no", "provenance": [{"title": "Harbour"}]}]}
    assert read_example(record, dataset, "row").positive == "no"
    dataset.columns = {"positive": "title"}
    example = read_example(record, dataset, "row")
    assert example.positive == "Harbour"
    assert len(example.query) == MAX_CHARACTERS


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("+medi.hub.NQ.colour=red", "colour"),
        ("medi.hub.NQ.cap=many", "many"),
        ("medi.hub.NQ.licence=???", r"medi\.hub\.NQ\.licence"),
        ("medi.datasets=[NQQ]", "medi.datasets: 'NQQ'.*NQ"),
        ("medi.datasets=[]", "null .all. or a non-empty list"),
    ],
)
def test_unknown_keys_and_names_are_refused(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        chosen(load_config("build_medi", ["medi=full", override]).medi)


@given(count=st.integers(0, 60), size=st.integers(1, 20), seed=st.text(max_size=4))
def test_a_draw_keeps_order_size_and_itself(count: int, size: int, seed: str) -> None:
    kept, read = draw(range(count), size, seed)
    assert (len(kept), read) == (min(count, size), count)
    assert kept == sorted(set(kept))
    assert draw(iter(range(count)), size, seed)[0] == kept


def test_each_row_is_drawn_equally_often() -> None:
    drawn = Counter(row for seed in range(4000) for row in draw(range(20), 5, str(seed))[0])
    assert all(abs(drawn[row] / 4000 - 0.25) < 0.035 for row in range(20))  # five standard deviations
