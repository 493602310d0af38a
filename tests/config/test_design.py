"""The designs of ablations: children, cells, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from one_embedder.config.ablation import cell_id, children, require_free, troubles, variants
from one_embedder.config.schema import AblationConfig, AxisConfig, ClaimConfig
from one_embedder.errors import ConfigError

DESIGN = AblationConfig(
    name="toy",
    seeds=[0, 5],
    axes={
        "side": AxisConfig(levels={"without": {"with_instructions": False}, "with": {}}),
        "words": AxisConfig(evaluated=True, levels={"written": {}, "other": {"instructions": "none"}}),
        "tasks": AxisConfig(levels={"few": {"sampler.tasks": ["a/*"]}, "many": {}}),
    },
    references={"backbone": {"with_instructions": False}},
)


def claim(**changes: object) -> ClaimConfig:
    good = ClaimConfig(
        text="Many is better.",
        source="ours",
        plus=[{"side": "with", "words": "written", "tasks": "many"}],
        minus=[{"reference": "backbone"}],
    )
    return replace(good, **changes)  # type: ignore[arg-type]


def test_children_are_the_references_and_every_trained_combination_with_every_seed() -> None:
    ids = [child.id for child in children(DESIGN)]
    assert ids[0] == "backbone" and len(ids) == 1 + 2 * 2 * 2
    assert ids[1:3] == ["without+few-s0", "without+few-s5"]
    child = children(DESIGN)[2]
    assert child.settings == {"with_instructions": False, "sampler.tasks": ["a/*"]}
    assert (child.levels, child.seed) == ({"side": "without", "tasks": "few"}, 5)


def test_a_trained_child_is_scored_in_every_variant_and_a_reference_once() -> None:
    reference, trained = children(DESIGN)[:2]
    assert [variant.levels for variant in variants(DESIGN, reference)] == [{}]
    assert [variant.name for variant in variants(DESIGN, trained)] == ["written", "other"]


def test_an_ablation_of_evaluation_alone_trains_one_model_a_seed() -> None:
    alone = replace(DESIGN, axes={"words": DESIGN.axes["words"]}, references={})
    assert [child.id for child in children(alone)] == ["trained-s0", "trained-s5"]


def test_a_typed_setting_that_every_level_replaces_is_refused_and_others_are_not() -> None:
    steps = AxisConfig(levels={"short": {"trainer.max_steps": 2}, "long": {"trainer.max_steps": 4, "seed": 1}})
    design = replace(DESIGN, axes={**DESIGN.axes, "steps": steps})
    require_free(design, ["with_instructions=false", "sampler.tasks=[b/*]", "seed=3", "+trainer.max_epochs=1"])
    with pytest.raises(
        ConfigError, match=r"^trainer\.max_steps=9 would change nothing: .* every level of its axis steps"
    ):
        require_free(design, ["seed=3", "trainer.max_steps=9"])


def test_a_cell_is_named_in_the_order_of_the_axes() -> None:
    assert cell_id(DESIGN, {"tasks": "few", "words": "other", "side": "with"}) == "with+other+few"


def test_a_sound_design_has_no_troubles() -> None:
    assert list(troubles(replace(DESIGN, claims={"c": claim()}))) == []
    assert list(troubles(AblationConfig())) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0, 0]}, "ablation.seeds=[0, 0]"),
        ({"axes": {"a b": AxisConfig(levels={"x": {}})}}, "the name 'a b'"),
        ({"axes": {"a": AxisConfig()}}, "ablation.axes.a has no levels"),
        ({"references": {"with+few-s0": {}}}, "'with+few-s0' must be letters"),
        ({"name": "", "child": "x"}, "needs ablation=NAME"),
        ({"claims": {"c": claim(text="")}}, "needs text and source"),
        ({"claims": {"c": claim(minus=[])}}, "needs plus and minus"),
        ({"claims": {"c": claim(plus=[{"side": "with"}])}}, "must say a level of each of side, words, tasks"),
        ({"claims": {"c": claim(minus=[{"reference": "backbon"}])}}, "must name one of the references backbone"),
        ({"claims": {"c": claim(gap_over="side")}}, "must be an evaluated axis"),
        (
            {"claims": {"c": claim(plus=[{"side": "wit", "words": "written", "tasks": "many"}])}},
            "did you mean 'with'",
        ),
    ],
)
def test_what_cannot_work_is_told_with_its_key(changes: dict[str, object], message: str) -> None:
    assert any(message in trouble for trouble in troubles(replace(DESIGN, **changes)))  # type: ignore[arg-type]
