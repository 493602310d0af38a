"""Classes that users add: what of them enters a run id, and what is refused."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from one_embedder.config import compose
from one_embedder.config.compose import load_config
from one_embedder.config.own_class import completed
from one_embedder.config.schema import Config, LossConfig
from one_embedder.errors import ConfigError
from one_embedder.files.location import CONF
from one_embedder.medi.batches.sampler import SameTaskBatchSampler
from one_embedder.reproduction.steps.configs import with_settings
from one_embedder.tracking.identity import effective, run_id
from one_embedder.training.loss import Sides
from one_embedder.training.objective import LossValue, objective

MODULE = """
import torch
from one_embedder.training.objective import Loss

class Weighted(Loss):
    version = 1
    needs_negatives = False

    def __init__(self, weight: float, power: int = 2, names=("a",)) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError("weight must not be negative")
        self.weight, self.power = weight, power

    def forward(self, batch):
        return self.weight * (1 - (batch.query * batch.positive).sum(dim=1)).pow(self.power).mean()

class Bare:
    def __init__(self, weight: float = 1.0) -> None: ...

class Short:
    def __init__(self, *args, rounds: int = 3) -> None: ...
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads ``conf/loss/mine.yaml`` of this content, beside a module ``own_losses``."""
    import shutil
    import sys

    (tmp_path / "own_losses.py").write_text(dedent(MODULE))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_losses", raising=False)
    shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.setattr(compose, "CONF", tmp_path / "conf")

    def load(content: str, *overrides: str) -> Config:
        (tmp_path / "conf" / "loss" / "mine.yaml").write_text(content)
        return load_config("train", ["loss=mine", *overrides])

    return load


def test_a_class_of_ones_own_has_its_arguments_as_keys_and_their_defaults_are_filled_in(own: Any) -> None:
    cfg = own("_target_: own_losses.Weighted\nweight: 0.5\n", "loss.weight=0.25")
    assert cfg.loss == {"_target_": "own_losses.Weighted", "_version_": 1, "weight": 0.25, "power": 2}


def test_it_is_the_loss_that_is_computed(own: Any) -> None:
    loss = objective(own("_target_: own_losses.Weighted\nweight: 0.5\npower: 1\n").loss)
    query, positive = (normalize(torch.randn(3, 4), dim=1) for _ in range(2))
    value = loss(Sides(query, positive, query[:0]))
    assert not isinstance(value, LossValue) and loss.needs_negatives is False
    torch.testing.assert_close(value, 0.5 * (1 - (query * positive).sum(dim=1)).mean())


@pytest.mark.parametrize(
    ("content", "overrides", "told"),
    [
        ("_target_: own_losses.Weighted\n", [], r"loss\.weight is missing: own_losses\.Weighted needs a value for it"),
        (
            "_target_: own_losses.Weighted\nweight: 1\nwieght: 2\n",
            [],
            r"loss\.wieght: own_losses\.Weighted has no argument 'wieght'; .*did you mean 'weight'",
        ),
        ("_target_: own_losses.Weighted\nweight: 1\n", ["loss.powr=3"], r"loss\.powr|'powr'"),
        ("_target_: own_losses.Wieghted\n", [], r"loss\._target_=own_losses\.Wieghted: own_losses has no 'Wieghted'"),
        ("_target_: own_loss.Weighted\n", [], r"there is no module 'own_loss'; install its package, or .*PYTHONPATH"),
        ("_target_: Weighted\n", [], r"loss names no class: give it _target_: package\.module\.Class"),
    ],
)
def test_what_cannot_work_is_told_with_class_and_key(own: Any, content: str, overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        own(content, *overrides)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("_target_: own_losses.Weighted\nweight: -1\n", "own_losses.Weighted.*weight must not be negative"),
        ("_target_: own_losses.Bare\n", r"own_losses\.Bare must be a one_embedder\.training\.objective\.Loss"),
    ],
)
def test_a_class_that_is_no_loss_or_refuses_its_settings_is_told_when_it_is_made(
    own: Any, content: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        objective(own(content).loss)


def test_class_arguments_and_version_enter_the_run_id(own: Any) -> None:
    mine = own("_target_: own_losses.Weighted\nweight: 0.5\n")
    changed = [
        own("_target_: own_losses.Weighted\nweight: 0.25\n"),
        with_settings(mine, {"loss.power": 3}),
        own("_target_: own_losses.Bare\nweight: 0.5\n"),
    ]
    import own_losses

    for version in (2, 1.1, 1.2, "1.1"):
        own_losses.Weighted.version = version
        changed.append(own("_target_: own_losses.Weighted\nweight: 0.5\n"))
    ids = [run_id(cfg, "x", "data") for cfg in (mine, *changed)]
    assert len(set(ids)) == len(ids)


def test_a_version_that_is_no_number_or_text_is_refused(own: Any) -> None:
    own("_target_: own_losses.Bare\n")
    import own_losses

    own_losses.Weighted.version = (1, 2)
    with pytest.raises(ConfigError, match=r"loss: the attribute version of own_losses\.Weighted is \(1, 2\); make it"):
        own("_target_: own_losses.Weighted\nweight: 0.5\n")


def test_arguments_that_are_given_may_be_taken_together(own: Any) -> None:
    own("_target_: own_losses.Bare\n")
    settings = {"_target_": "own_losses.Short"}
    assert completed("sampler.strategy", {**settings, "rounds": 2}, given=3) == {**settings, "rounds": 2}
    assert completed("sampler.strategy", settings, given=3)["rounds"] == 3


def test_the_name_of_our_own_class_is_no_part_of_a_run_id() -> None:
    """Records from before there were others have none."""
    assert effective("loss", asdict(LossConfig())) == {
        "spelling": "released",
        "temperature": 0.01,
        "mask_same_text": False,
    }


def test_a_setting_of_ones_own_class_can_be_an_axis_of_an_ablation(own: Any) -> None:
    mine = own("_target_: own_losses.Weighted\nweight: 0.5\n")
    assert with_settings(mine, {"loss.weight": 2.0}).loss["weight"] == 2.0
    with pytest.raises(ConfigError, match=r"unknown key 'loss\.wait'"):
        with_settings(mine, {"loss.wait": 2.0})


def test_a_strategy_that_gives_other_batches_than_it_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_batches.py").write_text(
        "from one_embedder.medi.batches.strategies import Proportional\n"
        "class Short(Proportional):\n"
        "    def batches(self, epoch): return super().batches(epoch)[:1]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    sampler = SameTaskBatchSampler([1] * 8, 2, strategy={"_target_": "own_batches.Short"})
    with pytest.raises(Exception, match=r"Short\.batches gave an array of shape \(1, 2\), not \(4, 2\)"):
        list(sampler)
