"""What is saved after training: whole weights, mixed with the backbone's by ``trainer.backbone_share``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from one_embedder.config.schema import Config
from one_embedder.encoder.checkpoint import load_encoder, save_encoder, weights_sha256
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import DataError
from one_embedder.tracking.manifest import read_manifest
from one_embedder.training.export import Weights, exported, mixed
from one_embedder.training.outcome import BEST, CHECKPOINT
from one_embedder.training.run import train
from tests.training.tiny import tiny_config, tiny_encoder


@pytest.fixture
def cfg(workplace: Path, encoder_folder: Path) -> Config:
    return tiny_config(workplace, encoder_folder)


def saved(folder: Path, name: str = CHECKPOINT) -> dict[str, torch.Tensor]:
    return load_encoder(folder / name).state_dict()


def with_share(cfg: Config, share: float) -> Config:
    return replace(cfg, trainer=replace(cfg.trainer, backbone_share=share))


def stated(backbone: Weights, finetuned: Weights, share: float) -> dict[str, torch.Tensor]:
    return {name: share * backbone[name] + (1 - share) * finetuned[name] for name in finetuned}


@given(
    share=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 99),
    shape=st.lists(st.integers(1, 5), min_size=0, max_size=3),
)
def test_every_weight_is_the_stated_mix_and_neither_side_changes(share: float, seed: int, shape: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    sides = [{"w": torch.randn(shape, generator=generator), "frozen": torch.full((2,), 0.1)} for _ in range(2)]
    before = [{name: weight.clone() for name, weight in side.items()} for side in sides]
    found = mixed(*sides, share)
    torch.testing.assert_close(found, stated(*sides, share), rtol=1e-5, atol=1e-6)
    assert torch.equal(found["frozen"], sides[0]["frozen"])
    assert all(torch.equal(side[name], kept[name]) for side, kept in zip(sides, before, strict=True) for name in side)
    if not share:
        assert torch.equal(found["w"], sides[1]["w"])


def test_counters_are_the_finetuned_ones() -> None:
    assert mixed({"n": torch.tensor(1)}, {"n": torch.tensor(4)}, 0.5)["n"] == 4


def test_nothing_to_mix_gives_the_trained_encoder_itself(cfg: Config) -> None:
    encoder = tiny_encoder()
    assert exported(cfg, encoder, "any") is encoder


@pytest.mark.parametrize("frozen_layers", [0, 2])
def test_a_run_saves_the_mix_of_what_it_began_with_and_what_it_learned(
    cfg: Config, encoder_folder: Path, frozen_layers: int
) -> None:
    """The embeddings of a T5 are one weight under two names."""
    cfg.optimizer.frozen_layers = frozen_layers
    plain, half = train(cfg), train(with_share(cfg, 0.25))
    backbone, finetuned, found = load_encoder(encoder_folder).state_dict(), saved(plain), saved(half)
    torch.testing.assert_close(found, stated(backbone, finetuned, 0.25), rtol=1e-5, atol=1e-6)
    moved = [name for name in backbone if not torch.equal(backbone[name], finetuned[name])]
    assert moved and (len(moved) < len(backbone)) is bool(frozen_layers)
    for name in backbone:
        assert torch.equal(found[name], backbone[name]) is (name not in moved)
    assert plain.name != half.name
    assert read_manifest(half)["model"]["backbone_share"] == 0.25
    assert "| weights | 0.25 x the base model's + 0.75 x the finetuned ones |" in (
        half / CHECKPOINT / "README.md"
    ).read_text(encoding="utf-8")
    assert "| weights |" not in (plain / CHECKPOINT / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load((half / "config.yaml").read_text())["trainer"]["backbone_share"] == 0.25


def test_the_share_does_not_touch_what_is_learned(cfg: Config) -> None:
    folders = [train(with_share(cfg, share)) for share in (0.0, 0.5)]
    losses = [(folder / "task_losses.csv").read_text() for folder in folders]
    assert losses[0] == losses[1]


def test_early_stopping_scores_and_keeps_the_mix(cfg: Config, encoder_folder: Path) -> None:
    """Training is the same for both shares, so that the weights of a step can be compared."""

    class Remember:
        identity = "remember"

        def __init__(self) -> None:
            self.seen: dict[str, Weights] = {}

        def __call__(self, encoder: InstructionEncoder, output: Path) -> float:
            self.seen[output.name] = {name: weight.clone() for name, weight in encoder.state_dict().items()}
            return {"step-4": 0.5, "step-8": 0.6, "step-12": 0.1}[output.name]

    cfg.trainer.early_stopping.every_n_steps = 4
    plain, half = Remember(), Remember()
    train(cfg, plain)
    folder = train(with_share(cfg, 0.5), half)
    backbone = load_encoder(encoder_folder).state_dict()
    for step, weights in half.seen.items():
        torch.testing.assert_close(weights, stated(backbone, plain.seen[step], 0.5), rtol=1e-5, atol=1e-6)
    assert all(torch.equal(weight, half.seen["step-8"][name]) for name, weight in saved(folder, BEST).items())


def test_sharded_weights_are_put_together_and_mixed(cfg: Config, encoder_folder: Path) -> None:
    shards, trained = tiny_encoder(), tiny_encoder()
    with torch.no_grad():
        for weight in trained.parameters():
            weight.add_(1.0)
    whole = {f"encoder.{name}": weight for name, weight in trained.state_dict().items()} | {"other": torch.ones(1)}
    revision = weights_sha256(load_encoder(encoder_folder))
    for share in (0.0, 0.25):
        found = exported(with_share(cfg, share), shards, revision, whole).state_dict()
        expected = stated(load_encoder(encoder_folder).state_dict(), trained.state_dict(), share)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_backbone_that_changed_under_its_name_is_not_mixed_in(cfg: Config, tmp_path: Path) -> None:
    cfg.encoder.name_or_path = str(tmp_path / "backbone")
    encoder = tiny_encoder()
    save_encoder(encoder, tmp_path / "backbone")
    with pytest.raises(DataError, match=r"has other weights than when this training began: trainer\.backbone_share"):
        exported(with_share(cfg, 0.5), encoder, "another")
