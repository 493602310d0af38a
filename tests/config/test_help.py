from __future__ import annotations

import re
from pathlib import Path

import pytest

from one_embedder.config.compose import VERBS
from one_embedder.config.help import SECTIONS, explanations, help_text
from one_embedder.config.messages import known_keys

# Entries of ablation files and of conf/medi/full.yaml, which tell their keys themselves, and names of sections.
TOLD_ELSEWHERE = {"HubDatasetConfig", "PromptTaskConfig", "ClaimConfig", "PublishedPointConfig"}
SECTION_NAMES = {name for verb in SECTIONS.values() for name in verb} | {"schedule", "about", "early_stopping", "model"}


def keys(text: str) -> list[str]:
    return re.findall(r"^  ([\w.]+)=", text, re.MULTILINE)


def test_every_key_is_explained_beside_its_type() -> None:
    bare = [place for place, told in explanations().items() if not told and place[0] not in TOLD_ELSEWHERE]
    assert [(kind, key) for kind, key in bare if key not in SECTION_NAMES] == []
    assert len(explanations()) > 150


def test_a_key_has_one_line_with_its_value_its_choices_and_what_it_is() -> None:
    lines = help_text("train", ["--help", "loss.temperature=0.25"]).splitlines()
    assert any(re.fullmatch(r"  loss\.temperature=0\.25 +what similarities are divided by", line) for line in lines)
    assert any(re.match(r"  trainer\.precision=32-true +32-true \| bf16-mixed; a CPU without", line) for line in lines)
    assert any(line.startswith("  seed=0 ") for line in lines) and any("devices=1 " in line for line in lines)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_shows_its_own_sections_and_all_of_them_when_asked(verb: str) -> None:
    own, every = keys(help_text(verb, ["--help"])), keys(help_text(verb, ["--help=all"]))
    assert {key.partition(".")[0] for key in own if "." in key} == set(SECTIONS[verb])
    assert len(own) == len(set(own)) and set(own) < set(every) <= set(known_keys())


def test_a_class_of_ones_own_is_shown_with_its_keys(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("_target_: mine.Loss\nmargin: 0.5\n")
    text = help_text("train", ["--help", "--config-dir", str(tmp_path), "loss=mine"])
    assert "  loss._target_=mine.Loss" in text and "  loss.margin=0.5" in text and "loss.spelling" not in text
