"""The faults that ``make mutants`` makes, and what came of those that are recorded."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from one_embedder.files.documents import read_json
from tests.torture.forks import in_fork
from tests.torture.mutants import RECORD, Module, listed
from tests.torture.mutations import sites

SOURCE = '''
"""A docstring, which is left alone."""
LIMIT = 1

def counted(number: int, rows: list[int], most: int = 0) -> int:
    if number < LIMIT and rows:
        raise ValueError(f"{number + 1} rows")
    while number > 0:
        number -= 2
    return max(rows[-1:], key=abs)
'''

CHANGES = [
    "1 -> 2",
    "1 -> 0",
    "0 -> 1",
    "number < LIMIT and rows -> number < LIMIT or rows",
    "number < LIMIT -> number <= LIMIT",
    "raise ValueError(f'{number + 1} rows') -> pass",
    "number > 0 -> number >= 0",
    "0 -> 1 in number > 0",
    "number -= 2 -> number += 2",
    "number -= 2 -> pass",
    "2 -> 3",
    "2 -> 1",
    "return max(rows[-1:], key=abs) -> return",
    "max(...) without key=abs",
    "max -> min in max(rows[-1:], key=abs)",
    "-1: -> :",
    "1 -> 2 in -1",
    "1 -> 0 in -1",
]

TEST = """
import small

def test_the_end_is_reached():
    assert small.left(3) == 0 and small.left(0) == 0
"""

SMALL = """
def left(number):
    while number > 0:
        number -= 1
    return number
"""


def test_a_module_has_a_fault_for_each_place_that_computes_and_none_for_what_is_only_told() -> None:
    assert [site.change for site in sites(ast.parse(SOURCE))] == CHANGES


def test_a_fault_is_what_whoever_imports_the_module_gets_and_the_outcome_is_that_of_its_tests(tmp_path: Path) -> None:
    module, test = tmp_path / "small.py", tmp_path / "test_small.py"
    module.write_text(SMALL)
    test.write_text(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{TEST}")
    outcomes = {}
    for number, site in enumerate(sites(ast.parse(SMALL))):
        tree = ast.parse(SMALL)
        list(sites(tree))[number].apply()
        outcomes[site.change] = in_fork("small", module, tree, [str(test)], seconds=2).name
    assert in_fork("small", module, None, [str(test)], seconds=2).name == "survived"
    assert outcomes["number > 0 -> number >= 0"] == outcomes["return number -> return"] == "killed"
    assert outcomes["number -= 1 -> pass"] == "time"
    assert module.read_text() == SMALL


def test_of_the_recorded_mutants_nine_of_ten_were_killed_and_every_other_has_its_reason() -> None:
    modules = read_json(RECORD)["modules"]
    assert list(modules) == [module.name for module in listed()]
    run, killed = (sum(found[key] for found in modules.values()) for key in ("drawn", "killed"))
    assert run >= 200 and killed / run >= 0.9
    for name, found in modules.items():
        assert found["drawn"] == found["killed"] + len(found["survivors"])
        assert all(survivor["reason"] for survivor in found["survivors"]), name


@pytest.mark.parametrize("module", listed(), ids=lambda module: module.name)
def test_whatever_the_list_of_mutants_names_is_there(module: Module, project_root: Path) -> None:
    assert set(module.equivalent) <= set(module.mutants()), "a reason of a mutant that is gone"
    assert all((project_root / test).is_file() for test in module.tests)
