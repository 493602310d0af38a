"""View sets as training data: the same texts once a labeling, and every set that cannot be used is refused."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from one_embedder.config.checks import check
from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.embedding import embedder as embedder_module
from one_embedder.errors import ConfigError, DataError
from one_embedder.medi.build import build
from one_embedder.medi.mining.candidates import PairTask
from one_embedder.medi.sources.documentation.views import documentation_views
from one_embedder.medi.sources.pairs import read_pairs
from one_embedder.medi.sources.view_sets import read_view_sets
from one_embedder.medi.sources.views import read_views
from one_embedder.medi.store import load_medi
from tests.composed import composed
from tests.medi.made_up import made_up
from tests.medi.test_build import HashEmbedder
from tests.medi.toy import view_rows, view_set, write_rows, write_view_set

Row = dict[str, Any]


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """One set to train on and one to score, and nothing else."""
    monkeypatch.setattr(embedder_module, "InstructionEmbedder", HashEmbedder)
    HashEmbedder.calls = 0
    write_view_set(tmp_path / "views", "Seen")
    other = [row | {"text": row["text"].replace("number", "as number")} for row in view_rows()]
    write_view_set(tmp_path / "views", "Hidden", other)
    cfg = composed("build_medi", ["medi=mixture", f"medi.views={tmp_path / 'views'}", f"output={tmp_path / 'out'}"])
    cfg.medi.min_rows_per_task = 10
    cfg.views.sets = {"Seen": view_set("train"), "Hidden": view_set("test")}
    return cfg


def test_each_labeling_becomes_a_task_of_the_same_train_texts_with_its_own_instruction(cfg: Config) -> None:
    rows = load_medi(build(cfg) / "medi").dataset.to_list()
    by_task = {name: [row for row in rows if row["task_name"] == name] for name in {row["task_name"] for row in rows}}
    thing, mood = by_task["views_Seen_thing"], by_task["views_Seen_mood"]
    assert len(by_task) == 2
    assert {row["query_text"] for row in thing} == {row["query_text"] for row in mood}
    assert {row["query_text"] for row in thing} == {row["text"] for row in view_rows() if row["split"] == "train"}
    for task, instruction in ((thing, "naming the thing"), (mood, "telling moods")):
        sides = ("query_instruction", "pos_instruction", "neg_instruction")
        assert {row[side] for row in task for side in sides} == {f"Represent the toy remark for {instruction}: "}


def test_positives_are_of_the_querys_class_and_hard_negatives_of_another(cfg: Config) -> None:
    labels = {row["text"]: row["labels"] for row in view_rows()}
    for row in load_medi(build(cfg) / "medi").dataset.to_list():
        labeling = row["task_name"].removeprefix("views_Seen_")
        found = [labels[row[f"{side}_text"]][labeling] for side in ("query", "pos", "neg")]
        assert found[0] == found[1] != found[2]
        assert [row["label"], row["neg_label"]] == [found[0], found[2]]


def test_texts_are_drawn_alike_for_all_labelings_and_in_every_build(cfg: Config) -> None:
    cfg.medi.instances_per_task = 12
    thing, mood = read_views(cfg)
    assert [text for text, _ in thing.items] == [text for text, _ in mood.items]
    assert len(thing.items) == 12
    assert read_views(cfg) == [thing, mood]


def test_a_text_without_a_class_is_left_out_of_that_labelings_task_alone(cfg: Config, tmp_path: Path) -> None:
    rows = view_rows()
    del rows[0]["labels"]["mood"]
    write_view_set(tmp_path / "views", "Seen", rows)
    thing, mood = read_views(cfg)
    assert {text for text, _ in thing.items} - {text for text, _ in mood.items} == {rows[0]["text"]}


def test_texts_of_held_out_sets_are_no_training_texts(cfg: Config, tmp_path: Path) -> None:
    rows = view_rows()
    spare = [row | {"text": f"{i}"} for i, row in enumerate(rows)]
    write_view_set(tmp_path / "views", "Hidden", [rows[0] | {"text": rows[0]["text"].upper()}, *spare[1:]])
    longer = rows[5] | {"text": f"Once again: {rows[5]['text']}", "split": "train"}
    cfg.views.sets["Spare"] = view_set("dev")
    write_view_set(tmp_path / "views", "Spare", [longer, *(row | {"text": f"s{i}"} for i, row in enumerate(rows))])
    trained = {row["query_text"] for row in load_medi(build(cfg) / "medi").dataset.to_list()}
    seen = {row["text"] for row in rows if row["split"] == "train"}
    assert seen - trained == {rows[0]["text"], rows[5]["text"]}


def test_a_mixture_of_nothing_is_refused_with_what_can_be_given(cfg: Config) -> None:
    cfg.medi.views = None
    with pytest.raises(ConfigError, match=r"medi\.views=DIR.*medi\.pairs=DIR.*medi\.root=DIR"):
        build(cfg)


def test_queries_and_positives_get_an_instruction_each(tmp_path: Path) -> None:
    write_rows(tmp_path / "boxes.jsonl.gz", [{"query": "Where ?", "positive": "( here )"}])
    write_rows(tmp_path / "about.jsonl", [{"name": "boxes"}])
    written = {
        "boxes": {"query": {"text_type": "question", "objective": "search"}, "document": {"text_type": "answer"}}
    }
    (task,) = read_pairs(tmp_path, 10, written)
    assert isinstance(task, PairTask)
    assert task.pairs == (("Where ?", "( here )", "Where ?"),), "as they stand: such texts are not tokenized"
    assert [task.query.render(), task.document.render()] == [
        "Represent the question for search: ",
        "Represent the answer: ",
    ]
    with pytest.raises(ConfigError, match=r"medi\.pair_instructions\.boxes\.document is missing.*text_type"):
        read_pairs(tmp_path, 10, {"boxes": {"query": {"text_type": "question"}}})


def test_the_instructions_that_a_refusal_prints_are_taken_as_they_stand(tmp_path: Path) -> None:
    write_rows(tmp_path / "faq.jsonl.gz", [{"query": "Where?", "positive": "Here."}])
    with pytest.raises(ConfigError, match="is missing") as caught:
        read_pairs(tmp_path, 10, {})
    (printed,) = (word for word in shlex.split(str(caught.value)) if "=" in word)
    cfg = load_config("build_medi", ["medi=mixture", printed])
    (task,) = read_pairs(tmp_path, 10, cfg.medi.pair_instructions)
    assert isinstance(task, PairTask) and task.query.render() == "Represent the question: "


def test_no_right_answer_of_a_query_is_mined_as_its_hard_negative(tmp_path: Path, cfg: Config) -> None:
    rows = [{"query": f"Where is {i}?", "positive": f"{place} {i}."} for i in range(20) for place in ("In", "Under")]
    write_rows(tmp_path / "asked" / "faq.jsonl.gz", rows)
    sides = {"query": {"text_type": "question"}, "document": {"text_type": "answer"}}
    cfg.medi.pairs, cfg.medi.pair_instructions = str(tmp_path / "asked"), {"faq": sides}
    cfg.medi.views = cfg.medi.root = None
    built = load_medi(build(cfg) / "medi").dataset.to_list()
    right = {(row["query"], row["positive"]) for row in rows}
    assert len(built) == len(rows)
    assert right.isdisjoint((row["query_text"], row["neg_text"]) for row in built)


def changed(row: int, **values: Any) -> Callable[[list[Row]], list[Row]]:
    """The rows with one of them changed."""
    return lambda rows: [found | values if number == row else found for number, found in enumerate(rows)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(7, text=view_rows()[3]["text"]), "row 8: the text of row 4 again; a text occurs once"),
        (changed(7, split="dev"), "row 8: field 'split' must be train or test, got 'dev'"),
        (changed(7, labels=["good"]), "row 8: field 'labels' must be an object"),
        (changed(7, labels={"mood": 1.5}), r"row 8: labels\.mood must name a class, got 1\.5 \(float\)"),
        (changed(7, labels={"mood": "good "}), r"row 8: field 'labels\.mood' is 'good ' .*write the class in one way"),
        (changed(7, labels={"mood": "odd"}), "one text only has the class 'odd' of the labeling 'mood'"),
        (lambda rows: [row | {"split": "train"} for row in rows], "no row has the split 'test'"),
        (lambda rows: [row | {"labels": {"thing": "a"}} for row in rows], "every text of the labeling 'thing' is 'a'"),
        (
            lambda rows: [row | {"labels": {"thing": row["labels"]["thing"]}} for row in rows],
            r"no text has the labeling 'mood' of views\.sets; the rows have \['thing'\]",
        ),
    ],
)
def test_a_set_that_cannot_be_used_is_refused_by_row_and_remedy(
    change: Callable[[list[Row]], list[Row]], message: str, cfg: Config, tmp_path: Path
) -> None:
    write_view_set(tmp_path / "views", "Hidden", change(view_rows()))
    with pytest.raises(DataError, match=rf"Hidden/texts\.jsonl\.gz(, |: ){message}"):
        read_view_sets(cfg, str(tmp_path / "views"), ["Hidden"], "test")


def test_a_set_that_is_not_there_is_named_with_those_that_are(cfg: Config) -> None:
    cfg.views.sets["Lost"] = view_set("train")
    with pytest.raises(DataError, match=r"no view set Lost \(texts.jsonl .*; the sets there are Hidden, Seen"):
        build(cfg)
    assert HashEmbedder.calls == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cfg: setattr(cfg.medi, "view_sets", ["Sen"]), "medi.view_sets: 'Sen' has no instructions .*'Seen'"),
        (lambda cfg: setattr(cfg.views, "chosen", ["Seen"]), "view sets Seen would be trained on .* and scored"),
        (
            lambda cfg: cfg.views.__dict__.update(part="train", chosen=["Hidden"]),
            "views.part=train scores the sets that are trained on, and Hidden is none of them",
        ),
        (lambda cfg: cfg.views.sets.update(Seen=view_set("trained")), r"Seen\.part='trained' must be one of train"),
        (
            lambda cfg: cfg.views.sets.update(Seen=view_set("train", objectives={"mood": "telling moods"})),
            r"views\.sets\.Seen\.objectives names 1 labeling: .*at least two",
        ),
        (
            lambda cfg: cfg.views.sets.update(Seen=view_set("train", objectives={"mood": " ", "thing": "naming"})),
            r"views\.sets\.Seen\.objectives\.mood is blank",
        ),
    ],
)
def test_a_choice_of_sets_that_cannot_work_is_refused_before_any_file_is_read(
    change: Callable[[Config], None], message: str, cfg: Config
) -> None:
    change(cfg)
    with pytest.raises(ConfigError, match=message):
        check(cfg)


def test_the_public_sets_are_divided_nine_three_and_five() -> None:
    sets = load_config("build_medi", ["views=public"]).views.sets
    parts = [found.part for found in sets.values()]
    assert [parts.count(part) for part in ("train", "dev", "test")] == [9, 3, 5]


def test_every_public_set_and_pair_file_has_its_instructions(shared: Path) -> None:
    data = shared / "data"
    if not (data / "views").is_dir():
        pytest.skip("the reference data have no view sets")
    cfg = composed("build_medi", ["medi=mixture", "views=public", f"medi.views={data / 'views'}"])
    assert {path.parent.name for path in (data / "views").glob("*/texts.jsonl.gz")} == set(cfg.views.sets)
    views = read_views(cfg)
    assert len(views) == 21
    assert len({task.instruction.render() for task in views}) == len(views)
    assert len(read_pairs(data / "pairs", 10, cfg.medi.pair_instructions)) == 10


def test_the_documentations_texts_become_sets_of_two_labelings_each_of_frequent_classes() -> None:
    objects = [*made_up("alpha", "test", "toy"), *made_up("beta", "train", "data")]
    sets = documentation_views(objects, "test")
    assert list(sets) == ["TestParameters", "TestPassages", "TestSummaries"]
    for rows in sets.values():
        assert len({row["text"] for row in rows}) == len(rows)
        assert not any("beta" in row["text"] for row in rows)
        for labeling in {name for row in rows for name in row["labels"]}:
            counts = Counter(row["labels"][labeling] for row in rows if labeling in row["labels"])
            assert min(counts.values()) >= 20
    passages = {row["text"]: row["labels"] for row in sets["TestPassages"]}
    assert passages[objects[5].notes] == {"section": "notes", "area": "alpha.area1"}


def test_the_default_profile_builds_the_view_sets_that_it_names(tmp_path: Path) -> None:
    sets = load_config("reproduce", ["table.name=views"]).views.sets
    built = {name for side in ("dev", "test") for name in documentation_views([], side)}
    assert set(sets) == built
    assert all(sets[name].part == name[: len(sets[name].part)].lower() for name in sets)
