"""Steering: exact where it can be worked out, kept and found again, and refused where a set cannot be scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import v_measure_score

from one_embedder.config.schema import Config, ViewSetConfig
from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.views.cells import Labeling, score_cell
from one_embedder.evaluation.views.results import read_view_result
from one_embedder.evaluation.views.run import evaluate_views, headline
from one_embedder.evaluation.views.steering import COLUMNS, mean_over_labelings, steering
from one_embedder.tracking.manifest import RunRecord, read_manifest
from tests.composed import composed
from tests.evaluation.conftest import HashEncoder
from tests.medi.toy import view_rows, view_set, write_view_set

THINGS = ("river", "engine", "garden")


class Reader:
    """Encodes the labeling that the instruction names, exactly, and nothing else of the text."""

    revision = "reader"

    def __init__(self) -> None:
        self.calls: list[str] = []

    def encode(
        self, sentences: Sequence[str], instruction: str, *, batch_size: int, show_progress_bar: bool | None
    ) -> np.ndarray:
        self.calls.append(instruction)
        return np.stack([self._vector(text, instruction) for text in sentences]).astype(np.float32)

    def _vector(self, text: str, instruction: str) -> np.ndarray:
        if "thing" in instruction:
            return np.eye(8)[next(n for n, thing in enumerate(THINGS) if f"the {thing} with" in text)]
        if "moods" in instruction:
            return np.eye(8)[3 + ("We liked" in text)]
        return np.eye(8)[7]


class Deaf(HashEncoder):
    """Reads the text and not the instruction."""

    revision = "deaf"

    def encode(self, sentences: Sequence[str], instruction: str, **settings: object) -> np.ndarray:
        return super().encode(sentences, "", **settings)  # type: ignore[arg-type]


def called_none() -> ViewSetConfig:
    return replace(view_set("test"), objectives={"thing": "clustering by thing", "none": "clustering by moods"})


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    write_view_set(tmp_path / "views", "Toy", view_rows(120))
    write_view_set(tmp_path / "views", "Twin", view_rows(96))
    cfg = composed("evaluate_views", [f"output={tmp_path / 'out'}", "tracking=disabled"])
    cfg.views.root, cfg.views.repeats = str(tmp_path / "views"), 2
    cfg.views.sets = {"Toy": view_set("test"), "Twin": view_set("test")}
    return cfg


def test_an_encoder_of_what_the_instruction_names_is_right_everywhere_and_steered_as_far_as_can_be(cfg: Config) -> None:
    toy = evaluate_views(cfg, Reader())[0]
    for measure in ("knn_accuracy", "v_measure"):
        for labeling, scores in steering(toy.table(measure)).items():
            assert scores["right"] == pytest.approx(1.0)
            assert scores["other"] <= (0.7 if measure == "knn_accuracy" else 0.1), labeling
            assert scores["steering"] == pytest.approx(1.0 - scores["other"])
    assert headline([toy], "v_measure")["steering"] > 0.9


def test_an_encoder_that_does_not_read_the_instruction_is_steered_by_exactly_nothing(cfg: Config) -> None:
    for result in evaluate_views(cfg, Deaf()):
        for measure in ("knn_accuracy", "v_measure"):
            means = mean_over_labelings(result.table(measure))
            assert means["steering"] == means["right_minus_none"] == 0.0
            assert means["right"] == means["other"] == means["none"] > 0.0


def test_each_text_is_embedded_once_under_each_instruction_and_under_none(cfg: Config) -> None:
    reader = Reader()
    cfg.views.chosen = ["Toy"]
    evaluate_views(cfg, reader)
    named = [f"Represent the toy remark for {objective}: " for objective in ("naming the thing", "telling moods")]
    assert sorted(reader.calls) == ["", *named]


def test_only_test_texts_are_scored(cfg: Config) -> None:
    assert [len(result.ids) for result in evaluate_views(cfg, Deaf())] == [60, 48]
    cfg.views.texts_per_set = 20
    fewer = evaluate_views(cfg, Deaf())
    assert [len(result.ids) for result in fewer] == [20, 20]
    cfg.views.seed = 1
    assert set(evaluate_views(cfg, Deaf())[0].ids) != set(fewer[0].ids)


@given(
    table=st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=4, max_size=4),
    shift=st.floats(-0.5, 0.5),
)
def test_steering_is_right_minus_the_mean_of_the_others_and_what_helps_all_instructions_is_no_steering(
    table: list[list[float]], shift: float
) -> None:
    names = ["a", "b", "c"]
    scores = {row: dict(zip(names, values, strict=True)) for row, values in zip([*names, "none"], table, strict=True)}
    found = steering(scores)["a"]
    assert found["steering"] == pytest.approx(table[0][0] - (table[1][0] + table[2][0]) / 2)
    assert found["right_minus_none"] == pytest.approx(table[0][0] - table[3][0])
    lifted = {row: {name: value + shift for name, value in values.items()} for row, values in scores.items()}
    assert mean_over_labelings(lifted)["steering"] == pytest.approx(mean_over_labelings(scores)["steering"])
    assert tuple(mean_over_labelings(scores)) == COLUMNS


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), neighbours=st.integers(1, 40))
def test_neighbours_vote_as_written_out_by_hand(seed: int, neighbours: int) -> None:
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(30, 4))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    gold = rng.integers(0, 3, size=30)
    labeling = Labeling(np.arange(30), np.unique(gold, return_inverse=True)[1])
    cell = score_cell(embeddings.astype(np.float32), labeling, neighbours=neighbours, repeats=1, seed=0)
    similarity = embeddings.astype(np.float32).astype(np.float64)
    similarity = similarity @ similarity.T
    for text in range(30):
        others = sorted((other for other in range(30) if other != text), key=lambda other: -similarity[text, other])
        near = others[:neighbours]
        counts = np.bincount(labeling.gold[near], minlength=3).astype(float)
        cosines = np.bincount(labeling.gold[near], weights=similarity[text, near], minlength=3)
        best = max(range(3), key=lambda name: (counts[name], cosines[name]))
        assert cell.right[text] == (best == labeling.gold[text])
    per_class = [cell.right[labeling.gold == name].mean() for name in np.unique(labeling.gold)]
    assert cell.scores(labeling)["knn_accuracy"] == pytest.approx(np.mean(per_class))
    assert cell.scores(labeling)["v_measure"] == pytest.approx(v_measure_score(labeling.gold, cell.clusters[0]))


def test_a_text_without_a_class_or_alone_in_it_is_left_out_of_that_labeling() -> None:
    labeling = Labeling.of(["a", None, "b", "a", "c", "b"])
    assert (labeling.places.tolist(), labeling.gold.tolist()) == ([0, 2, 3, 5], [0, 1, 0, 1])


def test_classes_are_counted_once_however_many_texts_there_are() -> None:
    class Listed(list[str | None]):
        def count(self, value: object) -> int:
            raise AssertionError("goes through all texts for one of them")

    assert Labeling.of(Listed(["wave", None, "ship", "wave"])).places.tolist() == [0, 3]


def test_what_is_there_is_not_scored_again_and_another_encoder_or_setting_is(cfg: Config) -> None:
    first, again = Reader(), Reader()
    results = evaluate_views(cfg, first)
    assert [kept.table("v_measure") for kept in evaluate_views(cfg, again)] == [r.table("v_measure") for r in results]
    assert first.calls and not again.calls
    (Path(str(cfg.output)) / "results" / "Twin.json").unlink()
    evaluate_views(cfg, again)
    assert len(again.calls) == 3, "the missing set alone"
    cfg.views.neighbours = 3
    evaluate_views(cfg, again)
    assert len(again.calls) == 9
    evaluate_views(cfg, Deaf())
    assert read_view_result(Path(str(cfg.output)), "Toy").identity["encoder_revision"] == "deaf"


def test_the_manifest_names_data_model_and_headline(cfg: Config) -> None:
    results = evaluate_views(cfg, Reader())
    manifest = read_manifest(Path(str(cfg.output)))
    assert manifest["status"] == "completed" and manifest["model"]["revision"] == "reader"
    assert [(item["name"], item["texts"]) for item in manifest["data"]] == [("Toy", 60), ("Twin", 48)]
    assert manifest["outcome"]["metrics"]["v_measure"]["steering"] == headline(results, "v_measure")["steering"]


@pytest.mark.parametrize("file", ["results", "items"])
def test_a_number_changed_by_hand_is_not_believed(file: str, cfg: Config) -> None:
    evaluate_views(cfg, Reader())
    output = Path(str(cfg.output))
    path = output / file / "Toy.json"
    content = json.loads(path.read_text())
    if file == "results":
        content["scores"]["v_measure"]["table"]["thing"]["thing"] = 0.5
    else:
        content["cells"]["thing"]["thing"]["right"][0] = 0
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"results/Toy\.json: not a complete result .*evaluate again"):
        read_view_result(output, "Toy")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"root": None}, ConfigError, r"views\.root is not given"),
        ({"sets": {}}, ConfigError, r"no set of the part 'test': choose .*views=public"),
        ({"chosen": ["Tay"]}, ConfigError, "views.sets has no instructions for 'Tay'"),
        ({"sets": {"Lost": view_set("test")}}, DataError, "no view set Lost .*the sets there are Toy, Twin"),
        ({"sets": {"Toy": called_none()}}, ConfigError, "views.sets.Toy.*a labeling cannot be called none"),
        ({"texts_per_set": 2}, DataError, "view set T.*fewer than two classes of the labeling .*texts_per_set"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_any_text_is_embedded(
    changes: dict[str, object], error: type[Exception], message: str, cfg: Config
) -> None:
    for key, value in changes.items():
        setattr(cfg.views, key, value)
    reader = Reader()
    with pytest.raises(error, match=message):
        evaluate_views(cfg, reader)
    assert not reader.calls


def test_the_record_of_a_training_is_not_written_over(cfg: Config) -> None:
    RunRecord.start(Path(cfg.output), name="train", cfg=cfg, data=[], model={}).complete()
    with pytest.raises(ConfigError, match=r"says: train\), whose record evaluate_views would write over"):
        evaluate_views(cfg, Reader())


def test_a_level_of_detail_that_leaves_out_the_objective_cannot_steer(cfg: Config) -> None:
    cfg.instruction_detail = "simple"
    reader = Reader()
    toy, _ = evaluate_views(cfg, reader)
    assert "toy remark; Input: " in reader.calls
    assert mean_over_labelings(toy.table("v_measure"))["steering"] == 0.0
