from __future__ import annotations

import pytest
import torch

from one_embedder.errors import ConfigError
from one_embedder.training import precision
from one_embedder.training.memory import keep_freed_memory
from one_embedder.training.precision import choose_precision, measure_gflops

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen"),
    [(100.0, 200.0, "bf16-mixed"), (100.0, 120.0, "bf16-mixed"), (100.0, 119.0, "32-true"), (100.0, 0.0, "32-true")],
)
def test_auto_takes_bf16_only_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, fp32: float, bf16: float, chosen: str
) -> None:
    speeds = {torch.float32: fp32, torch.bfloat16: bf16}
    monkeypatch.setattr(precision, "measure_gflops", lambda device, dtype: speeds[dtype])
    choice = choose_precision("auto", CPU)
    assert choice.name == chosen
    assert f"fp32 {fp32:.0f}, bf16 {bf16:.0f}" in choice.reason


def test_measuring_gives_a_plausible_speed() -> None:
    assert 0.1 < measure_gflops(CPU, torch.float32, repetitions=1) < 1e6


def test_a_type_without_matrix_product_counts_as_infinitely_slow() -> None:
    assert measure_gflops(CPU, torch.bool, repetitions=1) == 0.0


@pytest.mark.parametrize("name", ["32-true", "bf16-mixed"])
def test_a_configured_precision_is_not_measured(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(precision, "measure_gflops", None)
    assert choose_precision(name, CPU).name == name


def test_an_unknown_precision_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.precision='fp64'.*bf16-mixed"):
        choose_precision("fp64", CPU)


def test_memory_settings_can_be_made_more_than_once() -> None:
    assert keep_freed_memory() == keep_freed_memory()
