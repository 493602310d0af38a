"""Settings that a verb does not read: refused where they are typed, let pass where files of ``conf`` set them."""

from __future__ import annotations

import re

import pytest

from one_embedder.config.unread import require_read
from one_embedder.errors import ConfigError
from tests.composed import composed


def refusal(verb: str, typed: list[str]) -> str:
    """What the error says; empty where there is none."""
    cfg = composed(verb, [word for word in typed if not word.startswith("hydra")])
    try:
        require_read(verb, typed, cfg)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("verb", "typed", "told"),
    [
        ("train", "instructions=none", "with_instructions=false trains without instructions"),
        ("train", "ablation=steps", "train does not read ablation, reproduce would; .* ablation.child=CHILD"),
        ("train", "benchmark.split=dev", "train does not read benchmark, evaluate and reproduce would; leave it out"),
        ("train", "table.seeds=[1]", "does not read table"),
        ("evaluate", "loss.temperature=0.1", "evaluate does not read loss, train and reproduce would"),
        ("evaluate", "sampler=mixed", "does not read sampler"),
        ("evaluate_views", "++instructions.name=x", "does not read instructions"),
    ],
)
def test_what_the_verb_does_not_read_is_refused_with_who_would_and_what_to_do(verb: str, typed: str, told: str) -> None:
    assert re.search(told, refusal(verb, ["seed=1", typed]))


@pytest.mark.parametrize(
    ("verb", "typed"),
    [
        ("train", ["instructions=documentation", "loss=paper", "tracking.group=x", "hydra.verbose=true"]),
        ("train", ["profile=mixture", "experiment=paper_loss", "debug=fast", "devices=one", "launcher=joblib"]),
        ("train", ["trainer.early_stopping.every_n_steps=2", "instructions=none", "evaluation.batch_size=8"]),
        ("evaluate", ["devices=one", "medi.folder=data/own", "with_instructions=false"]),
        ("evaluate_views", ["views=documentation", "medi=own"]),
        ("build_medi", ["ablation=steps", "trainer.max_steps=9"]),  # as make hands them to every command of an ablation
        ("reproduce", ["ablation=steps", "views=public"]),
    ],
)
def test_what_is_read_passes(verb: str, typed: list[str]) -> None:
    assert refusal(verb, typed) == ""
