"""The benchmark of growth measures each size and tells the exponent that its times show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import bench_scaling
from scripts.bench_scaling import QUANTITIES, exponent, measured


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_is_the_power_by_which_times_grow(power: float) -> None:
    rows = [{"size": size, "seconds": 3 * size**power} for size in (10, 40, 160)]
    assert exponent(rows) == pytest.approx(power)


@pytest.mark.parametrize("name", ["loss_rows", "mine_texts", "draw_rows"])
def test_more_takes_more_time(name: str) -> None:
    few, many = (measured(QUANTITIES[name], size, rounds=2) for size in (QUANTITIES[name].sizes[i] for i in (0, 2)))
    assert 0 < few["seconds"] < many["seconds"]


def test_the_command_records_every_size_and_draws_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        bench_scaling, "in_own_process", lambda name, size, rounds: {"size": size, "seconds": size / 1e4, "more_mb": 2}
    )
    monkeypatch.setattr("sys.argv", ["bench_scaling", "--only", "encode_texts", "--record", str(tmp_path / "scaling")])
    bench_scaling.main()
    written = json.loads((tmp_path / "scaling.json").read_text())["quantities"]["encode_texts"]
    assert [row["size"] for row in written] == list(QUANTITIES["encode_texts"].sizes)
    text = (tmp_path / "scaling.md").read_text()
    assert "| encode, texts of 30 words | 128 to 2,048 | 0.205 | 2 | 1.00 | 1,000,000: 100" in text
    assert "<svg" in (tmp_path / "scaling.svg").read_text()
