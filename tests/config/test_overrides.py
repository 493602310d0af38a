"""What is said of an override that Hydra cannot read, and that typing it as told gives the text that was meant."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from one_embedder.config.compose import compose_verb, load_config
from one_embedder.config.overrides import explain_override
from one_embedder.errors import ConfigError
from tests.config.test_entry import JOB, run


def refused(override: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config("evaluate", [override])
    assert "hydra.cc" not in str(caught.value) and "mismatched" not in str(caught.value)
    return str(caught.value)


def as_told(message: str) -> DictConfig:
    """What the override that a message shows, typed in a shell, gives."""
    return compose_verb("evaluate", shlex.split(message.partition("; type ")[2].partition("; to run")[0]))


@pytest.mark.parametrize(
    ("value", "signs", "shown"),
    [
        ("/runs/lr=0.1", "=", """'output="/runs/lr=0.1"'"""),
        ("/my runs/a=1", "=", """'output="/my runs/a=1"'"""),
        ("/runs/a, b", ",", """'output="/runs/a, b"'"""),
        ("/runs/a[1]", "[ ]", """'output="/runs/a[1]"'"""),
        ("/runs/(old)", "( )", """'output="/runs/(old)"'"""),
        ("/daten/größe", "ö ß", """'output="/daten/größe"'"""),
        ("/数据", "数 据", """'output="/数据"'"""),
        ("/it's", "'", """'output="/it'"'"'s"'"""),
        ('/a "b"', '"', """'output='"'"'/a "b"'"'"''"""),
        ("/a\nb", "\\n", """'output="/a\nb"'"""),
    ],
)
def test_a_value_is_named_with_its_key_its_signs_and_its_quoted_form(value: str, signs: str, shown: str) -> None:
    said = refused(f"output={value}")
    assert said.startswith(f"output: the value {value} has {signs} in it, which Hydra reads as more than text; type ")
    assert f"; type {shown}" in said and as_told(said).output == value


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_typing_what_is_shown_gives_the_text(value: str) -> None:
    assume("${" not in value and not value.startswith("~/"))  # OmegaConf's own, in quotes too; the next test's
    parser = OverridesParser.create()
    try:
        parser.parse_overrides([f"output={value}"])
    except OverrideParseException as error:
        said = explain_override(error)
        assert said is not None
        (typed,) = shlex.split(said.partition("; type ")[2])
        assert parser.parse_override(typed).value() == value
    else:
        assume(False)


def test_the_home_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me=you")
    assert as_told(refused("output=~/runs")).output == "/home/me=you/runs"


@pytest.mark.parametrize(
    ("override", "elements"),
    [
        ("benchmark.tasks=[a=b,c d,größe]", ["a=b", "c d", "größe"]),
        ("benchmark.tasks=STS12,STS13", ["STS12", "STS13"]),
        ("benchmark.tasks=[STS12,MTEB(eng)", ["STS12", "MTEB(eng)"]),
    ],
)
def test_a_list_is_shown_as_a_list_with_quotes_where_an_element_needs_them(override: str, elements: list[str]) -> None:
    said = refused(override)
    assert said.startswith("benchmark.tasks is a list; type ")
    assert as_told(said).benchmark.tasks == elements


def test_several_values_are_told_how_to_run_each() -> None:
    assert refused("output=/a,/b").endswith("""type 'output="/a,/b"'; to run each value by itself, add --multirun""")
    for override in ("seed=1,2", "loss=released,paper"):
        key, _, value = override.partition("=")
        said = f"{key}: the value {value} is no such value; to run each value by itself, add --multirun"
        assert refused(override) == said


def test_a_number_is_not_told_to_be_quoted() -> None:
    assert refused("seed=a=b") == "seed: the value a=b is no such value"


@pytest.mark.parametrize("override", ["output", "output =x", "--output=x"])
def test_what_is_no_key_with_a_value_is_told_so(override: str) -> None:
    assert refused(override).startswith(f"{override!r} is not key=value: ")


def test_other_errors_are_none_of_an_override() -> None:
    assert explain_override(ValueError("Ambiguous value")) is None


def test_a_path_of_every_kind_works_in_quotes_from_the_command_line(tmp_path: Path) -> None:
    job, place = tmp_path / "job.py", tmp_path / "lr=0.1, größe [1] (it's)"
    job.write_text(JOB)
    said = run(str(job), f"paths.experiments={place}", cwd=tmp_path)
    assert said.returncode == 2 and said.stderr.startswith(f"error: paths.experiments: the value {place} has = , ö ß [")
    assert said.stderr.count("\n") == 1
    done = run(str(job), *shlex.split(said.stderr.partition("; type ")[2]), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "stdout 0 True\n"), done.stderr
    assert list((place / "hydra" / "train").glob("*/.hydra/config.yaml"))
