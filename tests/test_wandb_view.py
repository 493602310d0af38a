"""Saved views of W&B, with the package that makes them; ``make test-integrations`` has it."""

from __future__ import annotations

import json

import pytest

from one_embedder.config.compose import load_config

pytest.importorskip("wandb_workspaces")
from scripts.wandb_view import ablations, main, varied, view


@pytest.mark.parametrize("name", ablations())
def test_the_view_of_an_ablation_shows_its_runs_grouped_by_what_it_varies(name: str) -> None:
    cfg = load_config("reproduce", [f"ablation={name}"])
    shown = view(cfg, "somebody")._to_model().model_dump(by_alias=True)["spec"]["section"]
    (runs,) = shown["runSets"]
    (group,) = runs["filters"]["filters"]
    assert (group["key"]["name"], group["value"]) == ("group", name)
    first, *others = [key.split(".") for key in varied(cfg)]
    assert [key["name"] for key in runs["grouping"]][1] == ".".join([first[0], "value", *first[1:]])
    assert len(runs["grouping"]) == 2 + len(others)
    assert sum(len(section["panels"]) for section in shown["panelBankConfig"]["sections"]) == 16


def test_an_unknown_ablation_is_told_before_anything_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["somebody", "temperatures"])
    assert "no file conf/ablation/temperatures.yaml" in capsys.readouterr().err


def test_the_definitions_are_printed_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["somebody", "temperature", "model_size", "--json"]) == 0
    assert [json.loads(line)["displayName"] for line in capsys.readouterr().out.splitlines()] == [
        "temperature",
        "model size",
    ]
