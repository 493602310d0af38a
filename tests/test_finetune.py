"""``docs/finetune.md`` does what it says, with a tiny encoder in place of minilm and few steps."""

from __future__ import annotations

import json
import logging
import re
import shlex
from pathlib import Path

import pytest

from one_embedder import compare
from one_embedder.config.compose import load_config
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.medi.build import build
from one_embedder.medi.sources.own.pairs import FIELDS, Pair, read_pairs
from one_embedder.training.run import train
from tests.encoder.conftest import tiny_encoder

PAGE = (PROJECT_ROOT / "docs" / "finetune.md").read_text(encoding="utf-8")
PLACES = ("river", "stone", "lamp", "garden", "market", "winter", "engine", "letter", "window", "island")
INSTRUCTIONS = ["medi.query_instruction=Represent it:", "medi.document_instruction=Represent that:"]


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The words of the three commands, without ``one-embedder VERB``."""
    (block,) = blocks("console")
    lines = [shlex.split(line) for line in block.splitlines()]
    assert [line[:2] for line in lines] == [["one-embedder", verb] for verb in ("build_medi", "train", "compare")]
    return [line[2:] for line in lines]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with sixty pairs, which the project lies in as well."""
    pairs = [{"query": f"{i} {PLACES[i % 10]}", "positive": f"{PLACES[i % 10]} number {i}"} for i in range(60)]
    (tmp_path / "pairs.jsonl").write_text("".join(f"{json.dumps(pair)}\n" for pair in pairs))
    save_encoder(tiny_encoder(), tmp_path / "tiny")
    monkeypatch.setattr("one_embedder.config.compose.PROJECT_ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small(place: Path) -> list[str]:
    return ["debug=fast", f"encoder.name_or_path={place / 'tiny'}", "optimizer.frozen_layers=0"]


def test_the_pages_examples_are_read_and_its_table_names_every_field(tmp_path: Path) -> None:
    (example,) = blocks("json")
    (tmp_path / "pairs.jsonl").write_text(example)
    assert [pair.negatives for pair in read_pairs(str(tmp_path / "pairs.jsonl"))] == [
        (),
        ("We deliver to 30 countries.",),
    ]
    assert all(f"`{field}`" in PAGE for field in FIELDS)
    for header in re.findall(r"`(query,positive[,a-z]*)`", PAGE):
        (tmp_path / "pairs.csv").write_text(f"{header}\n{','.join('abc'[: header.count(',') + 1])}\n")
        negatives = ("c",) if "negative" in header else ()
        assert read_pairs(str(tmp_path / "pairs.csv")) == [Pair("a", "b", negatives)]


def test_the_table_and_the_times_shown_are_the_recorded_ones() -> None:
    (shown,) = blocks("text")
    record = json.loads((PROJECT_ROOT / "experiments" / "bench" / "finetune.json").read_text(encoding="utf-8"))
    assert shown == record["table"]
    build, train, compare = (f"{took['processor_s']:.0f}" for took in record["commands"].values())
    assert f"took {build} seconds of processor time to build, {train} to train ({record['steps']} steps)" in PAGE
    assert f"and {compare} to compare, on one thread of an {record['hardware']['cpu']}" in PAGE


@pytest.mark.slow
@pytest.mark.parametrize("instructions", [[], INSTRUCTIONS])
def test_three_commands_lead_from_a_file_to_a_better_known_model(
    instructions: list[str], place: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="one_embedder")
    building, training, comparing = commands()
    build(load_config("build_medi", [*building, *small(place), *instructions]))
    run = train(load_config("train", [*training, *small(place)]))
    assert (run / "checkpoint").resolve() == (place / comparing[1]).resolve()
    models = [str(place / "tiny") if word == "minilm" else word for word in comparing]
    assert f"instructions {'on' if instructions else 'none in the data'}" in caplog.text
    compare.work(compare.parser().parse_args([*models, "--resamples", "50"]))
    table = capsys.readouterr().out
    assert table.count("Retrieval") == 1 and len(re.findall(r"\[[^]]+\]", table.splitlines()[-3])) == 3, table
    prompts = InstructionEmbedder(run / "checkpoint").prompts
    card = (run / "checkpoint" / "README.md").read_text()
    assert "Python" not in card and "array" not in card
    if instructions:
        assert (prompts["query"], prompts["document"]) == ("Represent it: ", "Represent that: ")
        assert "prompt='Represent it: '" in card and "| pairs-document | `Represent that: ` |" in card
    else:
        assert prompts == {} and "texts are embedded alone" in card
    (code,) = blocks("python")
    exec(code, {})
