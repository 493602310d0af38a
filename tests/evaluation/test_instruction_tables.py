"""The tables of ``conf/instructions``: published strings exactly, and one of ours that covers every task."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from one_embedder.config.compose import load_config
from one_embedder.errors import ConfigError
from one_embedder.evaluation.benchmarks import CATEGORIES
from one_embedder.evaluation.task_instructions import TWO_SIDED, InstructionTable
from one_embedder.evaluation.tasks.folder import discover
from one_embedder.files.location import CONF
from one_embedder.instructions.table import written_out
from one_embedder.instructions.template import Instruction

OUR_NAMES = {  # of the tasks that MTEB does not name: the list of published instructions -> conf
    "Billboard-MSCOCO": "mscoco",
    "Billboard-CNNDM": "cnndm",
    "Billboard-WMT20-zh-en": "wmt20_zh_en",
    "Amazon": "amazon",
    "CODA-19-title-generation": "coda19_title_generation",
    "CivilComments": "civil_comments",
    "DBpedia-14": "dbpedia_14",
    "GeoQuery": "geoquery",
    "HellaSwag": "hellaswag",
    "MRPC": "mrpc",
    "MultiRC-answerability": "multirc_answerability",
    "MultiWOZ": "multiwoz",
    "RTE": "rte",
    "SST-5": "sst5",
}
SIDES = {"query": "query", "corpus": "document", "both": "text"}

PUBLISHED_SHA256 = {  # of each table written out, computed where it equals the list of published instructions
    "base": "e04c0adefccc7a1ac9eae5bd083effae07fe31f6244c81cab58a08e4e3711512",
    "large": "bfd006a3e35fe9ddd8b1a7b6594bfaa6d31c9bcc5e1264e383f9bed144125305",
    "xl": "a260a0d2ad17874d32047933cdad36ceaa4aaf5b00f803bbd4fb48a703803610",
}


def table(name: str) -> dict[str, dict[str, str]]:
    content = yaml.safe_load((CONF / "instructions" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert content["name"] == name
    return written_out(content["table"])


def mteb_tasks() -> list[tuple[str, str]]:
    """(name, category) of the single tasks of MTEB's English benchmark, CQADupstack as its forums."""
    import mteb

    tasks = []
    for task in mteb.get_benchmark("MTEB(eng, v1)").tasks:
        parts = getattr(task.metadata, "tasks", None) or [task]
        tasks += [(part.metadata.name, str(part.metadata.type)) for part in parts]
    return tasks


def own_tasks() -> list[tuple[str, str]]:
    cfg = load_config("evaluate")
    text_evaluation = yaml.safe_load((CONF / "benchmark" / "text_evaluation_3.yaml").read_text())["folders"]
    return [(name, "PromptRetrieval") for name in cfg.prompt_retrieval.tasks] + [
        (name, "TextEvaluation") for name in text_evaluation
    ]


@pytest.mark.parametrize("size", ["base", "large", "xl"])
def test_published_instructions_are_written_out_exactly(size: str, shared: Path) -> None:
    with (shared / "facts" / "evaluation_instructions.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["model"] in (f"hkunlp/instructor-{size}", "all")]
    expected: dict[str, dict[str, str]] = {}
    for row in rows:
        name = OUR_NAMES.get(row["task"], row["task"])
        expected.setdefault(name, {})[SIDES[row["side"]]] = row["instruction"]
    assert len(expected) == 81
    assert table(f"paper_{size}") == expected


@pytest.mark.parametrize("size", ["base", "large", "xl"])
def test_published_instructions_have_not_changed_since_they_were_checked(size: str) -> None:
    written = json.dumps(table(f"paper_{size}"), sort_keys=True, ensure_ascii=False)
    assert hashlib.sha256(written.encode()).hexdigest() == PUBLISHED_SHA256[size]


def test_the_published_tables_and_ours_name_every_task_of_the_paper() -> None:
    tasks = mteb_tasks()
    assert len(tasks) == 55 + 12  # 56 with CQADupstack as one
    for name in ("paper_base", "paper_large", "paper_xl", "unified"):
        entries = table(name)
        of_paper = [task for task, _ in tasks + own_tasks() if name == "unified" or task != "mnli"]
        assert [task for task in of_paper if task not in entries] == [], name
        for task, category in tasks:
            assert set(entries[task]) == ({"query", "document"} if category in TWO_SIDED else {"text"}), (name, task)


MIXED = {"STS12", "STS13", "STS14", "STS15", "STS16", "STSBenchmark"}
"""News, captions and forums in one task: no domain would be true."""


def test_ours_names_text_type_and_objective_of_every_task_and_the_domain_where_it_has_one() -> None:
    content = yaml.safe_load((CONF / "instructions" / "unified.yaml").read_text(encoding="utf-8"))
    for task, sides in content["table"].items():
        for side, parts in sides.items():
            expected = {"text_type", "objective"} | (set() if task in MIXED else {"domain"})
            assert set(parts) == expected, (task, side)


def test_ours_serves_every_task_folder_of_the_reference_data(shared: Path) -> None:
    unified = InstructionTable("unified", table("unified"))
    folders = discover(shared / "data")
    assert len(folders) >= 25
    for folder in folders:
        assert unified.for_task(folder.name, folder.category).query, folder.name


def test_the_generic_table_serves_any_task_of_every_category() -> None:
    generic = InstructionTable("generic", table("generic"))
    assert set(generic.table) == set(CATEGORIES)
    for category in CATEGORIES:
        instructions = generic.for_task("SomethingNew", category)
        assert Instruction.parse(instructions.query).domain is None


def test_parts_become_the_text_when_the_configuration_is_loaded() -> None:
    cfg = load_config("evaluate", ["instructions=paper_xl", "+instructions.table.Mine.text={text_type: note}"])
    assert cfg.instructions.table["STS15"] == {"text": "Represent a posts,,, "}
    assert cfg.instructions.table["Mine"] == {"text": "Represent the note: "}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("Represent: ", "must say which side"),
        ({"text": None}, r"Mine\.text=None must be a text"),
        ({"text": {"domain": "news"}}, r"Mine\.text lacks text_type"),
        ({"text": {"text_type": "note", "object": "retrieval"}}, r"Mine\.text has the unknown part 'object'"),
        ({"text": {"text_type": "note", "article": False}}, r"Mine\.text\.article=False must be a text"),
        ({"text": {"text_type": "note", "domain": " "}}, r"Mine\.text: the instruction's domain"),
    ],
)
def test_an_entry_that_is_neither_text_nor_parts_is_named(entry: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        written_out({"Mine": entry})
