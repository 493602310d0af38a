"""The notebooks run from top to bottom, conclude from their numbers, and are stored without outputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from one_embedder.config.schema import Config
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.reproduction.table1.run import reproduce
from one_embedder.results import DATA, EXPERIMENTS
from scripts.run_notebooks import page, run
from tests.reproduction.ablations import write_small_record
from tests.reproduction.fakes import FakeWork

NOTEBOOKS = sorted((PROJECT_ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Run a notebook on ``<tmp>/experiments`` and ``<tmp>/data``; its page."""
    monkeypatch.setenv(EXPERIMENTS, str(tmp_path / "experiments"))
    monkeypatch.setenv(DATA, str(tmp_path / "data"))

    def executed(name: str) -> str:
        (path,) = (path for path in NOTEBOOKS if path.stem.endswith(name))
        return run(path, tmp_path / "pages").read_text(encoding="utf-8")

    return executed


def conclusion(page: str) -> str:
    """Its last paragraph, which is bold."""
    return re.findall(r"<p><strong>(.*?)</strong></p>", page, re.DOTALL)[-1]


def test_there_are_five() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_a_short_essay_of_public_functions_stored_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert 3 < len(code) <= 6 and len(notebook.cells) - len(code) >= 3
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert all(len(cell.source.splitlines()) <= 30 for cell in code)
    assert notebook.cells[0].source.startswith("# ") and "?" in notebook.cells[0].source + notebook.cells[2].source
    assert notebook.cells[-2].source == "## What follows?"
    imported = [
        line for cell in code for line in cell.source.splitlines() if re.search(r"import.*one_embedder|from one_", line)
    ]
    assert imported and set(imported) <= {
        "from one_embedder import results",
        "from one_embedder import InstructionEmbedder, results",
    }


def test_table1_and_errors_conclude_from_a_run_of_one_seed_without_saying_every_seed(
    execute: Callable[[str], str], configure: Callable[..., Config], work: FakeWork
) -> None:
    reproduce(configure("table.bootstrap_resamples=199"), work.stages)
    table = execute("table1")
    assert table.count("image/png") == 2 and "No curves are kept" in table
    assert conclusion(table).startswith("Your run: INSTRUCTOR minus") and "one seed (600 steps)" in conclusion(table)
    errors = execute("errors")
    assert errors.count("image/png") == 2 and "Instructions cost points in" in conclusion(errors)
    assert "wins, one seed" in errors and "every seed" not in errors


def test_ablations_counts_the_verdicts_and_draws_no_line_between_models(
    execute: Callable[[str], str], tmp_path: Path
) -> None:
    write_small_record(tmp_path / "experiments")
    text = execute("ablations")
    assert text.count("image/png") == 2
    assert "of 2 claims 1 supported, 1 undecided. The largest difference, +10.0 points" in conclusion(text)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "images"), [("instructions_at_work", 2), ("medi_explored", 0)])
def test_without_results_or_data_it_says_so_and_shows_what_needs_neither(
    name: str, images: int, execute: Callable[[str], str]
) -> None:
    text = execute(name)
    assert "<strong>No results yet</strong>" in text and "<code>make reproduce-table1</code>" in text
    assert text.count("image/png") == images
    if images:
        shares = [float(share) for share in re.findall(r"(\d+\.\d) % ", text)]
        for asked, other, told in zip(
            shares[::2], shares[1::2], re.findall(r"(wins|does not win) its own", text), strict=True
        ):
            assert told == ("wins" if asked > other else "does not win") or asked == other


def test_a_page_escapes_what_is_no_markup() -> None:
    cells = [nbformat.v4.new_markdown_cell("<script>alert(1)</script>"), nbformat.v4.new_code_cell("print('x')")]
    cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="<b>")]
    text = page(nbformat.v4.new_notebook(cells=cells), "<title>")
    assert "<script>" not in text and "&lt;b&gt;" in text and "<title>&lt;title&gt;</title>" in text
