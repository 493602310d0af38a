"""What ``pip install one-embedder`` brings is enough to embed, and what is missing for the rest is told."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MODEL = Path(__file__).parent / "parity" / "tiny_instructor"

# Finds no file of the packages in OTHERS, as if they were not installed.
WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in OTHERS else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""
EMBED = """
import json
from one_embedder import INSTRUCTOR, InstructionEmbedder

embedder = InstructionEmbedder({model!r}, device="cpu")
rows = embedder.encode(["a cat", "a dog"], "Represent the animal: ")
pairs = [["Represent the animal: ", "a cat"], ["Represent the animal: ", "a dog"]]
old = INSTRUCTOR({model!r}, device="cpu").encode(pairs)
embedder.encode(["a cat", "a dog"], precision="int8", truncate_dim=4)
print(json.dumps([rows.tolist(), old.tolist(), embedder.similarity(rows, rows).tolist()]))
"""
BLOCKED_BY_NAME = {
    *("pytorch_lightning", "datasets", "hydra", "omegaconf", "mteb", "pandas", "wandb", "scipy", "sklearn"),
    *("sentence_transformers", "pyarrow", "matplotlib", "ijson"),
}


@pytest.fixture(scope="module")
def project(project_root: Path) -> dict:
    return tomllib.loads((project_root / "pyproject.toml").read_text())["project"]


def needs(lines: list[str]) -> set[str]:
    """Canonical names of what these requirements install, with all that they need in turn."""
    todo, found = [Requirement(line) for line in lines], set[str]()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # of another platform
            continue
        todo += [line for line in map(Requirement, lines) if line.marker is None or line.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def others(project: dict) -> list[str]:
    """Importable names that the core's requirements do not bring."""
    brought = needs(project["dependencies"]) | {"one-embedder"}
    names = importlib.metadata.packages_distributions()
    found = {name for name, by in names.items() if not {canonicalize_name(each) for each in by} & brought}
    assert found >= BLOCKED_BY_NAME
    return sorted(found)


def run(others: list[str], code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"OTHERS = {set(others)!r}\n{WITHOUT}{code}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_embedding_imports_nothing_beyond_the_core(others: list[str]) -> None:
    done = run(others, EMBED.format(model=str(MODEL)))
    assert done.returncode == 0, done.stderr
    rows, old, similarities = (np.array(part) for part in json.loads(done.stdout))
    np.testing.assert_allclose(rows, old, atol=1e-6)
    np.testing.assert_allclose(similarities, rows @ rows.T, atol=1e-6)
    assert abs(similarities[0, 1]) < 0.999


VERB = """
import sys
from one_embedder.__main__ import main
sys.argv = ["one-embedder", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
def test_a_file_is_encoded_with_the_core_alone(others: list[str], tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a cat\na dog\n")
    arguments = ["encode", str(tmp_path / "in.txt"), str(tmp_path / "out.npy"), "--encoder", str(MODEL)]
    done = run(others, VERB, *arguments, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "out.npy").shape == (2, 24)
    parquet = [*arguments[:2], str(tmp_path / "out.parquet"), *arguments[3:], "--device", "cpu"]
    done = run(others, VERB, *parquet)
    assert done.returncode == 2 and "pyarrow is not installed: run pip install 'pyarrow'" in done.stderr
    assert not (tmp_path / "out.parquet.partial").exists(), "nothing was encoded first"


@pytest.mark.parametrize(
    ("verb", "extra"),
    [
        ("build_medi", "train"),
        ("train", "train"),
        ("evaluate", "evaluate"),
        ("reproduce", "reproduce"),
        ("push", "train"),
        ("compare", "evaluate"),
    ],
)
def test_a_verb_whose_packages_are_missing_says_which_line_installs_them(
    others: list[str], verb: str, extra: str
) -> None:
    arguments = {"push": ["run", "owner/name"], "compare": ["minilm", "--task", "folder"]}.get(verb, [])
    done = run(others, VERB, verb, *arguments)
    assert done.returncode == 2, done.stderr
    assert f"is not installed: run pip install 'one-embedder[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_extra_holds_what_its_verbs_can_import(project: dict, project_root: Path) -> None:
    """Read from the source, late imports included; mteb is the early stopping's, which asks for it itself."""
    extras = project["optional-dependencies"]
    names = importlib.metadata.packages_distributions()
    for verb, extra in {"build_medi": "train", "train": "train", "evaluate": "evaluate", "compare": "evaluate"}.items():
        declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"] + extras[extra]}
        reached = set(third_party(project_root / "src", f"one_embedder.{verb}", stop="one_embedder.evaluation.dev"))
        lacking = {name for name in reached if not {canonicalize_name(each) for each in names[name]} & declared}
        assert not lacking, f"{verb}: {lacking}"


def third_party(root: Path, start: str, stop: str) -> Iterator[str]:
    """Packages that a module of ours, and those that it imports, may import; but ``stop`` is left out."""
    todo, seen = [start], {stop}
    while todo:
        module = todo.pop()
        path = root / f"{module.replace('.', '/')}.py"
        if module in seen or not path.is_file():
            continue
        seen.add(module)
        tree = ast.parse(path.read_text())
        for name in imported(tree):
            if name.startswith("one_embedder"):
                todo.append(name)
            elif name.partition(".")[0] not in sys.stdlib_module_names:
                yield name.partition(".")[0]


def imported(tree: ast.Module) -> Iterator[str]:
    """Names of modules; those that only type checkers import are left out."""
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module.startswith("one_embedder"))
        todo.extend(ast.iter_child_nodes(node))
